-- spine, the queue: whoever puts in many jobs at once asks for their queue once. Written by the spine only.

-- As in 0011. A job's two foreign keys (queue and dead letter queue) are looked up once for each job when the transaction
-- commits, which was nearly half of the cost of a large batch, and all jobs of a call have the same. So a call with many
-- jobs locks these two rows itself, as the foreign keys would have, and leaves them out (docs/adr/0014). Only where
-- allod_definer may (roles.sql), and for many jobs only: the setting makes the session plan its statements anew.
create or replace function mq.send(p_queue text, p_ids uuid[], p_data jsonb[], p_priority integer, p_start_after timestamptz,
    p_singleton_key text, p_slot_seconds integer, p_next_slot boolean, p_retry_limit integer,
    p_retry_delay integer, p_retry_delay_max integer, p_expire_seconds integer, p_heartbeat_seconds integer,
    p_rate_key text, p_rate_count integer, p_rate_seconds double precision) returns setof uuid
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_account uuid := nullif(current_setting('allod.account', true), '')::uuid;
    v_queue pgboss.queue;
    v_starts timestamptz[] := '{}';
    v_slot timestamp;
    v_at timestamptz;
    v_bulk boolean := false;
    v_locked bigint;
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
    if p_singleton_key is null and p_slot_seconds is null and p_rate_key is null and v_queue.policy = 'standard' then
        v_at := coalesce(p_start_after, now());
        if cardinality(p_ids) >= 100 and has_parameter_privilege('session_replication_role', 'set') then
            perform from pgboss.queue q where q.name in (p_queue, v_queue.dead_letter) for key share;
            get diagnostics v_locked = row_count;
            -- Else one was removed a moment ago: the foreign keys say so.
            v_bulk := v_locked = num_nonnulls(p_queue, v_queue.dead_letter);
        end if;
        if v_bulk then
            perform set_config('session_replication_role', 'replica', true);
        end if;
        insert into pgboss.job (id, name, priority, data, start_after, keep_until, retry_limit, retry_delay,
            retry_backoff, retry_delay_max, expire_seconds, deletion_seconds, policy, dead_letter, heartbeat_seconds)
        select new.id, p_queue, p_priority, new.data, v_at,
            v_at + make_interval(secs => v_queue.retention_seconds), p_retry_limit, p_retry_delay,
            true, p_retry_delay_max, p_expire_seconds, v_queue.deletion_seconds, v_queue.policy, v_queue.dead_letter,
            coalesce(p_heartbeat_seconds, v_queue.heartbeat_seconds)
        from unnest(p_ids, p_data) new (id, data);
        if v_bulk then
            perform set_config('session_replication_role', 'origin', true);
        end if;
        return query select unnest(p_ids);
        return;
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
