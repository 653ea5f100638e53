//! Writes a large graph past the service, in the form in which the service writes mail and cards.

use contracts::AccountId;
use spine::testing::TestHub;
use sqlx::Executor;
use uuid::Uuid;

/// Who says all of it.
pub(crate) const SOURCE: &str = "import/mbox";
/// Where the numbers of the conversations begin, and those of the messages.
pub(crate) const CONVERSATION: u64 = 0x1000_0000;
pub(crate) const MESSAGE: u64 = 0x2000_0000;
/// What it is written to.
const TABLES: [&str; 6] = [
    "graph.entity",
    "graph.claim",
    "graph.identifier",
    "graph.entity_identifier",
    "graph.relation",
    "graph.timeline",
];

/// How many there are of what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) people: u64,
    pub(crate) conversations: u64,
    pub(crate) messages: u64,
    /// Of the owner.
    pub(crate) neighbours: u64,
    pub(crate) relations: u64,
}

/// Writes the graph as its owner: rows as the service writes them, without the events.
pub(crate) async fn fill(hub: &TestHub, account: AccountId, me: Uuid, size: Size) {
    let mut behind = hub.database.superuser().await;
    let Size {
        people,
        conversations,
        messages,
        neighbours,
        relations,
    } = size;
    let between = relations - neighbours - messages;
    // Each person knows others at so many different distances.
    let stride = people * people / (between + people) - 1;
    let own_mail =
        "(SELECT id FROM graph.identifier WHERE scheme = 'email' AND value = 'owner@bench.example')";
    let script = format!(
        r#"
        SET session_replication_role = replica;
        SET synchronous_commit = off;
        SET maintenance_work_mem = '1GB';
        CREATE FUNCTION pg_temp.id(number bigint) RETURNS uuid IMMUTABLE LANGUAGE sql
            AS $$ SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(number), 12, '0'))::uuid $$;
        CREATE FUNCTION pg_temp.at(number bigint) RETURNS timestamptz IMMUTABLE LANGUAGE sql
            AS $$ SELECT timestamptz '2010-01-01 00:00:00+00' + number * interval '11 minutes' $$;

        INSERT INTO graph.entity (account, id, type, title, props, version, folded, asserted_by, source, created_at,
            updated_at)
        SELECT '{account}'::uuid, pg_temp.id(n), 'Person', 'Person ' || n,
            jsonb_build_object('name', 'Person ' || n, 'note', 'said ' || 1 + n % 3), 2, true, 'connector', '{SOURCE}',
            pg_temp.at(n), pg_temp.at(n)
        FROM generate_series(1, {people}) n;
        INSERT INTO graph.claim (account, id, entity, asserted_by, source, title, props, confidence, recorded_from,
            recorded_to)
        SELECT '{account}'::uuid, gen_random_uuid(), pg_temp.id(n), 'connector', '{SOURCE}', 'Person ' || n,
            jsonb_build_object('name', 'Person ' || n, 'note', 'said ' || CASE WHEN was = 0 THEN 1 + n % 3 ELSE was END),
            1, pg_temp.at(n - was), CASE WHEN was > 0 THEN pg_temp.at(n - was + 1) END
        FROM generate_series(1, {people}) n, generate_series(0, CASE WHEN n % 100 = 0 THEN 40 ELSE 1 END) was;

        INSERT INTO graph.entity (account, id, type, title, props, version, folded, asserted_by, source, created_at,
            updated_at)
        SELECT '{account}'::uuid, pg_temp.id({CONVERSATION} + n), 'Conversation', 'Topic ' || n, '{{"channel": "email"}}', 1,
            true, 'connector', '{SOURCE}', pg_temp.at(n), pg_temp.at(n)
        FROM generate_series(1, {conversations}) n;
        INSERT INTO graph.claim (account, id, entity, asserted_by, source, title, props, confidence, recorded_from)
        SELECT '{account}'::uuid, gen_random_uuid(), pg_temp.id({CONVERSATION} + n), 'connector', '{SOURCE}', 'Topic ' || n,
            '{{"channel": "email"}}', 1, pg_temp.at(n)
        FROM generate_series(1, {conversations}) n;

        INSERT INTO graph.entity (account, id, type, title, props, version, starts_at, folded, asserted_by, source,
            created_at, updated_at)
        SELECT '{account}'::uuid, pg_temp.id({MESSAGE} + n), 'Message', 'Topic ' || 1 + n % {conversations}, jsonb_build_object(
                'direction', CASE WHEN n % 3 = 0 THEN 'out' ELSE 'in' END, 'channel', 'email',
                'status', CASE WHEN n % 3 = 0 THEN 'sent' ELSE 'received' END,
                'subject', 'Topic ' || 1 + n % {conversations},
                'from', CASE WHEN n % 3 = 0 THEN 'owner@bench.example' ELSE 'p' || 1 + n % {people} || '@bench.example' END,
                'to', CASE WHEN n % 3 = 0 THEN 'p' || 1 + n % {people} || '@bench.example' ELSE 'owner@bench.example' END,
                'text', repeat('Words that somebody wrote. ', 8)),
            1, pg_temp.at(n), false, 'connector', '{SOURCE}', pg_temp.at(n), pg_temp.at(n)
        FROM generate_series(1, {messages}) n;

        INSERT INTO graph.identifier (account, id, scheme, value)
        SELECT '{account}'::uuid, pg_temp.id(n), 'email', 'p' || n || '@bench.example' FROM generate_series(1, {people}) n
        UNION ALL SELECT '{account}'::uuid, pg_temp.id({CONVERSATION} + n), 'mail.thread', 'm' || n || '@bench.example'
            FROM generate_series(1, {conversations}) n
        UNION ALL SELECT '{account}'::uuid, pg_temp.id({MESSAGE} + n), 'mail.message-id', 'm' || n || '@bench.example'
            FROM generate_series(1, {messages}) n;
        INSERT INTO graph.entity_identifier (account, entity, identifier, asserted_by, source, confidence, recorded_at)
        SELECT '{account}'::uuid, id, id, 'connector', '{SOURCE}', 1, timestamptz '2026-05-01'
        FROM graph.identifier WHERE account = '{account}' AND scheme IN ('mail.thread', 'mail.message-id')
            OR value LIKE 'p%@bench.example';

        INSERT INTO graph.relation (account, id, from_entity, predicate, to_entity, asserted_by, source, recorded_at)
        SELECT '{account}'::uuid, gen_random_uuid(), '{me}', 'knows', pg_temp.id(n), 'user', 'user', pg_temp.at(n)
        FROM generate_series(1, {neighbours}) n;
        INSERT INTO graph.relation (account, id, from_entity, predicate, to_entity, asserted_by, source, recorded_at)
        SELECT '{account}'::uuid, gen_random_uuid(), pg_temp.id({MESSAGE} + n), 'part-of',
            pg_temp.id({CONVERSATION} + 1 + n % {conversations}), 'connector', '{SOURCE}', pg_temp.at(n)
        FROM generate_series(1, {messages}) n;
        INSERT INTO graph.relation (account, id, from_entity, predicate, to_entity, asserted_by, source, recorded_at)
        SELECT '{account}'::uuid, gen_random_uuid(), pg_temp.id(1 + n % {people}), 'knows',
            pg_temp.id(1 + (n % {people} + 1 + n / {people} * {stride} + n % {people} * 31 % ({stride} - 1)) % {people}),
            'connector', '{SOURCE}', pg_temp.at(n / 8)
        FROM generate_series(0, {between} - 1) n;

        INSERT INTO graph.timeline (account, item, about, role, kind, at)
        SELECT '{account}'::uuid, pg_temp.id({MESSAGE} + n), pg_temp.id(1 + n % {people}),
            CASE WHEN n % 3 = 0 THEN 'to' ELSE 'from' END, 'Message', pg_temp.at(n)
        FROM generate_series(1, {messages}) n
        UNION ALL SELECT '{account}'::uuid, pg_temp.id({MESSAGE} + n), {own_mail},
            CASE WHEN n % 3 = 0 THEN 'from' ELSE 'to' END, 'Message', pg_temp.at(n)
        FROM generate_series(1, {messages}) n
        UNION ALL SELECT '{account}'::uuid, pg_temp.id({MESSAGE} + n), pg_temp.id({CONVERSATION} + 1 + n % {conversations}),
            'part-of', 'Message', pg_temp.at(n)
        FROM generate_series(1, {messages}) n;
        "#,
    );
    // Millions of rows go in faster without their indexes, which are then as tight as after a REINDEX.
    let indexes: Vec<(String, String)> = sqlx::query_as(
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
        WHERE indrelid = ANY($1::regclass[])
            AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)",
    )
    .bind(TABLES.map(str::to_owned).to_vec())
    .fetch_all(&mut behind)
    .await
    .unwrap();
    let without = indexes.iter().map(|(name, _)| format!("DROP INDEX {name}"));
    let filled = split(&script).map(str::to_owned);
    let again = indexes.iter().map(|(_, definition)| definition.clone());
    let vacuumed = TABLES.map(|table| format!("VACUUM (ANALYZE) {table}"));
    for statement in without.chain(filled).chain(again).chain(vacuumed) {
        behind
            .execute(statement.as_str())
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    let counted: (i64, i64) =
        sqlx::query_as("SELECT (SELECT count(*) FROM graph.entity), (SELECT count(*) FROM graph.relation)")
            .fetch_one(&mut behind)
            .await
            .unwrap();
    let entities = people + conversations + messages + 1;
    assert_eq!(counted, (entities.cast_signed(), relations.cast_signed()));
}

/// Statements that end with a line's end: a prepared statement is one.
fn split(script: &str) -> impl Iterator<Item = &str> {
    script
        .split(";\n")
        .map(str::trim)
        .filter(|statement| !statement.is_empty())
}
