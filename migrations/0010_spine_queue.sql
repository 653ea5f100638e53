-- Service: spine. The durable queue.
--
-- Schema pgboss is that of npm pg-boss 12.38 (its schema version 46), so that a Node program and the hub work on
-- the same jobs: pg-boss finds nothing to migrate here, and its drift check no table, column, index or constraint
-- that differs. Every name, type and default below is therefore part of a protocol and not ours to change.
-- Schema mq is ours: how a job is put in, fetched, settled and cleaned up (section 2).

create schema pgboss;
create schema mq;

-- 1. pg-boss's tables -------------------------------------------------------------------------------------------

-- The order counts: pg-boss compares states with < and >.
create type pgboss.job_state as enum ('created', 'retry', 'active', 'completed', 'cancelled', 'failed');

-- One row. The times are claims: the process that moves one forward does that round of maintenance.
create table pgboss.version (
    version            integer primary key,
    cron_on            timestamptz,
    bam_on             timestamptz,
    flow_on            timestamptz,
    reindex_on         timestamptz,
    monitor_backoff_on timestamptz
);

create table pgboss.queue (
    name                 text primary key,
    policy               text not null,
    retry_limit          integer not null,
    retry_delay          integer not null,
    retry_backoff        boolean not null,
    retry_delay_max      integer,
    expire_seconds       integer not null,
    retention_seconds    integer not null,
    deletion_seconds     integer not null,
    dead_letter          text references pgboss.queue (name),
    partition            boolean not null,
    table_name           text not null,
    deferred_count       integer not null default 0,
    blocked_count        integer not null default 0,
    queued_count         integer not null default 0,
    ready_count          integer not null default 0,
    warning_queued       integer not null default 0,
    active_count         integer not null default 0,
    failed_count         integer not null default 0,
    total_count          integer not null default 0,
    retained_count       integer,
    retained_on          timestamptz,
    created_delta        integer not null default 0,
    completed_delta      integer not null default 0,
    failed_delta         integer not null default 0,
    delta_on             timestamptz,
    delta_seconds        integer,
    wait_bins            integer[],
    run_bins             integer[],
    ready_oldest_seconds integer,
    ready_history        integer[] not null default '{}'::integer[],
    heartbeat_seconds    integer,
    notify               boolean not null default false,
    singletons_active    text[],
    monitor_claim_on     timestamptz,
    monitor_on           timestamptz,
    maintain_on          timestamptz,
    created_on           timestamptz not null default now(),
    updated_on           timestamptz not null default now(),
    check (dead_letter is distinct from name)
);

create table pgboss.schedule (
    name        text not null references pgboss.queue (name) on delete cascade,
    key         text not null default '',
    kind        text not null default 'cron',
    cron        text not null,
    timezone    text default 'UTC',
    data        jsonb,
    options     jsonb,
    created_on  timestamptz not null default now(),
    updated_on  timestamptz not null default now(),
    last_job_id uuid,
    primary key (name, key),
    constraint schedule_kind_check check (kind in ('cron', 'rrule'))
);

create table pgboss.subscription (
    event      text not null,
    name       text not null references pgboss.queue (name) on delete cascade,
    created_on timestamptz not null default now(),
    updated_on timestamptz not null default now(),
    primary key (event, name)
);

create table pgboss.bam (
    id           uuid primary key default gen_random_uuid(),
    name         text not null,
    version      integer not null,
    status       text not null default 'pending',
    queue        text,
    table_name   text not null,
    command      text not null,
    error        text,
    created_on   timestamptz not null default clock_timestamp(),
    started_on   timestamptz,
    completed_on timestamptz
);

create table pgboss.warning (
    id         uuid primary key default gen_random_uuid(),
    type       text not null,
    message    text not null,
    data       jsonb,
    created_on timestamptz not null default now()
);
create index warning_i1 on pgboss.warning (created_on desc);

create table pgboss.instance (
    id                    uuid primary key,
    name                  text,
    host                  text not null,
    pid                   integer not null,
    version               text not null,
    node_version          text not null,
    application_name      text,
    heartbeat_seconds     integer not null,
    supervise             boolean not null,
    schedule              boolean not null,
    migrate               boolean not null,
    persist_queue_stats   boolean not null,
    persist_warnings      boolean not null,
    pool_max              integer,
    pool_total            integer,
    pool_idle             integer,
    pool_waiting          integer,
    workers               jsonb not null default '[]',
    metrics               jsonb,
    config                jsonb not null default '{}',
    crash_restarts        integer not null default 0,
    crash_restarts_since  timestamptz,
    started_on            timestamptz not null default now(),
    heartbeat_on          timestamptz not null default now(),
    stopped_on            timestamptz
);

