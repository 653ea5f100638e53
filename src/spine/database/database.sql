-- The rights within the hub's own database. Run in it, after roles.sql, by the same administrator.
DO $$
BEGIN
    EXECUTE format('GRANT CONNECT, CREATE, TEMPORARY ON DATABASE %I TO allod_owner', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO allod_app, allod_spine', current_database());
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
END
$$;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO allod_owner;
-- A new function is for those to whom its migration grants it, not for everybody.
ALTER DEFAULT PRIVILEGES FOR ROLE allod_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE allod_definer REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
