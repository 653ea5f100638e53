-- graph: what a mailbox says of a mail beside the mail itself (RFC 9051, \Seen and \Flagged). Absent: read, not flagged.

UPDATE graph.entity_type SET schema = jsonb_set(schema, '{properties}', schema -> 'properties' || '{
    "seen": {"type": "boolean"},
    "flagged": {"type": "boolean"}
}'::jsonb) WHERE name = 'Message';