create table pgboss.job_dependency (
    child_name  text not null,
    child_id    uuid not null,
    parent_name text not null,
    parent_id   uuid not null,
    primary key (child_name, child_id, parent_name, parent_id)
);
create index job_dep_parent_idx on pgboss.job_dependency (parent_name, parent_id);

create table pgboss.queue_stats (
    id                   uuid not null default gen_random_uuid(),
    name                 text not null,
    deferred_count       integer not null default 0,
    queued_count         integer not null default 0,
    ready_count          integer not null default 0,
    active_count         integer not null default 0,
    failed_count         integer not null default 0,
    total_count          integer not null default 0,
    created_delta        integer,
    completed_delta      integer,
    failed_delta         integer,
    delta_seconds        integer,
    delta_on             timestamptz,
    wait_bins            integer[],
    run_bins             integer[],
    ready_oldest_seconds integer,
    captured_on          timestamptz not null default now(),
    primary key (id, captured_on)
) partition by range (captured_on);
create index queue_stats_i1 on pgboss.queue_stats (name, captured_on desc)
    include (deferred_count, queued_count, ready_count, active_count, failed_count, total_count);

-- Partitioned by queue name; a queue has a partition of its own only if a Node program asked for it.
create table pgboss.job (
    id                   uuid not null default gen_random_uuid(),
    name                 text not null,
    priority             integer not null default 0,
    data                 jsonb,
    state                pgboss.job_state not null default 'created',
    retry_limit          integer not null default 2,
    retry_count          integer not null default 0,
    retry_delay          integer not null default 0,
    retry_backoff        boolean not null default false,
    retry_delay_max      integer,
    expire_seconds       integer not null default 900,
    deletion_seconds     integer not null default 604800,
    singleton_key        text,
    singleton_on         timestamp without time zone,
    group_id             text,
    group_tier           text,
    start_after          timestamptz not null default now(),
    created_on           timestamptz not null default now(),
    started_on           timestamptz,
    completed_on         timestamptz,
    keep_until           timestamptz not null default now() + interval '336 hours',
    output               jsonb,
    dead_letter          text,
    policy               text,
    heartbeat_on         timestamptz,
    heartbeat_seconds    integer,
    blocked              boolean not null default false,
    blocking             boolean not null default false,
    pending_dependencies integer not null default 0,
    source_name          text,
    source_id            uuid,
    source_created_on    timestamptz,
    source_retry_count   integer,
    source_output        jsonb,
    source_root_id       uuid,
    trace_context        jsonb,
    upsert_by_key        boolean,
    primary key (name, id)
) partition by list (name);

-- The constraints and indexes stand on the partition, as pg-boss has them; its defaults are the parent's.
create table pgboss.job_common (like pgboss.job including defaults);
alter table pgboss.job_common
    add primary key (name, id),
    add constraint q_fkey foreign key (name) references pgboss.queue (name)
        on delete restrict deferrable initially deferred,
    add constraint dlq_fkey foreign key (dead_letter) references pgboss.queue (name)
        on delete restrict deferrable initially deferred,
    add constraint job_key_strict_fifo_singleton_key_check
        check (not (policy = 'key_strict_fifo' and singleton_key is null));
alter table pgboss.job attach partition pgboss.job_common default;

-- What waits, in the order in which it is fetched.
create index job_common_i11 on pgboss.job_common (name, priority desc, created_on, start_after)
    where state < 'active' and not blocked;
-- The policies of queues: what may not stand twice at the same time.
create unique index job_common_i1 on pgboss.job_common (name, coalesce(singleton_key, ''))
    where state = 'created' and policy = 'short';
create unique index job_common_i2 on pgboss.job_common (name, coalesce(singleton_key, ''))
    where state = 'active' and policy = 'singleton';
create unique index job_common_i3 on pgboss.job_common (name, state, coalesce(singleton_key, ''))
    where state <= 'active' and policy = 'stately';
create unique index job_common_i6 on pgboss.job_common (name, coalesce(singleton_key, ''))
    where state <= 'active' and policy = 'exclusive';
