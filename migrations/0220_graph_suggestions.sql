-- graph: open questions by how likely they are, and people by their birthday.

CREATE INDEX merge_decision_open ON graph.merge_decision (account, score DESC, id) WHERE standing = 'suggested';
CREATE INDEX entity_birthday ON graph.entity (account, (props ->> 'birthday'))
    WHERE type = 'Person' AND props ? 'birthday' AND deleted_at IS NULL AND merged_into IS NULL;
