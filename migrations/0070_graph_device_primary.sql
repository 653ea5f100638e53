-- graph: which of several devices the owner carries. State trusts the positions of that one alone.

UPDATE graph.entity_type
SET schema = jsonb_set(schema, '{properties,primary}', '{"type": "boolean"}')
WHERE name = 'Device';
