-- graph: a Place may be one that `me.place` doesn't speak of.

UPDATE graph.entity_type SET schema = jsonb_set(schema, '{properties,geofence}', '{"type": "boolean"}') WHERE name = 'Place';
