-- channels: attempts to hand messages to providers. Written by the channels service only.

CREATE SCHEMA channels;
GRANT USAGE ON SCHEMA channels TO allod_app;

-- One row an attempt, committed before the request leaves the hub. Holds no address and no text.
CREATE TABLE channels.attempt (
    account uuid NOT NULL,
    id uuid PRIMARY KEY,
    message uuid NOT NULL,
    connection uuid NOT NULL,
    plugin text NOT NULL,
    created_at timestamptz NOT NULL,
    -- started: the outcome is not known here. unknown: the request was made and its outcome can't be known from the
    -- answer. accepted: the provider answered (or called back). adopted: found in the provider's records.
    -- refused: certainly not taken. disproved: not in the provider's records after the grace.
    state text NOT NULL CHECK (state IN ('started', 'accepted', 'refused', 'unknown', 'disproved', 'adopted')),
    remote_id text,
    reason text,
    finished_at timestamptz
);
CREATE INDEX attempt_message ON channels.attempt (account, message, created_at);
-- One message of the provider is adopted once.
CREATE UNIQUE INDEX attempt_remote ON channels.attempt (account, connection, remote_id) WHERE remote_id IS NOT NULL;
-- A message has one attempt at a time that may have reached the provider.
CREATE UNIQUE INDEX attempt_open ON channels.attempt (account, message)
    WHERE state IN ('started', 'unknown', 'accepted', 'adopted');
ALTER TABLE channels.attempt ENABLE ROW LEVEL SECURITY;
ALTER TABLE channels.attempt FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON channels.attempt TO allod_app
    USING (account = spine.account()) WITH CHECK (account = spine.account());
GRANT SELECT, INSERT, UPDATE, DELETE ON channels.attempt TO allod_app;
