-- graph: groups of contacts, and what cards, calendars and mails say beyond what the types knew (RFC 6350, KIND and MEMBER,
-- CATEGORIES, ANNIVERSARY, IMPP, RELATED; RFC 5545, CATEGORIES, RELATED-TO, PARTSTAT and ROLE).

INSERT INTO graph.entity_type (name, single_source, schema)
SELECT 'Group', false, jsonb_build_object('type', 'object', 'required', '[]'::jsonb, 'properties', '{
    "name": {"type": "string", "maxLength": 512},
    "description": {"type": "string", "maxLength": 16384},
    "url": {"type": "string", "maxLength": 2048},
    "language": {"type": "string", "maxLength": 35},
    "note": {"type": "string", "maxLength": 16384},
    "address": {"type": "string", "maxLength": 1024},
    "categories": {"type": "array"},
    "members": {"type": "array"}
}'::jsonb);

UPDATE graph.entity_type SET schema = jsonb_set(schema, '{properties}', schema -> 'properties' || '{
    "anniversary": {"type": "string", "maxLength": 10},
    "related": {"type": "array"}
}'::jsonb) WHERE name = 'Person';

UPDATE graph.entity_type SET schema = jsonb_set(schema, '{properties}', schema -> 'properties' || '{
    "categories": {"type": "array"},
    "impp": {"type": "array"}
}'::jsonb) WHERE name IN ('Person', 'Organization');

UPDATE graph.entity_type SET schema = jsonb_set(schema, '{properties}', schema -> 'properties' || '{
    "categories": {"type": "array"},
    "related_to": {"type": "array"}
}'::jsonb) WHERE name IN ('Event', 'Task');

-- What each attendee answered, and as what she is invited: objects of `email`, `status` and `role`.
UPDATE graph.entity_type SET schema = jsonb_set(schema, '{properties}', schema -> 'properties' || '{
    "attendance": {"type": "array"}
}'::jsonb) WHERE name IN ('Event', 'Task');

-- By which a mail is told from another one that bears the same Message-ID.
UPDATE graph.entity_type SET schema = jsonb_set(schema, '{properties}', schema -> 'properties' || '{
    "message_id": {"type": "string", "maxLength": 512},
    "content_hash": {"type": "string", "maxLength": 128}
}'::jsonb) WHERE name = 'Message';
