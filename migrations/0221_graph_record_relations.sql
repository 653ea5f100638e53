-- graph: which records state a relation, beside the one that it was first read from.

-- A source has one row for a relation, whichever of its records state it (graph.relation.raw_record is one of them). What
-- the last of them doesn't state any more is over.
CREATE TABLE graph.record_relation (
    account uuid NOT NULL,
    raw_record uuid NOT NULL,
    relation uuid NOT NULL,
    PRIMARY KEY (account, relation, raw_record),
    FOREIGN KEY (account, raw_record) REFERENCES graph.raw_record (account, id),
    FOREIGN KEY (account, relation) REFERENCES graph.relation (account, id)
);
CREATE INDEX record_relation_record ON graph.record_relation (account, raw_record);

ALTER TABLE graph.record_relation ENABLE ROW LEVEL SECURITY;
ALTER TABLE graph.record_relation FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON graph.record_relation TO allod_app
    USING (account = (SELECT spine.account())) WITH CHECK (account = (SELECT spine.account()));
GRANT SELECT, INSERT, UPDATE, DELETE ON graph.record_relation TO allod_app;
