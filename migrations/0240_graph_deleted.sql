-- graph: what was deleted is listed, the latest deletion first.

CREATE INDEX entity_deleted ON graph.entity (account, deleted_at, id) WHERE deleted_at IS NOT NULL;
