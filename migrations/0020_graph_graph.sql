-- graph: raw records, entities, claims, identifiers, relations. Written by the graph service only.

CREATE SCHEMA graph;
GRANT USAGE ON SCHEMA graph TO allod_app;

-- The types that entities may have. `single_source`: its entities hold their props themselves, without claims, until
-- a second source asserts something. No personal data.
CREATE TABLE graph.entity_type (
    name text PRIMARY KEY,
    single_source boolean NOT NULL,
    schema jsonb NOT NULL
);
GRANT SELECT ON graph.entity_type TO allod_app;

-- What sources sent, as received. Remote id and body are sealed; to find a record again its remote id is an HMAC.
CREATE TABLE graph.raw_record (
    account uuid NOT NULL,
    id uuid NOT NULL,
    connection uuid,
    source text NOT NULL,
    stream text NOT NULL,
    remote_key bytea NOT NULL,
    revision text NOT NULL,
    media_type text NOT NULL,
    remote_id bytea NOT NULL,
    body bytea NOT NULL,
    body_key bytea NOT NULL,
    received_at timestamptz NOT NULL,
    status text NOT NULL CHECK (status IN ('processed', 'parked')),
    reason text,
    tries integer NOT NULL DEFAULT 1,
    settled_at timestamptz NOT NULL,
    PRIMARY KEY (account, id),
    UNIQUE (account, source, stream, remote_key, revision),
    CHECK ((status = 'parked') = (reason IS NOT NULL))
);
CREATE INDEX raw_record_parked ON graph.raw_record (account, received_at, id) WHERE status = 'parked';
CREATE INDEX raw_record_received ON graph.raw_record (account, received_at, id);

