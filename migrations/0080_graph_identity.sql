-- graph: merges that redirect, what the owner decided about pairs, deletion that can be undone.

-- `absorbed` counts the entities that were merged directly into this one: a reader that has locked the row needs no
-- second look. `deleted_by` says whose deletion it is: what the owner deleted no import brings back.
ALTER TABLE graph.entity
    ADD COLUMN absorbed integer NOT NULL DEFAULT 0 CHECK (absorbed >= 0),
    ADD COLUMN deleted_by text CHECK (deleted_by IN ('user', 'connector', 'rule', 'agent', 'peer')),
    ADD CHECK (merged_into <> id);
UPDATE graph.entity SET deleted_by = 'user' WHERE deleted_at IS NOT NULL;
ALTER TABLE graph.entity ADD CHECK ((deleted_at IS NULL) = (deleted_by IS NULL));

-- How two entities stand to each other: `suggested` to be one, `merged`, or `distinct`, which is never asked again.
-- The pair is kept in the order of the ids, so that there is one row for it.
CREATE TABLE graph.merge_decision (
    account uuid NOT NULL,
    id uuid NOT NULL,
    first_entity uuid NOT NULL,
    second_entity uuid NOT NULL,
    standing text NOT NULL CHECK (standing IN ('suggested', 'merged', 'distinct')),
    reason text NOT NULL,
    score real NOT NULL CHECK (score BETWEEN 0 AND 1),
    decided_by text NOT NULL CHECK (decided_by IN ('user', 'connector', 'rule', 'agent', 'peer', 'hub')),
    decided_at timestamptz NOT NULL,
    PRIMARY KEY (account, id),
    UNIQUE (account, first_entity, second_entity),
    CHECK (first_entity < second_entity),
    FOREIGN KEY (account, first_entity) REFERENCES graph.entity (account, id),
    FOREIGN KEY (account, second_entity) REFERENCES graph.entity (account, id)
);
CREATE INDEX merge_decision_second ON graph.merge_decision (account, second_entity);
CREATE INDEX merge_decision_list ON graph.merge_decision (account, standing, decided_at, id);

-- By what names sound like, people are found who may be one.
CREATE TABLE graph.name_sound (
    account uuid NOT NULL,
    entity uuid NOT NULL,
    sound text NOT NULL,
    PRIMARY KEY (account, entity),
    FOREIGN KEY (account, entity) REFERENCES graph.entity (account, id)
);
CREATE INDEX name_sound_alike ON graph.name_sound (account, sound);

-- Where the merges of an entity lead. Merges form trees, and a cycle can't be: only roots are merged.
CREATE FUNCTION graph.entity_root(of_account uuid, of_entity uuid) RETURNS uuid
LANGUAGE sql STABLE
SET search_path = pg_catalog
AS $$
    WITH RECURSIVE up AS (
        SELECT e.id, e.merged_into FROM graph.entity e WHERE e.account = of_account AND e.id = of_entity
        UNION ALL
        SELECT e.id, e.merged_into FROM up JOIN graph.entity e ON e.account = of_account AND e.id = up.merged_into
    )
    SELECT id FROM up WHERE merged_into IS NULL
$$;

-- An entity with all that were merged into it, at any depth.
CREATE FUNCTION graph.entity_members(of_account uuid, of_entity uuid) RETURNS uuid[]
LANGUAGE sql STABLE
SET search_path = pg_catalog
AS $$
    WITH RECURSIVE down AS (
        SELECT e.id FROM graph.entity e WHERE e.account = of_account AND e.id = of_entity
        UNION ALL
        SELECT e.id FROM down JOIN graph.entity e ON e.account = of_account AND e.merged_into = down.id
    )
    SELECT coalesce(array_agg(id), '{}') FROM down
$$;
GRANT EXECUTE ON FUNCTION graph.entity_root(uuid, uuid), graph.entity_members(uuid, uuid) TO allod_app;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['merge_decision', 'name_sound']
    LOOP
        EXECUTE format('ALTER TABLE graph.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE graph.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own ON graph.%I TO allod_app '
            'USING (account = spine.account()) WITH CHECK (account = spine.account())', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON graph.%I TO allod_app', name);
    END LOOP;
END $$;
