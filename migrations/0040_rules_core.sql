-- rules: the owner's rules with every version that ran, their runs with journals, limits and state.
-- Written by the rules service only.

CREATE SCHEMA rules;
GRANT USAGE ON SCHEMA rules TO allod_app;

-- Counts the changes of an account's rules, so that each process knows when what it holds in memory is old.
CREATE TABLE rules.epoch (
    account uuid PRIMARY KEY,
    epoch bigint NOT NULL
);

CREATE TABLE rules.rule (
    account uuid NOT NULL,
    id text NOT NULL,
    enabled boolean NOT NULL,
    -- Since when it runs: what was written down before is not its concern, also when the log is read again.
    enabled_at timestamptz,
    version text NOT NULL,
    -- Values of the rule's inputs where they differ from the initial ones of its header.
    inputs jsonb NOT NULL,
    -- 'own': written by the owner; 'recipe': installed from the rules that come with the hub.
    origin text NOT NULL CHECK (origin IN ('own', 'recipe')),
    -- Why the hub itself stopped the rule; null when it did not.
    paused_reason text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (account, id)
);

-- A version never changes: a run's trace shows the text that ran. Named by the SHA-256 of its text.
CREATE TABLE rules.rule_version (
    account uuid NOT NULL,
    rule text NOT NULL,
    version text NOT NULL,
    source text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (account, rule, version)
);

CREATE TABLE rules.run (
    id uuid PRIMARY KEY,
    account uuid NOT NULL,
    rule text NOT NULL,
    version text NOT NULL,
    event uuid NOT NULL,
    -- Where the event stands in the log: what the run reads of the present is as of here.
    event_position bigint NOT NULL,
    correlation uuid NOT NULL,
    -- HMAC of the value of the rule's key: runs of one key don't overlap, and the breaker counts by it.
    key bytea NOT NULL,
    status text NOT NULL CHECK (status IN ('skipped', 'running', 'waiting', 'completed', 'failed', 'parked')),
    -- Why it was skipped, failed or parked, with file, line and column where a script is at fault.
    reason text,
    actions integer NOT NULL,
    started_at timestamptz NOT NULL,
    finished_at timestamptz,
    -- A second handling of the same event makes no second run.
    UNIQUE (account, rule, event)
);
CREATE INDEX run_newest ON rules.run (account, id DESC);
CREATE INDEX run_of_rule ON rules.run (account, rule, id DESC);
CREATE INDEX run_waiting ON rules.run (account, rule, key) WHERE status IN ('running', 'waiting');

-- What a run learned and did, in order: with the same journal it does the same again. Append-only until erased.
CREATE TABLE rules.journal_entry (
    run uuid NOT NULL REFERENCES rules.run (id),
    account uuid NOT NULL,
    seq integer NOT NULL,
    -- 'condition': what had to hold, and the value that did; 'read': what the script asked for; 'effect': an action;
    -- 'wait': an event, time or answer that the run waits or waited for.
    kind text NOT NULL CHECK (kind IN ('condition', 'read', 'effect', 'wait')),
    name text NOT NULL,
    args_hash bytea NOT NULL,
    args jsonb NOT NULL,
    value jsonb NOT NULL,
    -- Where in the source; 0 where it is not known.
    line integer NOT NULL,
    -- Of an effect: the message and the job that it became.
    message uuid,
    job uuid,
    at timestamptz NOT NULL,
    PRIMARY KEY (run, seq)
);
CREATE INDEX journal_entry_account ON rules.journal_entry (account);

-- When something limited last happened. Keys are HMACs.
CREATE TABLE rules.limit_counter (
    account uuid NOT NULL,
    rule text NOT NULL,
    -- 'limit': the rule's own; 'breaker': the hub's, against a rule that runs away.
    purpose text NOT NULL CHECK (purpose IN ('limit', 'breaker')),
    key bytea NOT NULL,
    hits timestamptz[] NOT NULL,
    PRIMARY KEY (account, rule, purpose, key)
);

DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['epoch', 'rule', 'rule_version', 'run', 'journal_entry', 'limit_counter'] LOOP
        EXECUTE format('ALTER TABLE rules.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE rules.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own ON rules.%I TO allod_app USING (account = spine.account()) '
            'WITH CHECK (account = spine.account())', name);
    END LOOP;
END $$;
GRANT SELECT, INSERT, UPDATE, DELETE ON rules.epoch, rules.rule, rules.run, rules.limit_counter TO allod_app;
GRANT SELECT, INSERT, DELETE ON rules.rule_version, rules.journal_entry TO allod_app;
