-- spine: erasing one thing, not a whole account: the bodies of events that tell of it go, the envelopes stay.

CREATE POLICY erase ON spine.event_body TO allod_definer USING (account = spine.account());
GRANT SELECT, DELETE ON spine.event_body TO allod_definer;

-- Removes the bodies of the account's events that hold any of these texts, such as an entity's id; how many.
CREATE FUNCTION spine.event_bodies_erase(needles text[]) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    WITH gone AS (
        DELETE FROM spine.event_body b
        WHERE b.account = spine.account()
            AND EXISTS (SELECT FROM unnest(needles) AS needle
                WHERE needle <> '' AND position(convert_to(needle, 'UTF8') IN b.body) > 0)
        RETURNING 1
    )
    SELECT count(*) FROM gone
$$;
GRANT CREATE ON SCHEMA spine TO allod_definer;
ALTER FUNCTION spine.event_bodies_erase(text[]) OWNER TO allod_definer;
REVOKE CREATE ON SCHEMA spine FROM allod_definer;
REVOKE ALL ON FUNCTION spine.event_bodies_erase(text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION spine.event_bodies_erase(text[]) TO allod_app;
