-- spine: a body that names what is erased goes too, though neither an id nor an address stands in it.

-- Removes the bodies of the account's events that hold any of `needles` anywhere, or one of `names`: as the whole value
-- of a member that holds a name or what a fact is, or, where it has several words, as words of any text. How many.
CREATE FUNCTION spine.event_bodies_erase(needles text[], names text[]) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    WITH wanted AS (
        -- Every character that could mean something in a pattern is made to mean itself, as JSON writes it.
        SELECT regexp_replace(substr(json, 2, length(json) - 2), '([^[:alnum:][:space:]])', '\\\1', 'g') AS pattern,
            name ~ '\S\s+\S' AS several
        FROM (SELECT name, to_json(name)::text AS json FROM unnest(names) AS name WHERE name <> '') AS written
    ), gone AS (
        DELETE FROM spine.event_body b
        WHERE b.account = spine.account()
            AND (EXISTS (SELECT FROM unnest(needles) AS needle
                    WHERE needle <> '' AND position(convert_to(needle, 'UTF8') IN b.body) > 0)
                OR EXISTS (SELECT FROM wanted WHERE convert_from(b.body, 'UTF8') ~
                    ('"(name|title|from|to|last_known|value)":\s*"' || pattern || '"'))
                OR EXISTS (SELECT FROM wanted WHERE several AND convert_from(b.body, 'UTF8') ~
                    ('(?<![[:alnum:]])' || pattern || '(?![[:alnum:]])')))
        RETURNING 1
    )
    SELECT count(*) FROM gone
$$;
GRANT CREATE ON SCHEMA spine TO allod_definer;
ALTER FUNCTION spine.event_bodies_erase(text[], text[]) OWNER TO allod_definer;
DROP FUNCTION spine.event_bodies_erase(text[]);
REVOKE CREATE ON SCHEMA spine FROM allod_definer;
REVOKE ALL ON FUNCTION spine.event_bodies_erase(text[], text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION spine.event_bodies_erase(text[], text[]) TO allod_app;
