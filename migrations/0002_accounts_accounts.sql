-- accounts: who lives on this hub, the tokens that speak for them, the one-time set-up link. Written by accounts only.

CREATE SCHEMA accounts;
GRANT USAGE ON SCHEMA accounts TO allod_app, allod_definer;

-- `account` and not `id`, so that erasing an account finds the column that every personal table has.
CREATE TABLE accounts.account (
    account uuid PRIMARY KEY,
    handle text NOT NULL,
    display_name text NOT NULL,
    zone text NOT NULL,
    locale text NOT NULL,
    -- Argon2id in PHC form; null: nobody signs in with a password.
    password_hash text,
    is_owner boolean NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX account_handle ON accounts.account (lower(handle));
-- The hub has one owner.
CREATE UNIQUE INDEX account_owner ON accounts.account (is_owner) WHERE is_owner;
ALTER TABLE accounts.account ENABLE ROW LEVEL SECURITY;
ALTER TABLE accounts.account FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON accounts.account TO allod_app
    USING (account = spine.account()) WITH CHECK (account = spine.account());
CREATE POLICY look_up ON accounts.account FOR SELECT TO allod_definer USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON accounts.account TO allod_app;
GRANT SELECT ON accounts.account TO allod_definer;

-- Only the SHA-256 of a secret of 256 random bits is here. A revoked token stays, so that the log can name it.
CREATE TABLE accounts.token (
    token uuid PRIMARY KEY,
    account uuid NOT NULL REFERENCES accounts.account,
    kind text NOT NULL CHECK (kind IN ('device', 'api', 'session')),
    name text NOT NULL,
    hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX token_account ON accounts.token (account, created_at);
ALTER TABLE accounts.token ENABLE ROW LEVEL SECURITY;
ALTER TABLE accounts.token FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON accounts.token TO allod_app
    USING (account = spine.account()) WITH CHECK (account = spine.account());
CREATE POLICY look_up ON accounts.token FOR SELECT TO allod_definer USING (true);
CREATE POLICY sign_in ON accounts.token FOR INSERT TO allod_definer WITH CHECK (kind = 'session');
GRANT SELECT, INSERT, UPDATE, DELETE ON accounts.token TO allod_app;
GRANT SELECT, INSERT ON accounts.token TO allod_definer;

-- The one-time set-up link. Reached through the functions below only.
CREATE TABLE accounts.setup_token (
    hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
GRANT SELECT, INSERT, UPDATE, DELETE ON accounts.setup_token TO allod_definer;

-- The good token with this hash, for this door. Asked before the account is known.
CREATE FUNCTION accounts.token_lookup(kind text, hash bytea, now timestamptz) RETURNS TABLE (token uuid, account uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.token, t.account FROM accounts.token AS t
    WHERE t.hash = $2 AND t.kind = $1 AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > $3)
$$;

-- What a sign-in is checked against.
CREATE FUNCTION accounts.login_lookup(handle text) RETURNS TABLE (account uuid, password_hash text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT a.account, a.password_hash FROM accounts.account AS a WHERE lower(a.handle) = lower($1)
$$;

-- A session for whoever gave the right password. It counts only for the minute in which it is confirmed from within
-- the account (see on_sign_in), where the event and the audit are written.
CREATE FUNCTION accounts.session_open(
    token uuid, account uuid, name text, hash bytea, now timestamptz
) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO accounts.token (token, account, kind, name, hash, created_at, expires_at)
    VALUES ($1, $2, 'session', $3, $4, $5, $5 + interval '1 minute')
$$;

-- Who lives here, for the operator. Holds no password hash.
CREATE FUNCTION accounts.account_list() RETURNS TABLE (
    account uuid, handle text, display_name text, zone text, locale text, is_owner boolean, created_at timestamptz
)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT a.account, a.handle, a.display_name, a.zone, a.locale, a.is_owner, a.created_at
    FROM accounts.account AS a ORDER BY a.created_at, a.account LIMIT 1000
$$;

-- The account with this handle or id, for the operator's choice. Null: there is none.
CREATE FUNCTION accounts.account_lookup(handle_or_id text) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT a.account FROM accounts.account AS a WHERE lower(a.handle) = lower($1) OR a.account::text = lower($1)
$$;

-- True while nobody lives here. Says it to one transaction at a time, so that there is one first account.
CREATE FUNCTION accounts.is_empty() RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('accounts.is_empty'));
    RETURN NOT EXISTS (SELECT FROM accounts.account);
END $$;

-- A new set-up link in the place of every older one. False: somebody lives here already, and there is no link.
CREATE FUNCTION accounts.setup_issue(hash bytea, now timestamptz, expires_at timestamptz) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM accounts.setup_token;
    IF NOT accounts.is_empty() THEN
        RETURN false;
    END IF;
    INSERT INTO accounts.setup_token (hash, created_at, expires_at) VALUES ($1, $2, $3);
    RETURN true;
END $$;

-- True: the link is good, nobody lives here, and whoever asks may set the hub up.
CREATE FUNCTION accounts.setup_is_open(hash bytea, now timestamptz) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM accounts.setup_token AS s WHERE s.hash = $1 AND s.used_at IS NULL AND s.expires_at > $2)
        AND NOT EXISTS (SELECT FROM accounts.account)
$$;

-- Uses the link up, in the transaction that makes the account. False: it is wrong, old or used.
CREATE FUNCTION accounts.setup_use(hash bytea, now timestamptz) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT accounts.is_empty() THEN
        RETURN false;
    END IF;
    UPDATE accounts.setup_token AS s SET used_at = $2 WHERE s.hash = $1 AND s.used_at IS NULL AND s.expires_at > $2;
    RETURN FOUND;
END $$;

-- The functions run as a role that may look across accounts in these tables and do nothing else. A function's new
-- owner must be allowed to create in its schema at that moment (PostgreSQL 15), and never again.
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA accounts FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA accounts TO allod_app;
GRANT CREATE ON SCHEMA accounts TO allod_definer;
DO $$
DECLARE
    f regprocedure;
BEGIN
    FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'accounts'::regnamespace LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO allod_definer', f);
    END LOOP;
END $$;
REVOKE CREATE ON SCHEMA accounts FROM allod_definer;
