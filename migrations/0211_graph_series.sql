-- graph: what a series of events or tasks says besides its rule (RFC 5545, RDATE, EXDATE and TZID).

UPDATE graph.entity_type SET schema = jsonb_set(schema, '{properties}', schema -> 'properties' || '{
    "recurrence_dates": {"type": "array"}
}'::jsonb) WHERE name IN ('Event', 'Task');

UPDATE graph.entity_type SET schema = jsonb_set(schema, '{properties}', schema -> 'properties' || '{
    "time_zone": {"type": "string", "maxLength": 64},
    "recurrence_exceptions": {"type": "array"}
}'::jsonb) WHERE name = 'Task';
