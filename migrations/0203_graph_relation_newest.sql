-- graph: the newest relations of an entity with very many of them, without reading the others.

CREATE INDEX relation_from_newest ON graph.relation (account, from_entity, recorded_at DESC, id DESC)
    WHERE removed_at IS NULL;
CREATE INDEX relation_to_newest ON graph.relation (account, to_entity, recorded_at DESC, id DESC)
    WHERE removed_at IS NULL;
