-- state: facts about the present with their history, folded from the event log. Written by the state service only.
-- All of it can be made anew from the log.

CREATE SCHEMA state;
GRANT USAGE ON SCHEMA state TO allod_app;

-- One row a change. A fact holds from `position` of the log on, until the next row of its key.
CREATE TABLE state.fact (
    account uuid NOT NULL,
    key text NOT NULL,
    position bigint NOT NULL,
    value jsonb NOT NULL,
    -- Since when it holds in the world; `observed_at`: when it was last seen to hold.
    since timestamptz NOT NULL,
    source text NOT NULL,
    confidence double precision NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    observed_at timestamptz NOT NULL,
    PRIMARY KEY (account, key, position)
);
ALTER TABLE state.fact ENABLE ROW LEVEL SECURITY;
ALTER TABLE state.fact FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON state.fact TO allod_app USING (account = spine.account()) WITH CHECK (account = spine.account());
GRANT SELECT, INSERT, UPDATE, DELETE ON state.fact TO allod_app;

-- What the fold of positions remembers between two of them.
CREATE TABLE state.whereabouts (
    account uuid PRIMARY KEY,
    -- The places that the owner is in, nested ones too.
    places uuid[] NOT NULL DEFAULT '{}',
    -- Times of the newest position and battery reading used: older ones come too late.
    fix_at timestamptz,
    battery_at timestamptz
);
ALTER TABLE state.whereabouts ENABLE ROW LEVEL SECURITY;
ALTER TABLE state.whereabouts FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON state.whereabouts TO allod_app
    USING (account = spine.account()) WITH CHECK (account = spine.account());
GRANT SELECT, INSERT, UPDATE, DELETE ON state.whereabouts TO allod_app;
