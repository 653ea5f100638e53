-- graph: a name isn't empty, a birthday is a day, a time is a time. `time` binds what an owner writes; what sources wrote
-- is read by who needs it.

UPDATE graph.entity_type SET schema = jsonb_set(schema, '{properties,name,minLength}', '1');

UPDATE graph.entity_type SET schema = jsonb_set(schema, '{properties,birthday,format}', '"vcard-date"')
WHERE name = 'Person';

DO $$
DECLARE
    field record;
BEGIN
    FOR field IN
        SELECT t.name AS type, p.key AS property FROM graph.entity_type t, jsonb_object_keys(t.schema -> 'properties') p (key)
        WHERE p.key IN ('start_at', 'due_at', 'completed_at', 'ends_at', 'ended_at', 'recurrence_start', 'recurrence_id',
            'closes_at', 'withdrawn_at', 'sent_at', 'received_at')
    LOOP
        UPDATE graph.entity_type
        SET schema = jsonb_set(schema, ARRAY['properties', field.property, 'format'], '"time"')
        WHERE name = field.type;
    END LOOP;
END $$;
