-- graph: which revision of a record is the newest, and which entities a record spoke of.

-- Since when the source says something else of the same thing; null: this is its word. (The owner of the tables is bound
-- by their policies, too, until told else.)
ALTER TABLE graph.raw_record ADD COLUMN superseded_at timestamptz;
ALTER TABLE graph.raw_record NO FORCE ROW LEVEL SECURITY;
UPDATE graph.raw_record r SET superseded_at = (SELECT min(newer.received_at) FROM graph.raw_record newer
        WHERE newer.account = r.account AND newer.source = r.source AND newer.stream = r.stream
            AND newer.remote_key = r.remote_key AND (newer.received_at, newer.id) > (r.received_at, r.id));
ALTER TABLE graph.raw_record FORCE ROW LEVEL SECURITY;

-- Entities that a record spoke of, though they were there and it changed nothing. `subject`: the record is all that its
-- source says of it, and goes when it is erased, whatever else it spoke of.
CREATE TABLE graph.record_entity (
    account uuid NOT NULL,
    raw_record uuid NOT NULL,
    entity uuid NOT NULL,
    subject boolean NOT NULL,
    PRIMARY KEY (account, entity, raw_record),
    FOREIGN KEY (account, raw_record) REFERENCES graph.raw_record (account, id),
    FOREIGN KEY (account, entity) REFERENCES graph.entity (account, id)
);
CREATE INDEX record_entity_record ON graph.record_entity (account, raw_record);

-- Of what came before, all revisions of a record spoke of what one of them is known to have spoken of.
ALTER TABLE graph.raw_record NO FORCE ROW LEVEL SECURITY;
ALTER TABLE graph.entity NO FORCE ROW LEVEL SECURITY;
ALTER TABLE graph.claim NO FORCE ROW LEVEL SECURITY;
INSERT INTO graph.record_entity (account, raw_record, entity, subject)
    SELECT DISTINCT known.account, other.id, known.entity, false
    FROM (
        SELECT account, raw_record, id AS entity FROM graph.entity WHERE raw_record IS NOT NULL
        UNION SELECT account, raw_record, entity FROM graph.claim WHERE raw_record IS NOT NULL
    ) known
    JOIN graph.raw_record r ON r.account = known.account AND r.id = known.raw_record
    JOIN graph.raw_record other ON other.account = r.account AND other.source = r.source AND other.stream = r.stream
        AND other.remote_key = r.remote_key;
ALTER TABLE graph.raw_record FORCE ROW LEVEL SECURITY;
ALTER TABLE graph.entity FORCE ROW LEVEL SECURITY;
ALTER TABLE graph.claim FORCE ROW LEVEL SECURITY;

ALTER TABLE graph.record_entity ENABLE ROW LEVEL SECURITY;
ALTER TABLE graph.record_entity FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON graph.record_entity TO allod_app
    USING (account = (SELECT spine.account())) WITH CHECK (account = (SELECT spine.account()));
GRANT SELECT, INSERT, UPDATE, DELETE ON graph.record_entity TO allod_app;
