-- graph: what was written before there were timelines (0081) is put on them by the hub, which knows how an address is
-- spelt; here only stands in whose graph, and how far it has come.

CREATE TABLE graph.timeline_gap (
    account uuid PRIMARY KEY,
    -- Entities up to this id are on their timelines.
    after uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000'
);
-- (The owner of the tables is bound by their policies, too, until told else.)
ALTER TABLE graph.entity NO FORCE ROW LEVEL SECURITY;
INSERT INTO graph.timeline_gap (account) SELECT DISTINCT account FROM graph.entity WHERE starts_at IS NOT NULL;
ALTER TABLE graph.entity FORCE ROW LEVEL SECURITY;

ALTER TABLE graph.timeline_gap ENABLE ROW LEVEL SECURITY;
ALTER TABLE graph.timeline_gap FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON graph.timeline_gap TO allod_app
    USING (account = (SELECT spine.account())) WITH CHECK (account = spine.account());
GRANT SELECT, INSERT, UPDATE, DELETE ON graph.timeline_gap TO allod_app;
CREATE POLICY look_up ON graph.timeline_gap FOR SELECT TO allod_definer USING (true);
GRANT USAGE ON SCHEMA graph TO allod_definer;
GRANT SELECT ON graph.timeline_gap TO allod_definer;

-- Whose timelines have a gap. Ids only.
CREATE FUNCTION graph.accounts_with_gaps() RETURNS TABLE (account uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT g.account FROM graph.timeline_gap AS g ORDER BY g.account LIMIT 1000
$$;
REVOKE EXECUTE ON FUNCTION graph.accounts_with_gaps() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION graph.accounts_with_gaps() TO allod_app;
-- Whoever is to own a function must be allowed to create in its schema; only for as long as it takes.
GRANT CREATE ON SCHEMA graph TO allod_definer;
ALTER FUNCTION graph.accounts_with_gaps() OWNER TO allod_definer;
REVOKE CREATE ON SCHEMA graph FROM allod_definer;
