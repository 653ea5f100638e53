-- graph: where an event or a photo was (RFC 5545, GEO; EXIF), and an event's alarms (RFC 5545, VALARM).

UPDATE graph.entity_type SET schema = jsonb_set(schema, '{properties}', schema -> 'properties' || '{
    "latitude": {"type": "number", "minimum": -90, "maximum": 90},
    "longitude": {"type": "number", "minimum": -180, "maximum": 180}
}'::jsonb) WHERE name IN ('Event', 'MediaObject');

UPDATE graph.entity_type SET schema = jsonb_set(schema, '{properties}', schema -> 'properties' || '{
    "reminders": {"type": "array"}
}'::jsonb) WHERE name = 'Event';
