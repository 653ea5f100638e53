-- graph: what cards, calendars and mails say beyond what the types knew: after vCard (RFC 6350), iCalendar (RFC 5545) and
-- mail (RFC 5322).

UPDATE graph.entity_type SET schema = jsonb_set(schema, '{properties}', schema -> 'properties' || '{
    "address": {"type": "string", "maxLength": 1024},
    "organization": {"type": "string", "maxLength": 512}
}'::jsonb) WHERE name = 'Person';

UPDATE graph.entity_type SET schema = jsonb_set(schema, '{properties}', schema -> 'properties' || '{
    "address": {"type": "string", "maxLength": 1024}
}'::jsonb) WHERE name = 'Organization';

UPDATE graph.entity_type SET schema = jsonb_set(schema, '{properties}', schema -> 'properties' || '{
    "recipients": {"type": "array"},
    "cc": {"type": "array"},
    "bcc": {"type": "array"},
    "reply_to": {"type": "string", "maxLength": 512},
    "attachments": {"type": "array"},
    "in_reply_to": {"type": "string", "maxLength": 512}
}'::jsonb) WHERE name = 'Message';

UPDATE graph.entity_type SET schema = jsonb_set(schema, '{properties}', schema -> 'properties' || '{
    "start_at": {"type": "string", "maxLength": 40},
    "time_zone": {"type": "string", "maxLength": 64},
    "attendees": {"type": "array"},
    "organizer": {"type": "string", "maxLength": 512},
    "recurrence_id": {"type": "string", "maxLength": 40},
    "recurrence_exceptions": {"type": "array"}
}'::jsonb) WHERE name = 'Event';

UPDATE graph.entity_type SET schema = jsonb_set(schema, '{properties}', schema -> 'properties' || '{
    "start_at": {"type": "string", "maxLength": 40},
    "percent": {"type": "integer", "minimum": 0, "maximum": 100}
}'::jsonb) WHERE name = 'Task';
