-- etl: files that somebody imports, and how far each is. Written by the etl service only. The file itself lies in the data
-- directory until its import ends; what it held is kept, sealed, as raw records.

CREATE SCHEMA etl;
GRANT USAGE ON SCHEMA etl TO allod_app;

CREATE TABLE etl.import (
    account uuid NOT NULL,
    id uuid NOT NULL,
    -- As its owner calls it: shown, and never a path.
    filename text NOT NULL,
    format text NOT NULL CHECK (format IN ('vcard', 'ical', 'mbox', 'csv', 'jsonld')),
    state text NOT NULL CHECK (state IN ('waiting', 'running', 'finished', 'cancelled', 'failed')),
    -- Why it failed.
    reason text,
    bytes bigint NOT NULL CHECK (bytes >= 0),
    -- How much of the file is understood. Moves in the commit that takes the records in.
    position bigint NOT NULL DEFAULT 0 CHECK (position BETWEEN 0 AND bytes),
    taken bigint NOT NULL DEFAULT 0,
    new bigint NOT NULL DEFAULT 0,
    known bigint NOT NULL DEFAULT 0,
    parked bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    started_at timestamptz,
    finished_at timestamptz,
    PRIMARY KEY (account, id),
    CHECK ((state = 'failed') = (reason IS NOT NULL))
);
CREATE INDEX import_list ON etl.import (account, created_at DESC, id DESC);

ALTER TABLE etl.import ENABLE ROW LEVEL SECURITY;
ALTER TABLE etl.import FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON etl.import TO allod_app
    USING (account = spine.account()) WITH CHECK (account = spine.account());
GRANT SELECT, INSERT, UPDATE, DELETE ON etl.import TO allod_app;
