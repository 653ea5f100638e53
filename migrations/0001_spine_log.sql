-- spine: outbox, event log, bodies, chain, consumers. Written by the spine only.

CREATE SCHEMA spine;
GRANT USAGE ON SCHEMA spine TO allod_app, allod_spine, allod_definer;

-- The account that the transaction is bound to; null (no rows) on a connection without a setting.
CREATE FUNCTION spine.account() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT nullif(current_setting('allod.account', true), '')::uuid $$;
GRANT EXECUTE ON FUNCTION spine.account() TO PUBLIC;

CREATE FUNCTION spine.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;

-- Events on their way into the log, in the same commit as the data that they tell of.
CREATE TABLE spine.outbox (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL,
    type text NOT NULL,
    version smallint NOT NULL,
    account uuid NOT NULL,
    lane text NOT NULL CHECK (lane IN ('live', 'backfill')),
    subject text,
    subject_version bigint,
    actor text NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    correlation uuid NOT NULL,
    causation uuid,
    depth smallint NOT NULL,
    body_hash bytea NOT NULL
);
ALTER TABLE spine.outbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE spine.outbox FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON spine.outbox FOR INSERT TO allod_app WITH CHECK (account = spine.account());
CREATE POLICY spine ON spine.outbox TO allod_spine USING (true) WITH CHECK (true);
GRANT INSERT ON spine.outbox TO allod_app;
GRANT SELECT, INSERT, DELETE ON spine.outbox TO allod_spine;
-- Emptied all the time: vacuum early.
ALTER TABLE spine.outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);

-- The log. `hash` is the row's link of the chain (docs/adr/0005).
CREATE TABLE spine.event_log (
    position bigint NOT NULL,
    id uuid NOT NULL,
    type text NOT NULL,
    version smallint NOT NULL,
    account uuid NOT NULL,
    lane text NOT NULL,
    subject text,
    subject_version bigint,
    actor text NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    correlation uuid NOT NULL,
    causation uuid,
    depth smallint NOT NULL,
    body_hash bytea NOT NULL,
    batch bigint NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (position)
) PARTITION BY RANGE (position);
CREATE INDEX event_log_id ON spine.event_log (id);
CREATE INDEX event_log_account ON spine.event_log (account, position);
CREATE INDEX event_log_correlation ON spine.event_log (correlation, position);
ALTER TABLE spine.event_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE spine.event_log FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON spine.event_log FOR SELECT TO allod_app USING (account = spine.account());
CREATE POLICY spine ON spine.event_log TO allod_spine USING (true) WITH CHECK (true);
GRANT SELECT ON spine.event_log TO allod_app;
GRANT SELECT, INSERT ON spine.event_log TO allod_spine;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON spine.event_log
    FOR EACH ROW EXECUTE FUNCTION spine.refuse_change();

