-- plugins: connections to providers and their sealed secrets. Written by plugins only.

CREATE SCHEMA plugins;
GRANT USAGE ON SCHEMA plugins TO allod_app, allod_definer;

CREATE TABLE plugins.connection (
    id uuid PRIMARY KEY,
    account uuid NOT NULL,
    plugin text NOT NULL,
    name text NOT NULL,
    -- What the owner set; defaults are the manifest's and are not written down here.
    settings jsonb NOT NULL,
    -- Ranges that are not public and that the owner allows this connection all the same, such as 127.0.0.0/8.
    allowed_ranges text[] NOT NULL,
    health text NOT NULL CHECK (health IN ('active', 'retrying', 'needs-reauthorisation', 'failed')),
    reason text NOT NULL,
    paused boolean NOT NULL,
    created_at timestamptz NOT NULL,
    -- When the provider was last asked for what it may have said meanwhile, and up to when its answer reaches.
    asked_at timestamptz,
    synced_to timestamptz NOT NULL
);
CREATE INDEX connection_account ON plugins.connection (account, created_at, id);
ALTER TABLE plugins.connection ENABLE ROW LEVEL SECURITY;
ALTER TABLE plugins.connection FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON plugins.connection TO allod_app
    USING (account = spine.account()) WITH CHECK (account = spine.account());
CREATE POLICY look_up ON plugins.connection FOR SELECT TO allod_definer USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON plugins.connection TO allod_app;
GRANT SELECT (id, account, plugin, paused, health, asked_at) ON plugins.connection TO allod_definer;

-- Sealed for the place plugins.secret/<connection>/<name>: a row that is moved to another connection does not open.
CREATE TABLE plugins.secret (
    account uuid NOT NULL,
    connection uuid NOT NULL REFERENCES plugins.connection ON DELETE CASCADE,
    name text NOT NULL,
    sealed bytea NOT NULL,
    set_at timestamptz NOT NULL,
    PRIMARY KEY (connection, name)
);
ALTER TABLE plugins.secret ENABLE ROW LEVEL SECURITY;
ALTER TABLE plugins.secret FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON plugins.secret TO allod_app
    USING (account = spine.account()) WITH CHECK (account = spine.account());
GRANT SELECT, INSERT, UPDATE, DELETE ON plugins.secret TO allod_app;

-- Whose connection a webhook's address names; null: nobody's. Asked before the account is known.
CREATE FUNCTION plugins.connection_lookup(plugin text, connection uuid) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT c.account FROM plugins.connection AS c WHERE c.id = $2 AND c.plugin = $1
$$;

-- Connections of a plugin whose provider was not asked since a moment, for the hub's own timekeeper. Ids only.
CREATE FUNCTION plugins.connections_due(plugin text, before timestamptz) RETURNS TABLE (account uuid, connection uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT c.account, c.id FROM plugins.connection AS c
    WHERE c.plugin = $1 AND NOT c.paused AND c.health <> 'needs-reauthorisation'
        AND (c.asked_at IS NULL OR c.asked_at < $2)
    ORDER BY c.asked_at NULLS FIRST, c.id LIMIT 1000
$$;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA plugins FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA plugins TO allod_app;
-- Whoever is to own a function must be allowed to create in its schema; only for as long as it takes.
GRANT CREATE ON SCHEMA plugins TO allod_definer;
ALTER FUNCTION plugins.connection_lookup(text, uuid) OWNER TO allod_definer;
ALTER FUNCTION plugins.connections_due(text, timestamptz) OWNER TO allod_definer;
REVOKE CREATE ON SCHEMA plugins FROM allod_definer;
