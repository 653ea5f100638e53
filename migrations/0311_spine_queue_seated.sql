-- spine, the queue: a job that the hub's own runner has a slot for is put in as active. Written by the spine only.

-- As `mq.send` puts in one job without key, slot and limit, and as a fetch makes it active, in one statement: it is the
-- first attempt of hub `p_hub`. No row: the queue isn't there, or has a policy of its own, and nothing was put in.
CREATE FUNCTION mq.send_active(p_queue text, p_id uuid, p_data jsonb, p_priority integer, p_retry_limit integer,
    p_retry_delay integer, p_retry_delay_max integer, p_expire_seconds integer, p_hub integer)
    RETURNS TABLE (place tid, started timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_account constant uuid := nullif(current_setting('allod.account', true), '')::uuid;
BEGIN
    IF v_account IS NULL OR (p_data ->> 'account')::uuid IS DISTINCT FROM v_account THEN
        RAISE insufficient_privilege USING MESSAGE = 'a job can be sent for the transaction''s own account only';
    END IF;
    RETURN QUERY
    INSERT INTO pgboss.job AS j (id, name, priority, data, state, start_after, started_on, heartbeat_on, keep_until,
        retry_limit, retry_delay, retry_backoff, retry_delay_max, expire_seconds, deletion_seconds, policy, dead_letter,
        heartbeat_seconds, output)
    SELECT p_id, q.name, p_priority, p_data, 'active', now(), now(), now(),
        now() + make_interval(secs => q.retention_seconds), p_retry_limit, p_retry_delay, true, p_retry_delay_max,
        p_expire_seconds, q.deletion_seconds, q.policy, q.dead_letter, q.heartbeat_seconds,
        jsonb_build_object('hub', p_hub, 'attempt', 0)
    FROM pgboss.queue q WHERE q.name = p_queue AND q.policy = 'standard'
    RETURNING j.ctid, j.started_on;
END $$;
GRANT CREATE ON SCHEMA mq TO allod_definer;
ALTER FUNCTION mq.send_active(text, uuid, jsonb, integer, integer, integer, integer, integer, integer)
    OWNER TO allod_definer;
REVOKE CREATE ON SCHEMA mq FROM allod_definer;
REVOKE EXECUTE ON FUNCTION mq.send_active(text, uuid, jsonb, integer, integer, integer, integer, integer, integer)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION mq.send_active(text, uuid, jsonb, integer, integer, integer, integer, integer, integer)
    TO allod_app;