-- Makes the partition that holds a position, and the next one. Ten million rows each.
CREATE FUNCTION spine.log_partition_ensure(at bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    size constant bigint := 10000000;
    part bigint;
    name text;
BEGIN
    FOR part IN SELECT at / size UNION SELECT at / size + 1 LOOP
        name := 'event_log_' || lpad(part::text, 6, '0');
        IF to_regclass('spine.' || name) IS NULL THEN
            EXECUTE format('CREATE TABLE spine.%I PARTITION OF spine.event_log FOR VALUES FROM (%s) TO (%s)',
                name, part * size, (part + 1) * size);
            EXECUTE format('ALTER TABLE spine.%I ENABLE ROW LEVEL SECURITY', name);
            EXECUTE format('ALTER TABLE spine.%I FORCE ROW LEVEL SECURITY', name);
            EXECUTE format('CREATE TRIGGER keep BEFORE TRUNCATE ON spine.%I EXECUTE FUNCTION spine.refuse_change()', name);
        END IF;
    END LOOP;
END $$;
REVOKE EXECUTE ON FUNCTION spine.log_partition_ensure(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION spine.log_partition_ensure(bigint) TO allod_spine;
SELECT spine.log_partition_ensure(0);

-- Bodies apart from the log: erasing a person removes content while the chain still proves itself.
CREATE TABLE spine.event_body (
    event uuid PRIMARY KEY,
    account uuid NOT NULL,
    salt bytea NOT NULL,
    body bytea NOT NULL
);
CREATE INDEX event_body_account ON spine.event_body (account);
ALTER TABLE spine.event_body ENABLE ROW LEVEL SECURITY;
ALTER TABLE spine.event_body FORCE ROW LEVEL SECURITY;
CREATE POLICY own_read ON spine.event_body FOR SELECT TO allod_app USING (account = spine.account());
CREATE POLICY own_write ON spine.event_body FOR INSERT TO allod_app WITH CHECK (account = spine.account());
CREATE POLICY spine ON spine.event_body TO allod_spine USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON spine.event_body TO allod_app;
GRANT SELECT, INSERT, DELETE ON spine.event_body TO allod_spine;
CREATE TRIGGER immutable BEFORE UPDATE ON spine.event_body
    FOR EACH ROW EXECUTE FUNCTION spine.refuse_change();

-- The chain's links, one a batch, each signed by a key outside the database.
CREATE TABLE spine.chain_batch (
    batch bigint PRIMARY KEY,
    first_position bigint NOT NULL,
    last_position bigint NOT NULL,
    hash bytea NOT NULL,
    key_id text NOT NULL,
    signature bytea NOT NULL,
    sealed_at timestamptz NOT NULL
);
GRANT SELECT, INSERT ON spine.chain_batch TO allod_spine;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON spine.chain_batch
    FOR EACH ROW EXECUTE FUNCTION spine.refuse_change();
CREATE TRIGGER keep BEFORE TRUNCATE ON spine.chain_batch EXECUTE FUNCTION spine.refuse_change();

-- Where the log ends. One row.
CREATE TABLE spine.log_head (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    position bigint NOT NULL,
    batch bigint NOT NULL,
    hash bytea NOT NULL
);
INSERT INTO spine.log_head (position, batch, hash) VALUES (0, 0, '\x'::bytea);
GRANT SELECT ON spine.log_head TO allod_app;
GRANT SELECT, UPDATE ON spine.log_head TO allod_spine;

-- What was taken in already. Keys of personal data are HMACs.
CREATE TABLE spine.idempotency (
    account uuid NOT NULL,
    source text NOT NULL,
    key bytea NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (account, source, key)
);
ALTER TABLE spine.idempotency ENABLE ROW LEVEL SECURITY;
ALTER TABLE spine.idempotency FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON spine.idempotency TO allod_app USING (account = spine.account()) WITH CHECK (account = spine.account());
CREATE POLICY spine ON spine.idempotency TO allod_spine USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON spine.idempotency TO allod_app;
GRANT SELECT, INSERT, DELETE ON spine.idempotency TO allod_spine;

-- How far each consumer has come, committed with its effects. No personal data.
CREATE TABLE spine.consumer_position (
    consumer text NOT NULL,
    lane text NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (consumer, lane)
);
GRANT SELECT, INSERT, UPDATE ON spine.consumer_position TO allod_app, allod_spine;

-- Events that a consumer could not handle, with the reason, until somebody retries or dismisses them.
CREATE TABLE spine.parked_event (
    consumer text NOT NULL,
    event uuid NOT NULL,
    position bigint NOT NULL,
    account uuid NOT NULL,
    reason text NOT NULL,
    tries integer NOT NULL,
    parked_at timestamptz NOT NULL,
    PRIMARY KEY (consumer, event)
);
ALTER TABLE spine.parked_event ENABLE ROW LEVEL SECURITY;
ALTER TABLE spine.parked_event FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON spine.parked_event TO allod_app USING (account = spine.account()) WITH CHECK (account = spine.account());
CREATE POLICY spine ON spine.parked_event TO allod_spine USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON spine.parked_event TO allod_app, allod_spine;

-- Accounts that were erased: nothing is written for them any more, and what was on its way is swept.
CREATE TABLE spine.erasure (
    account uuid PRIMARY KEY,
    asked_at timestamptz NOT NULL,
    done_at timestamptz
);
GRANT SELECT ON spine.erasure TO allod_app;
GRANT SELECT, INSERT, UPDATE ON spine.erasure TO allod_spine;
