-- plugins: streams of a connection with their checkpoints, and what a connection keeps for itself. Written by plugins
-- only.

CREATE TABLE plugins.stream (
    id uuid PRIMARY KEY,
    account uuid NOT NULL,
    connection uuid NOT NULL REFERENCES plugins.connection ON DELETE CASCADE,
    -- As the manifest declares it, and which part of it (a folder, an address book); '' if it has none.
    name text NOT NULL,
    part text NOT NULL,
    -- What the reading is for that is under way, or comes next.
    mode text NOT NULL CHECK (mode IN ('full', 'incremental', 'reconcile')),
    -- In the source's own words; null: from the beginning.
    cursor jsonb,
    -- Counts the commits of pages: a page is committed only after the one that it was asked after.
    page bigint NOT NULL,
    -- The reading has pages left.
    under_way boolean NOT NULL,
    -- Of the reading that is under way or was the last: records and milliseconds so far, and records in all, about.
    done bigint NOT NULL,
    busy_ms bigint NOT NULL,
    estimate bigint,
    -- Of all readings.
    taken bigint NOT NULL,
    known bigint NOT NULL,
    parked bigint NOT NULL,
    -- When a reading last came to its end, and when one from the beginning did; null: never.
    read_at timestamptz,
    whole_at timestamptz,
    -- When the hub asks next by itself; infinity: not before somebody wants it.
    next_at timestamptz NOT NULL,
    -- Failures in a row, the class of the last one and why, for the owner.
    failures integer NOT NULL,
    class text CHECK (class IN ('configuration', 'transient', 'bug')),
    reason text NOT NULL,
    UNIQUE (connection, name, part)
);
CREATE INDEX stream_due ON plugins.stream (next_at);
CREATE INDEX stream_account ON plugins.stream (account);
ALTER TABLE plugins.stream ENABLE ROW LEVEL SECURITY;
ALTER TABLE plugins.stream FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON plugins.stream TO allod_app
    USING (account = (SELECT spine.account())) WITH CHECK (account = (SELECT spine.account()));
CREATE POLICY look_up ON plugins.stream FOR SELECT TO allod_definer USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON plugins.stream TO allod_app;
GRANT SELECT (id, account, connection, next_at) ON plugins.stream TO allod_definer;

CREATE TABLE plugins.kept (
    account uuid NOT NULL,
    connection uuid NOT NULL REFERENCES plugins.connection ON DELETE CASCADE,
    key text NOT NULL,
    value jsonb NOT NULL,
    PRIMARY KEY (connection, key)
);
CREATE INDEX kept_account ON plugins.kept (account);
ALTER TABLE plugins.kept ENABLE ROW LEVEL SECURITY;
ALTER TABLE plugins.kept FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON plugins.kept TO allod_app
    USING (account = (SELECT spine.account())) WITH CHECK (account = (SELECT spine.account()));
GRANT SELECT, INSERT, UPDATE, DELETE ON plugins.kept TO allod_app;

-- Streams that are to be read by a moment, for the hub's own timekeeper. Ids only.
CREATE FUNCTION plugins.streams_due(at timestamptz)
    RETURNS TABLE (account uuid, plugin text, connection uuid, stream uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT s.account, c.plugin, s.connection, s.id
    FROM plugins.stream AS s JOIN plugins.connection AS c ON c.id = s.connection
    WHERE s.next_at <= $1 AND NOT c.paused
    ORDER BY s.next_at LIMIT 1000
$$;
REVOKE EXECUTE ON FUNCTION plugins.streams_due(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION plugins.streams_due(timestamptz) TO allod_app;
GRANT CREATE ON SCHEMA plugins TO allod_definer;
ALTER FUNCTION plugins.streams_due(timestamptz) OWNER TO allod_definer;
REVOKE CREATE ON SCHEMA plugins FROM allod_definer;
