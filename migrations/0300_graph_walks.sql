-- graph: where relations lead, and whether they hold, is in the indexes: a walk reads none of the relations themselves.

DROP INDEX graph.relation_from, graph.relation_to;
CREATE INDEX relation_from ON graph.relation (account, from_entity, to_entity, predicate) INCLUDE (removed_at);
CREATE INDEX relation_to ON graph.relation (account, to_entity, from_entity, predicate) INCLUDE (removed_at);