create unique index job_common_i8 on pgboss.job_common (name, singleton_key)
    where state in ('active', 'retry', 'failed') and policy = 'key_strict_fifo';
create index job_common_i10 on pgboss.job_common (name, singleton_key, state desc, created_on, id)
    include (start_after) where state < 'active' and not blocked and policy = 'key_strict_fifo';
-- Throttling and debouncing: one job in a slot of time.
create unique index job_common_i4 on pgboss.job_common (name, singleton_on, coalesce(singleton_key, ''))
    where state <> 'cancelled' and singleton_on is not null;
create unique index job_common_i13 on pgboss.job_common (name, singleton_key)
    where state = 'created' and upsert_by_key;
-- Groups, flows, provenance, counts, history.
create index job_common_i7 on pgboss.job_common (name, group_id) where state = 'active' and group_id is not null;
create index job_common_i9 on pgboss.job_common (name, id) where blocking and state = 'completed';
create index job_common_i12 on pgboss.job_common (source_root_id) where source_root_id is not null;
create index job_common_i14 on pgboss.job_common (name, state, blocked, start_after)
    where state in ('created', 'retry', 'active', 'failed');
create index job_common_i15 on pgboss.job_common (name, created_on);
create index job_common_i16 on pgboss.job_common (name, completed_on) where completed_on is not null;
create index job_common_i17 on pgboss.job_common (name, singleton_key, created_on)
    where state < 'active' and singleton_key is not null;

-- Each job is updated two or three times in its life: vacuum by count, not by a share of the history.
alter table pgboss.job_common set (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 2000,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 2000);
-- A queue that the statistics don't know yet would count as empty, and any index that begins with the name as good
-- as the primary key; then each job is looked for among all of its queue. Without statistics the planner assumes
-- many jobs a queue.
alter table pgboss.job_common alter column name set statistics 0;

insert into pgboss.version (version) values (46);

-- The functions that a pg-boss client or its migrations call. Names and parameters are pg-boss's; how they do it is
-- ours, so its drift check names them as different (docs/adr/0003).

-- The time by which every statement of a client goes.
create function pgboss.job_now() returns timestamptz
language sql stable
return now();

-- The tables that a command about jobs is meant for: the queue's own; else the one that was named; else all, the
-- common one first.
create function mq.job_tables(p_table text, p_queue text) returns table (queue text, table_name text)
language sql stable as $$
    select null, coalesce(p_table, 'job_common') where p_queue is null
    union all
    select q.name, q.table_name from pgboss.queue q
    where case when p_queue is null then q.partition and p_table is null else q.name = p_queue end
$$;

-- A command that was written for the table "job" and its indexes job_i<number>, turned to another table.
create function pgboss.job_table_format(command text, table_name text) returns text
language plpgsql immutable as $$
begin
    command := regexp_replace(command, '\mjob(?=_i\d)', table_name, 'g');
    return regexp_replace(command, '(?<=\.)job\M', quote_ident(table_name), 'g');
end $$;

-- Carries such a command out, at once.
create function pgboss.job_table_run(command text, tbl_name text default null, queue_name text default null)
returns void
language plpgsql as $$
declare
    v_table text;
begin
    for v_table in select t.table_name from mq.job_tables(tbl_name, queue_name) t loop
        execute pgboss.job_table_format(command, v_table);
    end loop;
end $$;

-- Leaves such a command to a Node supervisor, which carries out one by one, outside a transaction, what stands in bam.
create function pgboss.job_table_run_async(command_name text, version integer, command text,
    tbl_name text default null, queue_name text default null) returns void
language sql as $$
    insert into pgboss.bam (name, version, queue, table_name, command)
    select command_name, job_table_run_async.version, t.queue, t.table_name,
        pgboss.job_table_format(job_table_run_async.command, t.table_name)
    from mq.job_tables(tbl_name, queue_name) t
$$;

-- Gives a queue a table of its own: all that job_common has, but of the policies only the queue's. Creating a table
-- needs the owner's rights.
create function mq.queue_split(p_queue text, p_table text, p_policy text) returns void
language plpgsql as $$
declare
    v_command text;
