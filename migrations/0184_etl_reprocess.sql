-- etl: how far understanding records again has come, so that after a stop it goes on there.

CREATE TABLE etl.reprocess (
    account uuid NOT NULL,
    -- The job that does it; the same for all its attempts.
    job uuid NOT NULL,
    -- Records up to this id are understood again.
    after uuid NOT NULL,
    records bigint NOT NULL,
    parked bigint NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (account, job)
);
ALTER TABLE etl.reprocess ENABLE ROW LEVEL SECURITY;
ALTER TABLE etl.reprocess FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON etl.reprocess TO allod_app
    USING (account = (SELECT spine.account())) WITH CHECK (account = spine.account());
GRANT SELECT, INSERT, UPDATE, DELETE ON etl.reprocess TO allod_app;
