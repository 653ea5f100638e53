-- graph: what feeds say of their items (RSS, Atom, JSON Feed). `attachments`: objects of url, media_type, size_bytes, name;
-- they lie where they are.

UPDATE graph.entity_type SET schema = jsonb_set(schema, '{properties}', schema -> 'properties' || '{
    "published_at": {"type": "string", "maxLength": 40, "format": "time"},
    "authors": {"type": "array"},
    "categories": {"type": "array"},
    "attachments": {"type": "array"},
    "feed": {"type": "string", "maxLength": 512}
}'::jsonb) WHERE name = 'Document';
