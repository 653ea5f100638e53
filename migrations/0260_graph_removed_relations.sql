-- graph: what an entity was related to at a moment. What holds is found by the indexes of the newest; what was removed
-- since, by these.
CREATE INDEX relation_from_removed ON graph.relation (account, from_entity, removed_at) WHERE removed_at IS NOT NULL;
CREATE INDEX relation_to_removed ON graph.relation (account, to_entity, removed_at) WHERE removed_at IS NOT NULL;
