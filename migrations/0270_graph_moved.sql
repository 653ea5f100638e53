-- graph: occurrences that stand for themselves, those that were deleted among them, are found without going through all
-- events.

CREATE INDEX entity_moved ON graph.entity (account, starts_at, id) WHERE type = 'Event' AND props ? 'recurrence_id';
