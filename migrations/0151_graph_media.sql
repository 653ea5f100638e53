-- graph: what is known of a MediaObject beyond type, hash and size.

UPDATE graph.entity_type SET schema = jsonb_set(schema, '{properties}', schema -> 'properties' || '{
    "declared_type": {"type": "string", "maxLength": 255},
    "width": {"type": "integer", "minimum": 1},
    "height": {"type": "integer", "minimum": 1},
    "blurhash": {"type": "string", "maxLength": 128}
}'::jsonb) WHERE name = 'MediaObject';
