-- spine: a batch of the log is written without a word to other processes, which the sealer tells afterwards, some times a
-- second. As in 0160 otherwise.

-- Every listener of the database was woken for each batch, whatever it listens to, and most of all the hub that sealed it
-- and knew: three processes that wanted the processor while those that the batch was for did.
CREATE OR REPLACE FUNCTION spine.seal(head_position bigint, head_batch bigint, seqs bigint[], links bytea, key_id text,
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
    RETURN true;
END $$;
