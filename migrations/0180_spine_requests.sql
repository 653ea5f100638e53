-- spine: answers to requests that carried an Idempotency-Key, in one table for the routes of all services.

-- Kept for a day. Key and request are HMACs.
CREATE TABLE spine.request (
    account uuid NOT NULL,
    key bytea NOT NULL,
    request bytea NOT NULL,
    -- What it led to. Null only inside the transaction that does it.
    answer uuid,
    at timestamptz NOT NULL,
    PRIMARY KEY (account, key)
);
CREATE INDEX request_at ON spine.request (account, at);

-- A request of the last day stays answered. (The owner of the tables is bound by their policies, too, until told else.)
ALTER TABLE graph.request NO FORCE ROW LEVEL SECURITY;
ALTER TABLE intentions.request NO FORCE ROW LEVEL SECURITY;
ALTER TABLE channels.request NO FORCE ROW LEVEL SECURITY;
INSERT INTO spine.request (account, key, request, answer, at)
    SELECT account, key, request, answer, at FROM graph.request
    UNION ALL SELECT account, key, request, answer, at FROM intentions.request
    UNION ALL SELECT account, key, request, message, at FROM channels.request;
DROP TABLE graph.request;
DROP TABLE intentions.request;
DROP TABLE channels.request;

ALTER TABLE spine.request ENABLE ROW LEVEL SECURITY;
ALTER TABLE spine.request FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON spine.request TO allod_app
    USING (account = (SELECT spine.account())) WITH CHECK (account = spine.account());
GRANT SELECT, INSERT, UPDATE, DELETE ON spine.request TO allod_app;
