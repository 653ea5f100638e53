-- The hub's four roles, once for the whole server. Run as a superuser, or as a role with CREATEROLE and CREATEDB.
-- Running it again changes nothing.
--   allod_owner    migrates; owns the schemas and tables
--   allod_app      the services; owns nothing; row-level security holds it to one account
--   allod_spine    outbox, event log and queue, across accounts
--   allod_definer  owns the narrow look-up functions that run before an account is known; nobody logs in as it
DO $$
DECLARE
    wanted text;
    -- From PostgreSQL 16 on, who makes a role is a member of it that may hand it on, and not yet one that may act for it.
    acts text := CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END;
BEGIN
    PERFORM pg_advisory_xact_lock(7031942051);
    FOREACH wanted IN ARRAY ARRAY['allod_owner', 'allod_app', 'allod_spine', 'allod_definer'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I NOCREATEDB NOCREATEROLE %s', wanted,
                           CASE wanted WHEN 'allod_definer' THEN 'NOLOGIN' ELSE 'LOGIN' END);
        END IF;
    END LOOP;
    -- Lets a migration give a function to allod_definer. PostgreSQL 16 and newer take this as WITH SET TRUE.
    IF NOT pg_has_role('allod_owner', 'allod_definer', acts) THEN
        GRANT allod_definer TO allod_owner;
    END IF;
    -- Lets mq.send look up the queue of many jobs once instead of once a job. Only a superuser may give this; without it
    -- that is slower, and nothing else.
    IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
        GRANT SET ON PARAMETER session_replication_role TO allod_definer;
    END IF;
    -- An administrator who isn't superuser may act for a role only as its member.
    IF NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
        IF NOT pg_has_role(current_user, 'allod_owner', acts) THEN
            EXECUTE format('GRANT allod_owner TO %I', current_user);
        END IF;
        IF NOT pg_has_role(current_user, 'allod_definer', acts) THEN
            EXECUTE format('GRANT allod_definer TO %I', current_user);
        END IF;
    END IF;
END
$$;
