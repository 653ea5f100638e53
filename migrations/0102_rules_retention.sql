-- rules: how long runs and counters are kept. Written by the rules service only.

-- Until when a counter can matter. Older rows were written without it.
ALTER TABLE rules.limit_counter ADD COLUMN keep_until timestamptz NOT NULL DEFAULT now() + interval '400 days';
CREATE INDEX limit_counter_keep ON rules.limit_counter (keep_until);
CREATE INDEX run_finished ON rules.run (finished_at);

CREATE POLICY prune ON rules.run TO allod_definer USING (true);
CREATE POLICY prune ON rules.journal_entry TO allod_definer USING (true);
CREATE POLICY prune ON rules.limit_counter TO allod_definer USING (true);
GRANT USAGE ON SCHEMA rules TO allod_definer;
GRANT SELECT, UPDATE, DELETE ON rules.run TO allod_definer;
GRANT SELECT, DELETE ON rules.journal_entry, rules.limit_counter TO allod_definer;

-- Removes runs of all accounts that ended before a moment, with their journals, and counters whose time is up; at most a
-- thousand of each. Returns how many. For the hub's own sweep.
CREATE FUNCTION rules.prune(runs_before timestamptz, at timestamptz) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH old AS (
        SELECT id FROM rules.run WHERE finished_at < $1 ORDER BY finished_at LIMIT 1000 FOR UPDATE SKIP LOCKED
    ), journals AS (
        DELETE FROM rules.journal_entry WHERE run IN (SELECT id FROM old)
    ), runs AS (
        DELETE FROM rules.run WHERE id IN (SELECT id FROM old) RETURNING 1
    ), counters AS (
        DELETE FROM rules.limit_counter WHERE ctid IN (
            SELECT ctid FROM rules.limit_counter WHERE keep_until < $2 LIMIT 1000
        ) AND keep_until < $2 RETURNING 1
    )
    SELECT (SELECT count(*) FROM runs) + (SELECT count(*) FROM counters)
$$;

REVOKE EXECUTE ON FUNCTION rules.prune FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rules.prune TO allod_app;
-- Whoever is to own a function must be allowed to create in its schema; only for as long as it takes.
GRANT CREATE ON SCHEMA rules TO allod_definer;
ALTER FUNCTION rules.prune OWNER TO allod_definer;
REVOKE CREATE ON SCHEMA rules FROM allod_definer;
