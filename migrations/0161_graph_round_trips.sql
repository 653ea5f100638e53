-- graph: what nobody knew yet comes in by one question to the database. As the caller, so row-level security holds
-- within. Written by the graph service only.

-- Writes one entity with its record (if there is one), claim (if it folds), identifiers and timeline. False: the
-- record, an identifier or the entity was there, and nothing is written.
CREATE FUNCTION graph.entity_add(
    of_account uuid, at timestamptz, by_whom text, from_source text,
    raw uuid, raw_connection uuid, raw_stream text, raw_remote_key bytea, raw_revision text, raw_media_type text,
    raw_remote_id bytea, raw_body bytea, raw_body_key bytea,
    new_id uuid, new_type text, shown_title text, new_props jsonb, new_starts_at timestamptz, claim_id uuid,
    claim_title text, identifier_ids uuid[], identifier_schemes text[], identifier_values text[],
    named_roles text[], named_ids uuid[], named_schemes text[], named_values text[]
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    written bigint;
BEGIN
    IF raw IS NOT NULL THEN
        INSERT INTO graph.raw_record (account, id, connection, source, stream, remote_key, revision, media_type,
            remote_id, body, body_key, received_at, status, settled_at)
        VALUES (of_account, raw, raw_connection, from_source, raw_stream, raw_remote_key, raw_revision, raw_media_type,
            raw_remote_id, raw_body, raw_body_key, at, 'processed', at)
        ON CONFLICT (account, source, stream, remote_key, revision) DO NOTHING;
        IF NOT FOUND THEN
            RETURN false;
        END IF;
    END IF;
    IF cardinality(identifier_ids) > 0 THEN
        -- Sorted by the caller: two that share several can't wait for each other in a ring.
        INSERT INTO graph.identifier (account, id, scheme, value)
        SELECT of_account, fresh.id, fresh.scheme, fresh.value
        FROM unnest(identifier_ids, identifier_schemes, identifier_values) WITH ORDINALITY AS fresh (id, scheme, value, ord)
        ORDER BY fresh.ord
        ON CONFLICT (account, scheme, value) DO NOTHING;
        GET DIAGNOSTICS written = ROW_COUNT;
        IF written < cardinality(identifier_ids) THEN
            RAISE EXCEPTION 'somebody may bear this' USING ERRCODE = 'AL002';
        END IF;
    END IF;
    INSERT INTO graph.entity (account, id, type, title, props, version, starts_at, folded, asserted_by, source,
        raw_record, created_at, updated_at)
    VALUES (of_account, new_id, new_type, shown_title, new_props, 1, new_starts_at, claim_id IS NOT NULL, by_whom,
        from_source, raw, at, at)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the entity is there' USING ERRCODE = 'AL002';
    END IF;
    IF claim_id IS NOT NULL THEN
        INSERT INTO graph.claim (account, id, entity, asserted_by, source, title, props, starts_at, confidence,
            recorded_from, raw_record)
        VALUES (of_account, claim_id, new_id, by_whom, from_source, claim_title, new_props, new_starts_at, 1, at, raw);
    END IF;
    IF cardinality(identifier_ids) > 0 THEN
        INSERT INTO graph.entity_identifier (account, entity, identifier, asserted_by, source, confidence, recorded_at)
        SELECT of_account, new_id, borne.id, by_whom, from_source, 1, at FROM unnest(identifier_ids) AS borne (id);
    END IF;
    IF cardinality(named_roles) > 0 THEN
        -- Most addresses were seen before: they are made only where fewer are found than were looked for. They are not
        -- held, so that calls to one number don't wait for each other.
        FOR try IN 1 .. 2 LOOP
            INSERT INTO graph.timeline (account, item, about, role, kind, at)
            SELECT of_account, new_id, i.id, named.role, new_type, new_starts_at
            FROM unnest(named_roles, named_schemes, named_values) AS named (role, scheme, value)
            JOIN graph.identifier i ON i.account = of_account AND i.scheme = named.scheme AND i.value = named.value
            ON CONFLICT (account, item, about, role) DO UPDATE SET at = excluded.at;
            GET DIAGNOSTICS written = ROW_COUNT;
            EXIT WHEN try = 2 OR written = cardinality(named_roles);
            INSERT INTO graph.identifier (account, id, scheme, value)
            SELECT DISTINCT ON (fresh.scheme, fresh.value) of_account, fresh.id, fresh.scheme, fresh.value
            FROM unnest(named_ids, named_schemes, named_values) AS fresh (id, scheme, value)
            ORDER BY fresh.scheme, fresh.value
            ON CONFLICT (account, scheme, value) DO NOTHING;
        END LOOP;
    END IF;
    RETURN true;
EXCEPTION WHEN SQLSTATE 'AL002' THEN
    RETURN false;
END $$;
GRANT EXECUTE ON FUNCTION graph.entity_add(uuid, timestamptz, text, text, uuid, uuid, text, bytea, text, text, bytea,
    bytea, bytea, uuid, text, text, jsonb, timestamptz, uuid, text, uuid[], text[], text[], text[], uuid[], text[],
    text[]) TO allod_app;