begin
    execute format('create table pgboss.%I (like pgboss.job including defaults)', p_table);
    for v_command in
        select d.command from (
            select 1, c.conname, format('alter table pgboss.%I add %s %s', p_table,
                case when c.contype <> 'p' then format('constraint %I', c.conname) end, pg_get_constraintdef(c.oid))
            from pg_constraint c
            where c.conrelid = 'pgboss.job_common'::regclass and c.contype in ('p', 'f', 'c')
            union all
            select 2, r.relname, replace(pg_get_indexdef(r.oid), 'job_common', p_table)
            from pg_index i
            join pg_class r on r.oid = i.indexrelid
            where i.indrelid = 'pgboss.job_common'::regclass and not i.indisprimary
        ) d (step, name, command)
        where coalesce(substring(d.command from 'policy = ''(\w+)''') = p_policy, true)
        order by d.step, d.name
    loop
        execute v_command;
    end loop;
    execute format('alter table pgboss.%I add constraint cjc check (name = %L)', p_table, p_queue);
    execute format('alter table pgboss.job attach partition pgboss.%I for values in (%L)', p_table, p_queue);
    execute format('grant select, insert, update, delete on pgboss.%I to allod_spine', p_table);
end $$;

-- Makes a queue; one that is there stays as it is.
create function pgboss.create_queue(queue_name text, options jsonb) returns void
language plpgsql as $$
declare
    v_queue pgboss.queue;
begin
    insert into pgboss.queue (name, policy, retry_limit, retry_delay, retry_backoff, retry_delay_max, expire_seconds,
        retention_seconds, deletion_seconds, warning_queued, dead_letter, heartbeat_seconds, notify, partition,
        table_name, created_on, updated_on)
    select queue_name, o.policy, coalesce(o."retryLimit", 2), coalesce(o."retryDelay", 0),
        coalesce(o."retryBackoff", false), o."retryDelayMax", coalesce(o."expireInSeconds", 900),
        coalesce(o."retentionSeconds", 1209600), coalesce(o."deleteAfterSeconds", 604800),
        coalesce(o."warningQueueSize", 0), o."deadLetter", o."heartbeatSeconds", coalesce(o.notify, false),
        coalesce(o.partition, false),
        case when o.partition then 'j' || encode(sha224(convert_to(queue_name, 'UTF8')), 'hex') else 'job_common' end,
        pgboss.job_now(), pgboss.job_now()
    from jsonb_to_record(options) o (policy text, "retryLimit" integer, "retryDelay" integer, "retryBackoff" boolean,
        "retryDelayMax" integer, "expireInSeconds" integer, "retentionSeconds" integer, "deleteAfterSeconds" integer,
        "warningQueueSize" integer, "deadLetter" text, "heartbeatSeconds" integer, notify boolean, partition boolean)
    on conflict do nothing
    returning * into v_queue;
    if v_queue.partition then
        perform mq.queue_split(v_queue.name, v_queue.table_name, v_queue.policy);
    end if;
end $$;

-- Removes a queue with all of its jobs.
create function pgboss.delete_queue(queue_name text) returns void
language plpgsql as $$
declare
    v_own text := (select q.table_name from pgboss.queue q where q.name = queue_name and q.partition);
begin
    if v_own is not null then
        execute format('drop table if exists pgboss.%I', v_own);
    end if;
    delete from pgboss.job j where j.name = queue_name;
    delete from pgboss.queue q where q.name = queue_name;
end $$;

-- 2. How the hub works on them ----------------------------------------------------------------------------------

-- A running hub. It holds the advisory lock (1634495599, number) as long as it lives, on a session of its own, so
-- that the server itself knows at once when it was killed. An active job names its hub in the column "output":
-- {"hub": number, "attempt": retry_count, "progress": …}, replaced by the result in the end.
create table mq.instance (
    number     integer generated always as identity primary key,
    started_on timestamptz not null default now()
);

-- The last starts given out for a key, oldest first: never more of them than the limit allows in one period.
create table mq.rate_limit (
    account    uuid not null,
    queue      text not null,
    key        text not null,
    starts     timestamptz[] not null default '{}',
    idle_after timestamptz not null default now(),
    primary key (account, queue, key)
);
create index rate_limit_idle on mq.rate_limit (idle_after);
alter table mq.rate_limit enable row level security;
alter table mq.rate_limit force row level security;
create policy own_account on mq.rate_limit to allod_definer
    using (account = nullif(current_setting('allod.account', true), '')::uuid)
    with check (account = nullif(current_setting('allod.account', true), '')::uuid);
create policy all_accounts on mq.rate_limit to allod_spine using (true) with check (true);

