-- intentions: what is planned and what was told of it. Written by the intentions service only. Tasks and goals
-- themselves are entities of the graph; plan and link are projections of them.

CREATE SCHEMA intentions;
GRANT USAGE ON SCHEMA intentions TO allod_app, allod_definer;

-- One row a task or goal, as of a version of its entity. `gone`: the entity was deleted.
CREATE TABLE intentions.plan (
    account uuid NOT NULL,
    entity uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('Task', 'Goal')),
    version bigint NOT NULL,
    gone boolean NOT NULL DEFAULT false,
    title text NOT NULL,
    status text NOT NULL CHECK (status IN ('needs-action', 'in-process', 'completed', 'cancelled')),
    priority integer NOT NULL,
    percent integer,
    -- As it was said (an instant, a local time, a day), and what that is in the owner's zone.
    due text,
    due_at timestamptz,
    overdue_at timestamptz,
    starts_at timestamptz,
    completed_at timestamptz,
    recurrence text,
    -- Of a goal: 0 to 1, by the owner's hand or counted.
    progress double precision NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 1),
    progress_by_hand boolean NOT NULL DEFAULT false,
    -- What a source said that can't be understood, in words.
    problem text,
    -- In which local times were read.
    zone text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (account, entity)
);
CREATE INDEX plan_due ON intentions.plan (account, kind, due_at, entity) WHERE NOT gone;

-- When to speak of a task. `told_at`: it was done, in the transaction that published the event.
CREATE TABLE intentions.moment (
    account uuid NOT NULL,
    entity uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('due', 'overdue', 'reminder')),
    -- What was said that led to it: the due, the reminder. The same words are told of once, in whichever zone they are
    -- read afterwards.
    occasion text NOT NULL,
    at timestamptz NOT NULL,
    -- Of a reminder: as it was said.
    said text,
    told_at timestamptz,
    PRIMARY KEY (account, entity, kind, occasion),
    FOREIGN KEY (account, entity) REFERENCES intentions.plan (account, entity)
);
CREATE INDEX moment_next ON intentions.moment (at, account) WHERE told_at IS NULL;
CREATE INDEX moment_upcoming ON intentions.moment (account, at) WHERE told_at IS NULL;

-- part-of and depends-on between tasks and goals, as of a position of the log. The roots are the ends as they are now:
-- an end that was merged into another entity counts as that one.
CREATE TABLE intentions.link (
    account uuid NOT NULL,
    from_entity uuid NOT NULL,
    predicate text NOT NULL CHECK (predicate IN ('part-of', 'depends-on')),
    to_entity uuid NOT NULL,
    from_root uuid NOT NULL,
    to_root uuid NOT NULL,
    live boolean NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (account, from_entity, predicate, to_entity)
);
CREATE INDEX link_from ON intentions.link (account, from_root, predicate);
CREATE INDEX link_to ON intentions.link (account, to_root, predicate);

-- What was done: tasks, and each occurrence of a recurring one (`occurrence`: its due as it was said, or empty).
CREATE TABLE intentions.completion (
    account uuid NOT NULL,
    entity uuid NOT NULL,
    occurrence text NOT NULL,
    due_at timestamptz,
    completed_at timestamptz NOT NULL,
    PRIMARY KEY (account, entity, occurrence)
);

-- Named recurring moments, by cron or RRULE.
CREATE TABLE intentions.schedule (
    account uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    cron text,
    rrule text,
    -- Local time from which an RRULE counts.
    starts text,
    -- Null: the owner's.
    zone text,
    catch_up text NOT NULL CHECK (catch_up IN ('latest', 'none')),
    paused boolean NOT NULL DEFAULT false,
    -- Null while it is paused, and once it has ended.
    next_at timestamptz,
    last_planned_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (account, id),
    UNIQUE (account, name),
    CHECK ((cron IS NULL) <> (rrule IS NULL)),
    CHECK ((rrule IS NULL) = (starts IS NULL))
);
CREATE INDEX schedule_next ON intentions.schedule (next_at, account) WHERE next_at IS NOT NULL;

-- Answers to requests that carried an Idempotency-Key, kept for a day. Key and request are HMACs.
CREATE TABLE intentions.request (
    account uuid NOT NULL,
    key bytea NOT NULL,
    request bytea NOT NULL,
    answer uuid,
    at timestamptz NOT NULL,
    PRIMARY KEY (account, key)
);
CREATE INDEX request_at ON intentions.request (account, at);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['plan', 'moment', 'link', 'completion', 'schedule', 'request']
    LOOP
        EXECUTE format('ALTER TABLE intentions.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE intentions.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own ON intentions.%I TO allod_app '
            'USING (account = spine.account()) WITH CHECK (account = spine.account())', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON intentions.%I TO allod_app', name);
    END LOOP;
    -- The timekeeper asks when, and for whom; nothing else crosses accounts.
    FOREACH name IN ARRAY ARRAY['moment', 'schedule']
    LOOP
        EXECUTE format('CREATE POLICY look_up ON intentions.%I FOR SELECT TO allod_definer USING (true)', name);
        EXECUTE format('GRANT SELECT ON intentions.%I TO allod_definer', name);
    END LOOP;
END $$;

-- Accounts in which something has come due, those that wait longest first. Ids only.
CREATE FUNCTION intentions.accounts_due(now timestamptz) RETURNS TABLE (account uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT due.account FROM (
        SELECT m.account, m.at FROM intentions.moment AS m WHERE m.told_at IS NULL AND m.at <= $1
        UNION ALL
        SELECT s.account, s.next_at FROM intentions.schedule AS s WHERE s.next_at <= $1
    ) AS due
    GROUP BY due.account ORDER BY min(due.at), due.account LIMIT 1000
$$;

-- The earliest moment that nobody was told of, in any account. Null: nothing is planned.
CREATE FUNCTION intentions.next_moment() RETURNS timestamptz
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT least(
        (SELECT min(m.at) FROM intentions.moment AS m WHERE m.told_at IS NULL),
        (SELECT min(s.next_at) FROM intentions.schedule AS s)
    )
$$;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA intentions FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA intentions TO allod_app;
-- Whoever is to own a function must be allowed to create in its schema; only for as long as it takes.
GRANT CREATE ON SCHEMA intentions TO allod_definer;
ALTER FUNCTION intentions.accounts_due(timestamptz) OWNER TO allod_definer;
ALTER FUNCTION intentions.next_moment() OWNER TO allod_definer;
REVOKE CREATE ON SCHEMA intentions FROM allod_definer;
