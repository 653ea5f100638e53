-- graph: what a Task and a Goal may say, after VTODO (RFC 5545): DTSTART, DUE, COMPLETED, PERCENT-COMPLETE, PRIORITY,
-- RRULE and VALARM. A time is an instant, a local time or a day, as text.

UPDATE graph.entity_type SET schema = jsonb_set(schema, '{properties}', schema -> 'properties' || '{
    "start_at": {"type": "string", "maxLength": 40},
    "percent": {"type": "integer", "minimum": 0, "maximum": 100},
    "recurrence_start": {"type": "string", "maxLength": 40},
    "reminders": {"type": "array"}
}'::jsonb) WHERE name = 'Task';

UPDATE graph.entity_type SET schema = jsonb_set(schema, '{properties}', schema -> 'properties' || '{
    "start_at": {"type": "string", "maxLength": 40},
    "completed_at": {"type": "string", "maxLength": 40},
    "priority": {"type": "integer", "minimum": 0, "maximum": 9}
}'::jsonb) WHERE name = 'Goal';
