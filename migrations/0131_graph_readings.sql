-- graph: what a reading of any kind says beside its value. Its `kind` is the fact's key, such as `home.temperature`.

UPDATE graph.entity_type
SET schema = jsonb_set(schema, '{properties}', schema -> 'properties' || '{
    "source": {"type": "string", "maxLength": 128},
    "confidence": {"type": "number", "minimum": 0, "maximum": 1},
    "valid_for_s": {"type": "integer", "minimum": 1}
}')
WHERE name = 'Reading';