-- Makes a queue and its dead letter queue, unless they are there; what somebody has set on them stays.
-- Messages wait a year before they are given up, and finished ones are kept for a week.
create function mq.queue_create(p_queue text, p_retry_limit integer, p_retry_delay integer,
    p_retry_delay_max integer, p_expire_seconds integer) returns void
language sql as $$
    insert into pgboss.queue (name, policy, retry_limit, retry_delay, retry_backoff, retry_delay_max,
        expire_seconds, retention_seconds, deletion_seconds, partition, table_name, notify)
    values (p_queue || '-dead', 'standard', p_retry_limit, p_retry_delay, true, p_retry_delay_max,
        p_expire_seconds, 31536000, 604800, false, 'job_common', false)
    on conflict do nothing;
    insert into pgboss.queue as q (name, policy, retry_limit, retry_delay, retry_backoff, retry_delay_max,
        expire_seconds, retention_seconds, deletion_seconds, partition, table_name, notify, dead_letter)
    values (p_queue, 'standard', p_retry_limit, p_retry_delay, true, p_retry_delay_max,
        p_expire_seconds, 31536000, 604800, false, 'job_common', true, p_queue || '-dead')
    on conflict (name) do update set dead_letter = excluded.dead_letter where q.dead_letter is null;
$$;

-- When the next p_jobs jobs of this key may start; the row lock makes senders of the same key take turns.
create function mq.rate_starts(p_account uuid, p_queue text, p_key text, p_count integer,
    p_seconds double precision, p_jobs integer) returns timestamptz[]
language plpgsql as $$
declare
    v_period interval := make_interval(secs => p_seconds);
    v_log timestamptz[];
    v_given timestamptz[] := '{}';
    v_at timestamptz;
begin
    insert into mq.rate_limit as r (account, queue, key) values (p_account, p_queue, p_key)
    on conflict (account, queue, key) do update set key = r.key
    returning starts into v_log;
    for i in 1 .. p_jobs loop
        v_at := greatest(now(), v_log[cardinality(v_log)], v_log[cardinality(v_log) - p_count + 1] + v_period);
        v_log := v_log || v_at;
        v_given := v_given || v_at;
    end loop;
    update mq.rate_limit
    set starts = v_log[greatest(1, cardinality(v_log) - p_count + 1) :], idle_after = v_at + v_period
    where account = p_account and queue = p_queue and key = p_key;
    return v_given;
end $$;

-- Puts jobs into a queue, in the caller's transaction; returns the ids of those that were put in, without those
-- that a key or a slot swallowed. Whoever works for an account can send for that account only.
create function mq.send(p_queue text, p_ids uuid[], p_data jsonb[], p_priority integer, p_start_after timestamptz,
    p_singleton_key text, p_slot_seconds integer, p_next_slot boolean, p_retry_limit integer,
    p_retry_delay integer, p_retry_delay_max integer, p_expire_seconds integer, p_heartbeat_seconds integer,
    p_rate_key text, p_rate_count integer, p_rate_seconds double precision) returns setof uuid
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_account uuid := nullif(current_setting('allod.account', true), '')::uuid;
    v_queue pgboss.queue;
    v_starts timestamptz[] := '{}';
    v_slot timestamp;
