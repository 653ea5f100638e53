-- graph: series of events are found without going through all events.

CREATE INDEX entity_series ON graph.entity (account, starts_at DESC, id)
    WHERE type = 'Event' AND deleted_at IS NULL AND merged_into IS NULL
        AND (props ? 'recurrence' OR props ? 'recurrence_dates');
