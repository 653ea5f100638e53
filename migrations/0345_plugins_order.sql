-- plugins: with which pack and settings a stream was read, and of when a provider's word about a thing is.

ALTER TABLE plugins.stream
    -- Hash of the pack and the connection's settings at the last reading from the beginning; '' before this was kept.
    ADD COLUMN read_by text NOT NULL DEFAULT '';

CREATE TABLE plugins.told (
    account uuid NOT NULL,
    connection uuid NOT NULL REFERENCES plugins.connection ON DELETE CASCADE,
    -- Of stream and the provider's id, keyed.
    thing bytea NOT NULL,
    -- By the provider's own clock: what it said of an earlier moment is not taken any more.
    as_of timestamptz NOT NULL,
    PRIMARY KEY (connection, thing)
);
CREATE INDEX told_account ON plugins.told (account);
ALTER TABLE plugins.told ENABLE ROW LEVEL SECURITY;
ALTER TABLE plugins.told FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON plugins.told TO allod_app
    USING (account = (SELECT spine.account())) WITH CHECK (account = (SELECT spine.account()));
GRANT SELECT, INSERT, UPDATE, DELETE ON plugins.told TO allod_app;
