-- spine: what every transaction begins with, and what every batch of the log is written by, each in one question to
-- the database. As the caller, so row-level security holds within.

-- Binds the transaction to an account and holds the lock that says "somebody works for it". Refuses one that was erased.
-- `by_rote`: statements are planned once a connection, not once for what is asked this time, and go by index, however
-- old the planner's picture of a table is.
CREATE FUNCTION spine.enter(who uuid, though_erased boolean, by_rote boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF by_rote THEN
        PERFORM set_config('plan_cache_mode', 'force_generic_plan', true),
            set_config('enable_seqscan', 'off', true),
            set_config('enable_hashjoin', 'off', true),
            set_config('enable_mergejoin', 'off', true);
    END IF;
    PERFORM pg_advisory_xact_lock_shared(1634498305, hashtext(who::text));
    PERFORM set_config('allod.account', who::text, true);
    IF NOT though_erased AND EXISTS (SELECT FROM spine.erasure WHERE account = who) THEN
        RAISE EXCEPTION 'the account was erased' USING ERRCODE = 'AL001';
    END IF;
END $$;
GRANT EXECUTE ON FUNCTION spine.enter(uuid, boolean, boolean) TO allod_app;

-- Moves rows from the outbox behind the end of the log, as one batch with its link and signature. False: the log does
-- not end there any more, and nothing was done. The head's row is locked first: of two that seal at once, the second
-- waits, and finds that the head has moved.
CREATE FUNCTION spine.seal(head_position bigint, head_batch bigint, seqs bigint[], links bytea, key_id text,
    signature bytea, sealed_at timestamptz) RETURNS boolean LANGUAGE plpgsql SET plan_cache_mode = 'force_generic_plan' AS $$
DECLARE
    count constant bigint := cardinality(seqs);
    moved bigint;
    link constant bytea := substr(links, (32 * (count - 1) + 1)::integer, 32);
BEGIN
    UPDATE spine.log_head SET position = head_position + count, batch = head_batch + 1, hash = link
    WHERE position = head_position AND batch = head_batch;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    WITH taken AS (
        DELETE FROM spine.outbox WHERE seq = ANY(seqs) RETURNING *
    ), numbered AS (
        SELECT *, row_number() OVER (ORDER BY seq) AS nth FROM taken
    )
    INSERT INTO spine.event_log (position, id, type, version, account, lane, subject, subject_version, actor,
        occurred_at, recorded_at, correlation, causation, depth, body_hash, hash, batch)
    SELECT head_position + nth, id, type, version, account, lane, subject, subject_version, actor,
        occurred_at, recorded_at, correlation, causation, depth, body_hash,
        substr(links, (32 * (nth - 1) + 1)::integer, 32), head_batch + 1
    FROM numbered;
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved <> count THEN
        -- Nobody but a sealer removes rows; links for other rows than these must never be kept.
        RAISE EXCEPTION 'rows left the outbox while they were being sealed';
    END IF;
    INSERT INTO spine.chain_batch (batch, first_position, last_position, hash, key_id, signature, sealed_at)
    VALUES (head_batch + 1, head_position + 1, head_position + count, link, seal.key_id, seal.signature, seal.sealed_at);
    PERFORM pg_notify('allod_sealed', (head_position + count)::text);
    RETURN true;
END $$;
REVOKE EXECUTE ON FUNCTION spine.seal(bigint, bigint, bigint[], bytea, text, bytea, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION spine.seal(bigint, bigint, bigint[], bytea, text, bytea, timestamptz) TO allod_spine;
