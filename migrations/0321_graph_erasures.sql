-- graph: what is being erased. It is hidden from the order on, and can't be restored; the row goes with the entity.

CREATE TABLE graph.erasure (
    account uuid NOT NULL,
    entity uuid NOT NULL,
    job uuid NOT NULL,
    ordered_at timestamptz NOT NULL,
    PRIMARY KEY (account, entity),
    FOREIGN KEY (account, entity) REFERENCES graph.entity (account, id)
);

ALTER TABLE graph.erasure ENABLE ROW LEVEL SECURITY;
ALTER TABLE graph.erasure FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON graph.erasure TO allod_app
    USING (account = (SELECT spine.account())) WITH CHECK (account = (SELECT spine.account()));
GRANT SELECT, INSERT, UPDATE, DELETE ON graph.erasure TO allod_app;