begin
    if v_account is null and not pg_has_role(session_user, 'allod_spine', 'member')
        or exists (select from unnest(p_data) d where (d ->> 'account')::uuid is distinct from v_account
            and v_account is not null)
    then
        raise insufficient_privilege using message = 'a job can be sent for the transaction''s own account only';
    end if;
    select * into v_queue from pgboss.queue q where q.name = p_queue;
    if not found then
        perform mq.queue_create(p_queue, p_retry_limit, p_retry_delay, p_retry_delay_max, p_expire_seconds);
        select * into strict v_queue from pgboss.queue q where q.name = p_queue;
    end if;
    if p_rate_key is not null then
        v_starts := mq.rate_starts(v_account, p_queue, p_rate_key, p_rate_count, p_rate_seconds,
            cardinality(p_ids));
    end if;
    if p_slot_seconds is not null then
        v_slot := 'epoch'::timestamp + make_interval(secs => p_slot_seconds
            * floor(extract(epoch from now()) / p_slot_seconds)::double precision);
    end if;
    for i in 1 .. case when p_next_slot then 2 else 1 end loop
        return query
        insert into pgboss.job (id, name, priority, data, start_after, keep_until, singleton_key, singleton_on,
            retry_limit, retry_delay, retry_backoff, retry_delay_max, expire_seconds, deletion_seconds,
            policy, dead_letter, heartbeat_seconds)
        select new.id, p_queue, p_priority, new.data, s.at,
            s.at + make_interval(secs => v_queue.retention_seconds), p_singleton_key, v_slot,
            p_retry_limit, p_retry_delay, true, p_retry_delay_max, p_expire_seconds, v_queue.deletion_seconds,
            -- A key on a queue without a policy of its own means: one waiting or running at a time.
            case when p_singleton_key is not null and v_slot is null and v_queue.policy = 'standard'
                then 'exclusive' else v_queue.policy end,
            v_queue.dead_letter, coalesce(p_heartbeat_seconds, v_queue.heartbeat_seconds)
        from unnest(p_ids, p_data) with ordinality new (id, data, n)
        cross join lateral (select coalesce(v_starts[new.n], p_start_after, now()) as at) s
        order by new.n
        on conflict do nothing
        returning job.id;
        exit when found;
        -- The slot is taken: a debounced job waits for the next one.
        v_slot := v_slot + make_interval(secs => p_slot_seconds);
        p_start_after := v_slot at time zone 'UTC';
    end loop;
end $$;

-- Ends one attempt without success: to be tried again if that is wanted and left, else failed, with a copy in the
-- dead letter queue. Returns retry, failed, or lost when this attempt is not the running one any more. The state is
-- compared as text, so that the job is found by its id and not among all active ones.
create function mq.fail(p_queue text, p_id uuid, p_attempt integer, p_started timestamptz, p_output jsonb,
    p_again boolean, p_after double precision) returns text
language plpgsql as $$
declare
    v_job pgboss.job;
begin
    if p_again then
        begin
            update pgboss.job j
            set state = 'retry', output = p_output, heartbeat_on = null,
                start_after = now() + make_interval(secs => coalesce(p_after, case
                    when not retry_backoff then retry_delay
                    -- Doubled each time, between half and all of it by chance, never above the cap.
                    else least(coalesce(retry_delay_max, 86400),
                        greatest(retry_delay, 1) * 2.0 ^ least(retry_count, 20)) * (0.5 + random() / 2)
                    end))
            where j.name = p_queue and j.id = p_id and j.state::text = 'active' and j.retry_count = p_attempt
                and j.started_on = p_started and j.retry_count < j.retry_limit;
            if found then
                return 'retry';
            end if;
        exception when unique_violation then
            null; -- The queue's policy has room for one waiting job of this key, and another took it.
        end;
    end if;
    update pgboss.job j
    set state = 'failed', output = p_output, completed_on = now(), heartbeat_on = null
    where j.name = p_queue and j.id = p_id and j.state::text = 'active' and j.retry_count = p_attempt
        and j.started_on = p_started
    returning * into v_job;
    if not found then
        return 'lost';
    end if;
    insert into pgboss.job (name, priority, data, retry_limit, retry_backoff, retry_delay, retry_delay_max,
        keep_until, deletion_seconds, expire_seconds, singleton_key, group_id, group_tier, heartbeat_seconds,
        source_name, source_id, source_created_on, source_retry_count, source_output, source_root_id, trace_context)
    select q.name, v_job.priority, v_job.data, q.retry_limit, q.retry_backoff, q.retry_delay, q.retry_delay_max,
        now() + make_interval(secs => q.retention_seconds), q.deletion_seconds, q.expire_seconds,
        v_job.singleton_key, v_job.group_id, v_job.group_tier, q.heartbeat_seconds,
        v_job.name, v_job.id, v_job.created_on, v_job.retry_count, v_job.output,
        coalesce(v_job.source_root_id, v_job.id), v_job.trace_context
    from pgboss.queue q
    where q.name = v_job.dead_letter;
    return 'failed';
end $$;

-- Ends attempts that took longer than they may, or whose heartbeat stopped, p_grace seconds after the fact (their
-- runner ends them itself if it lives). Returns how many.
create function mq.expire(p_grace double precision, p_limit integer) returns integer
language plpgsql as $$
declare
    v_job record;
    v_count integer := 0;
