-- graph: what happened around somebody or some place, by time, without walking all of its relations.

-- `about` is an entity (by a relation to the item) or an identifier (an address that the item names): who bears the
-- address is asked when the timeline is read, so that a number that becomes Sam's brings its old calls along.
CREATE TABLE graph.timeline (
    account uuid NOT NULL,
    item uuid NOT NULL,
    about uuid NOT NULL,
    role text NOT NULL,
    kind text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (account, item, about, role),
    FOREIGN KEY (account, item) REFERENCES graph.entity (account, id)
);
CREATE INDEX timeline_about ON graph.timeline (account, about, at DESC, item DESC);
CREATE INDEX timeline_about_kind ON graph.timeline (account, about, kind, at DESC, item DESC);
CREATE INDEX entity_time_kind ON graph.entity (account, type, starts_at, id)
    WHERE starts_at IS NOT NULL AND deleted_at IS NULL;

ALTER TABLE graph.timeline ENABLE ROW LEVEL SECURITY;
ALTER TABLE graph.timeline FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON graph.timeline TO allod_app
    USING (account = spine.account()) WITH CHECK (account = spine.account());
GRANT SELECT, INSERT, UPDATE, DELETE ON graph.timeline TO allod_app;
