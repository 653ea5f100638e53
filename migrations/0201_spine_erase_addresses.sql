-- spine: an address that is erased is looked for as a whole: `ann@example.org` doesn't stand in `joann@example.org`.

-- As before (0181), but a needle that is no id counts only where no longer address begins before it or goes on after it.
CREATE OR REPLACE FUNCTION spine.event_bodies_erase(needles text[], names text[]) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    WITH sought AS (
        SELECT convert_to(substr(json, 2, length(json) - 2), 'UTF8') AS bytes,
            CASE WHEN needle !~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
                '(?<![[:alnum:]._%+-])'
                    || regexp_replace(substr(json, 2, length(json) - 2), '([^[:alnum:][:space:]])', '\\\1', 'g')
                    || '(?![/.?#]?[[:alnum:]_-])' END AS pattern
        FROM (SELECT needle, to_json(needle)::text AS json FROM unnest(needles) AS needle WHERE needle <> '') AS written
    ), wanted AS (
        -- Every character that could mean something in a pattern is made to mean itself, as JSON writes it.
        SELECT regexp_replace(substr(json, 2, length(json) - 2), '([^[:alnum:][:space:]])', '\\\1', 'g') AS pattern,
            name ~ '\S\s+\S' AS several
        FROM (SELECT name, to_json(name)::text AS json FROM unnest(names) AS name WHERE name <> '') AS written
    ), gone AS (
        DELETE FROM spine.event_body b
        WHERE b.account = spine.account()
            AND (EXISTS (SELECT FROM sought WHERE position(sought.bytes IN b.body) > 0
                    AND (sought.pattern IS NULL OR convert_from(b.body, 'UTF8') ~ sought.pattern))
                OR EXISTS (SELECT FROM wanted WHERE convert_from(b.body, 'UTF8') ~
                    ('"(name|title|from|to|last_known|value)":\s*"' || pattern || '"'))
                OR EXISTS (SELECT FROM wanted WHERE several AND convert_from(b.body, 'UTF8') ~
                    ('(?<![[:alnum:]])' || pattern || '(?![[:alnum:]])')))
        RETURNING 1
    )
    SELECT count(*) FROM gone
$$;