begin
    for v_job in
        select j.name, j.id, j.retry_count, j.started_on,
            j.heartbeat_on + make_interval(secs => j.heartbeat_seconds + p_grace) < now() as silent
        from pgboss.job j
        where j.state = 'active'
            and (j.started_on + make_interval(secs => j.expire_seconds + p_grace) < now()
                or j.heartbeat_on + make_interval(secs => j.heartbeat_seconds + p_grace) < now())
        limit p_limit
        for update skip locked
    loop
        perform mq.fail(v_job.name, v_job.id, v_job.retry_count, v_job.started_on,
            jsonb_build_object('message', case when v_job.silent then 'the job''s heartbeat stopped'
                else 'the job took longer than it may' end), true, null);
        v_count := v_count + 1;
    end loop;
    return v_count;
end $$;

-- Tries again, at once, what these hubs were running; to be called when they are known to be dead.
create function mq.requeue(p_hubs integer[]) returns integer
language plpgsql as $$
declare
    v_job record;
    v_count integer := 0;
begin
    for v_job in
        select j.name, j.id, j.retry_count, j.started_on
        from pgboss.job j
        where j.state = 'active' and j.output ->> 'hub' = any (p_hubs::text[])
            and j.output ->> 'attempt' = j.retry_count::text
        for update skip locked
    loop
        perform mq.fail(v_job.name, v_job.id, v_job.retry_count, v_job.started_on,
            jsonb_build_object('message', 'the hub that ran the job ended without a word'), true, 0);
        v_count := v_count + 1;
    end loop;
    return v_count;
end $$;

-- Gives jobs back that never ran to an end through no fault of theirs: the attempt does not count.
create function mq.give_back(p_queue text, p_id uuid, p_attempt integer, p_started timestamptz) returns text
language plpgsql as $$
begin
    update pgboss.job j
    set state = 'retry', started_on = null, heartbeat_on = null, start_after = now(), output = null
    where j.name = p_queue and j.id = p_id and j.state::text = 'active' and j.retry_count = p_attempt
        and j.started_on = p_started;
    return case when found then 'given back' else 'lost' end;
exception when unique_violation then
    return mq.fail(p_queue, p_id, p_attempt, p_started,
        '{"message": "the hub stopped, and another job of the same key waits already"}', false, null);
end $$;

-- Fires one occurrence of a schedule, once: the row that pg-boss's own timekeeper would forward stands for the
-- occurrence (its unique slot is the claim), and is finished at once, in the same commit as the job itself.
create function mq.fire(p_queue text, p_key text, p_claim_key text, p_slot timestamp) returns uuid
language plpgsql as $$
declare
    v_schedule pgboss.schedule;
    v_id uuid;
begin
    select * into v_schedule from pgboss.schedule s where s.name = p_queue and s.key = p_key;
    insert into pgboss.job (name, state, data, singleton_key, singleton_on, started_on, completed_on, policy)
    select '__pgboss__send-it', 'completed', jsonb_build_object('name', p_queue, 'key', p_key, 'data',
        v_schedule.data, 'options', v_schedule.options, 'slot', p_slot), p_claim_key, p_slot, now(), now(), 'standard'
    where v_schedule.name is not null
    on conflict do nothing
    returning id into v_id;
    if v_id is null then
        return null;
    end if;
    return mq.forward(p_queue, p_key, v_schedule.data, v_schedule.options);
end $$;

-- Puts the job of a schedule into its queue, with the options that pg-boss knows.
create function mq.forward(p_queue text, p_key text, p_data jsonb, p_options jsonb) returns uuid
language plpgsql as $$
declare
    o jsonb := coalesce(p_options, '{}');
    v_start timestamptz := now() + make_interval(secs => case jsonb_typeof(o -> 'startAfter')
        when 'number' then (o ->> 'startAfter')::double precision else 0 end);
    v_id uuid;
