-- channels: answers to requests that carried an Idempotency-Key.

-- Kept for a day. Key and request are HMACs.
CREATE TABLE channels.request (
    account uuid NOT NULL,
    key bytea NOT NULL,
    request bytea NOT NULL,
    message uuid NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (account, key)
);
CREATE INDEX request_at ON channels.request (account, at);
ALTER TABLE channels.request ENABLE ROW LEVEL SECURITY;
ALTER TABLE channels.request FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON channels.request TO allod_app
    USING (account = spine.account()) WITH CHECK (account = spine.account());
GRANT SELECT, INSERT, UPDATE, DELETE ON channels.request TO allod_app;
