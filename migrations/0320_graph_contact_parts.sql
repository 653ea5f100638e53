-- graph: what cards and tables say of a contact beyond its first address and names (RFC 6350, N, ADR, ORG and TYPE).

UPDATE graph.entity_type SET schema = jsonb_set(schema, '{properties}', schema -> 'properties' || '{
    "additional_name": {"type": "string", "maxLength": 256},
    "honorific_prefix": {"type": "string", "maxLength": 256},
    "honorific_suffix": {"type": "string", "maxLength": 256},
    "department": {"type": "string", "maxLength": 256}
}'::jsonb) WHERE name = 'Person';

-- `addresses` has objects of `street`, `locality`, `region`, `postal_code`, `country`, `post_office_box`, `extended` and the
-- kinds of the address (`is`); `labels` of which kinds (`is`) a number or mailbox (`of`) is: `home`, `work`, `cell`, `fax`.
UPDATE graph.entity_type SET schema = jsonb_set(schema, '{properties}', schema -> 'properties' || '{
    "addresses": {"type": "array"},
    "labels": {"type": "array"}
}'::jsonb) WHERE name IN ('Person', 'Organization', 'Group');