begin
    insert into pgboss.job (name, data, priority, start_after, keep_until, singleton_key, singleton_on, group_id,
        retry_limit, retry_delay, retry_backoff, retry_delay_max, expire_seconds, deletion_seconds, policy,
        dead_letter, heartbeat_seconds)
    select q.name, p_data, coalesce((o ->> 'priority')::integer, 0), v_start,
        v_start + make_interval(secs => coalesce((o ->> 'retentionSeconds')::integer, q.retention_seconds)),
        o ->> 'singletonKey',
        'epoch'::timestamp + make_interval(secs => (o ->> 'singletonSeconds')::integer
            * floor(extract(epoch from now()) / (o ->> 'singletonSeconds')::integer)::double precision),
        o -> 'group' ->> 'id',
        coalesce((o ->> 'retryLimit')::integer, q.retry_limit),
        coalesce((o ->> 'retryDelay')::integer, q.retry_delay),
        coalesce((o ->> 'retryBackoff')::boolean, q.retry_backoff),
        coalesce((o ->> 'retryDelayMax')::integer, q.retry_delay_max),
        coalesce((o ->> 'expireInSeconds')::integer, q.expire_seconds),
        coalesce((o ->> 'deleteAfterSeconds')::integer, q.deletion_seconds),
        q.policy, coalesce(o ->> 'deadLetter', q.dead_letter),
        coalesce((o ->> 'heartbeatSeconds')::integer, q.heartbeat_seconds)
    from pgboss.queue q
    where q.name = p_queue
    on conflict do nothing
    returning id into v_id;
    update pgboss.schedule set last_job_id = v_id where name = p_queue and key = p_key and v_id is not null;
    return v_id;
end $$;

-- Forwards occurrences that a Node program claimed and left lying for p_seconds, as it may when it dies.
create function mq.forward_left(p_seconds double precision) returns integer
language plpgsql as $$
declare
    v_job record;
    v_count integer := 0;
begin
    for v_job in
        select j.id, j.data from pgboss.job j
        where j.name = '__pgboss__send-it' and j.state < 'active'
            and j.start_after < now() - make_interval(secs => p_seconds)
        limit 100
        for update skip locked
    loop
        perform mq.forward(v_job.data ->> 'name', coalesce(v_job.data ->> 'key', ''), v_job.data -> 'data',
            v_job.data -> 'options');
        update pgboss.job set state = 'completed', started_on = now(), completed_on = now()
        where name = '__pgboss__send-it' and id = v_job.id;
        v_count := v_count + 1;
    end loop;
    return v_count;
end $$;

-- Removes a bounded number of old jobs, as pg-boss's own supervisor does, and of idle limits.
create function mq.prune(p_limit integer) returns integer
language plpgsql as $$
declare
    v_queue text;
    v_count integer := 0;
    v_one integer;
begin
    for v_queue in select name from pgboss.queue order by name loop
        delete from pgboss.job j using (
            select c.id from pgboss.job c
            where c.name = v_queue and c.completed_on is not null and c.deletion_seconds > 0
                and c.completed_on < now() - make_interval(secs => c.deletion_seconds)
            order by c.completed_on limit p_limit
        ) old
        where j.name = v_queue and j.id = old.id;
        get diagnostics v_one = row_count;
        v_count := v_count + v_one;
        delete from pgboss.job j using (
            select c.id from pgboss.job c
            where c.name = v_queue and c.state < 'active' and c.keep_until < now() limit p_limit
        ) old
        where j.name = v_queue and j.id = old.id and j.state < 'active';
        get diagnostics v_one = row_count;
        v_count := v_count + v_one;
    end loop;
    delete from mq.rate_limit where idle_after < now();
    return v_count;
end $$;

-- Where pg-boss's timekeeper leaves the occurrences of schedules; made as it would make it.
insert into pgboss.queue (name, policy, retry_limit, retry_delay, retry_backoff, expire_seconds, retention_seconds,
    deletion_seconds, partition, table_name)
values ('__pgboss__send-it', 'standard', 2, 0, false, 900, 1209600, 604800, false, 'job_common');

-- allod_app puts jobs in, for its own account, and does nothing else here. allod_spine runs the queue; the same
-- rights let a Node program work on it, except that only an owner can give a queue a partition of its own.
grant usage on schema mq to allod_app, allod_spine, allod_definer;
grant usage on schema pgboss to allod_spine, allod_definer;
revoke all on all functions in schema mq, pgboss from public;
grant execute on all functions in schema mq, pgboss to allod_spine;
grant select, insert, update, delete on all tables in schema pgboss, mq to allod_spine;
grant select, insert, update on pgboss.queue, mq.rate_limit to allod_definer;
grant select, insert on pgboss.job to allod_definer;
grant execute on function mq.queue_create, mq.rate_starts to allod_definer;
grant create on schema mq to allod_definer;
alter function mq.send owner to allod_definer;
revoke create on schema mq from allod_definer;
grant execute on function mq.send to allod_app, allod_spine;
