-- state: facts of any reading, with expiry; what each source last said; the owner's settings. Written by the state
-- service only. All of it can be made anew from the log.

ALTER TABLE state.fact
    ADD COLUMN unit text,
    -- From when on it reads as unknown, unless it is seen to hold again before; null: never.
    ADD COLUMN expires_at timestamptz,
    -- True once the log tells that it expired.
    ADD COLUMN expiry_told boolean NOT NULL DEFAULT false,
    -- The owner's word that it is unknown from here on.
    ADD COLUMN retracted boolean NOT NULL DEFAULT false;

-- The newest word of each source about a key: what is known when another one falls silent.
CREATE TABLE state.signal (
    account uuid NOT NULL,
    key text NOT NULL,
    -- By whom it is weighed; `source` is what people are told.
    voice text NOT NULL,
    source text NOT NULL,
    value jsonb NOT NULL,
    unit text,
    taken_at timestamptz NOT NULL,
    confidence double precision NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    expires_at timestamptz,
    PRIMARY KEY (account, key, voice)
);
ALTER TABLE state.signal ENABLE ROW LEVEL SECURITY;
ALTER TABLE state.signal FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON state.signal TO allod_app USING (account = spine.account()) WITH CHECK (account = spine.account());
GRANT SELECT, INSERT, UPDATE, DELETE ON state.signal TO allod_app;

-- How long readings of a key hold, by the owner's wish.
CREATE TABLE state.setting (
    account uuid NOT NULL,
    key text NOT NULL,
    -- Null: for ever.
    valid_for_s bigint CHECK (valid_for_s > 0),
    -- Of the event that said so: an older one changes nothing.
    position bigint NOT NULL,
    PRIMARY KEY (account, key)
);
ALTER TABLE state.setting ENABLE ROW LEVEL SECURITY;
ALTER TABLE state.setting FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON state.setting TO allod_app USING (account = spine.account()) WITH CHECK (account = spine.account());
GRANT SELECT, INSERT, UPDATE, DELETE ON state.setting TO allod_app;

-- When facts expire: what the hub's timekeeper looks at. `asked`: the log has been told that this moment passed.
CREATE TABLE state.deadline (
    account uuid NOT NULL,
    key text NOT NULL,
    at timestamptz NOT NULL,
    asked boolean NOT NULL DEFAULT false,
    PRIMARY KEY (account, key)
);
CREATE INDEX deadline_at ON state.deadline (at) WHERE NOT asked;
ALTER TABLE state.deadline ENABLE ROW LEVEL SECURITY;
ALTER TABLE state.deadline FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON state.deadline TO allod_app USING (account = spine.account()) WITH CHECK (account = spine.account());
GRANT SELECT, INSERT, UPDATE, DELETE ON state.deadline TO allod_app;

-- Up to which position of the log events were folded: what comes again from before is a replay.
ALTER TABLE state.whereabouts ADD COLUMN folded_to bigint NOT NULL DEFAULT 0;

-- In which accounts a fact expired by a moment and nobody has told. Ids only.
CREATE FUNCTION state.accounts_due(by timestamptz) RETURNS TABLE (account uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT DISTINCT d.account FROM state.deadline AS d WHERE d.at <= $1 AND NOT d.asked LIMIT 1000
$$;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA state FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA state TO allod_app;
CREATE POLICY look_up ON state.deadline FOR SELECT TO allod_definer USING (true);
GRANT SELECT ON state.deadline TO allod_definer;
GRANT USAGE ON SCHEMA state TO allod_definer;
-- Whoever is to own a function must be allowed to create in its schema; only for as long as it takes.
GRANT CREATE ON SCHEMA state TO allod_definer;
ALTER FUNCTION state.accounts_due(timestamptz) OWNER TO allod_definer;
REVOKE CREATE ON SCHEMA state FROM allod_definer;