-- Nodes. title, props and starts_at are the fold of the claims (or, while `folded` is false, what the one source says).
CREATE TABLE graph.entity (
    account uuid NOT NULL,
    id uuid NOT NULL,
    type text NOT NULL REFERENCES graph.entity_type (name),
    title text,
    props jsonb NOT NULL,
    version bigint NOT NULL CHECK (version > 0),
    starts_at timestamptz,
    ends_at timestamptz,
    place uuid,
    label text NOT NULL DEFAULT 'private',
    folded boolean NOT NULL,
    asserted_by text NOT NULL CHECK (asserted_by IN ('user', 'connector', 'rule', 'agent', 'peer')),
    source text NOT NULL,
    raw_record uuid,
    merged_into uuid,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz,
    PRIMARY KEY (account, id),
    FOREIGN KEY (account, place) REFERENCES graph.entity (account, id),
    FOREIGN KEY (account, merged_into) REFERENCES graph.entity (account, id),
    FOREIGN KEY (account, raw_record) REFERENCES graph.raw_record (account, id)
);
CREATE INDEX entity_list ON graph.entity (account, type, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX entity_all ON graph.entity (account, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX entity_time ON graph.entity (account, starts_at, id) WHERE starts_at IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX entity_place ON graph.entity (account, place) WHERE place IS NOT NULL;
CREATE INDEX entity_merged ON graph.entity (account, merged_into) WHERE merged_into IS NOT NULL;
CREATE INDEX entity_raw ON graph.entity (account, raw_record) WHERE raw_record IS NOT NULL;

-- What each source asserts of an entity, as one set of properties. A new assertion closes the recorded interval of the
-- one before, so that what was known when, and from whom, can be asked.
CREATE TABLE graph.claim (
    account uuid NOT NULL,
    id uuid NOT NULL,
    entity uuid NOT NULL,
    asserted_by text NOT NULL CHECK (asserted_by IN ('user', 'connector', 'rule', 'agent', 'peer')),
    source text NOT NULL,
    title text,
    props jsonb NOT NULL,
    starts_at timestamptz,
    confidence real NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    valid_from timestamptz,
    valid_to timestamptz,
    recorded_from timestamptz NOT NULL,
    recorded_to timestamptz CHECK (recorded_to >= recorded_from),
    raw_record uuid,
    PRIMARY KEY (account, id),
    FOREIGN KEY (account, entity) REFERENCES graph.entity (account, id),
    FOREIGN KEY (account, raw_record) REFERENCES graph.raw_record (account, id)
);
CREATE UNIQUE INDEX claim_current ON graph.claim (account, entity, asserted_by, source) WHERE recorded_to IS NULL;
CREATE INDEX claim_history ON graph.claim (account, entity, recorded_from);
CREATE INDEX claim_raw ON graph.claim (account, raw_record) WHERE raw_record IS NOT NULL;

-- Addresses and ids, normalised. A row's lock is what makes two deliveries about the same thing wait for each other.
CREATE TABLE graph.identifier (
    account uuid NOT NULL,
    id uuid NOT NULL,
    scheme text NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (account, id),
    UNIQUE (account, scheme, value)
);

-- Who bears them, as each source says.
CREATE TABLE graph.entity_identifier (
    account uuid NOT NULL,
    entity uuid NOT NULL,
    identifier uuid NOT NULL,
    asserted_by text NOT NULL CHECK (asserted_by IN ('user', 'connector', 'rule', 'agent', 'peer')),
    source text NOT NULL,
    confidence real NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    valid_from timestamptz,
    valid_to timestamptz,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (account, entity, identifier, source),
    FOREIGN KEY (account, entity) REFERENCES graph.entity (account, id),
    FOREIGN KEY (account, identifier) REFERENCES graph.identifier (account, id)
);
CREATE INDEX entity_identifier_bearer ON graph.entity_identifier (account, identifier);

-- Edges, one a source. `refused`: the owner took it away, so that no later import brings it back.
CREATE TABLE graph.relation (
    account uuid NOT NULL,
    id uuid NOT NULL,
    from_entity uuid NOT NULL,
    predicate text NOT NULL,
    to_entity uuid NOT NULL,
    asserted_by text NOT NULL CHECK (asserted_by IN ('user', 'connector', 'rule', 'agent', 'peer')),
    source text NOT NULL,
    valid_from timestamptz,
    valid_to timestamptz,
    recorded_at timestamptz NOT NULL,
    removed_at timestamptz,
    refused boolean NOT NULL DEFAULT false,
    raw_record uuid,
    PRIMARY KEY (account, id),
    FOREIGN KEY (account, from_entity) REFERENCES graph.entity (account, id),
    FOREIGN KEY (account, to_entity) REFERENCES graph.entity (account, id),
    FOREIGN KEY (account, raw_record) REFERENCES graph.raw_record (account, id)
);
CREATE UNIQUE INDEX relation_current ON graph.relation (account, from_entity, predicate, to_entity, source)
    WHERE removed_at IS NULL;
CREATE INDEX relation_from ON graph.relation (account, from_entity, to_entity, predicate);
CREATE INDEX relation_to ON graph.relation (account, to_entity, from_entity);
CREATE INDEX relation_raw ON graph.relation (account, raw_record) WHERE raw_record IS NOT NULL;

-- Answers to requests that carried an Idempotency-Key, kept for a day. Key and request are HMACs.
CREATE TABLE graph.request (
    account uuid NOT NULL,
    key bytea NOT NULL,
    request bytea NOT NULL,
    answer uuid,
    at timestamptz NOT NULL,
    PRIMARY KEY (account, key)
);
CREATE INDEX request_at ON graph.request (account, at);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['raw_record', 'entity', 'claim', 'identifier', 'entity_identifier', 'relation', 'request']
    LOOP
        EXECUTE format('ALTER TABLE graph.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE graph.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own ON graph.%I TO allod_app '
            'USING (account = spine.account()) WITH CHECK (account = spine.account())', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON graph.%I TO allod_app', name);
    END LOOP;
END $$;
