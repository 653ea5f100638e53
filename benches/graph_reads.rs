//! Reads of a large graph through the service's own routes, with row-level security and the access log: neighbours,
//! timeline, an entity with its history. The graph is written past the service, as the service writes mail and cards; a
//! sample is then given to the service, which has to find each thing again and add nothing.

use std::time::{Duration, Instant};

use axum::body::Body;
use chrono::{DateTime, TimeDelta, Utc};
use http::Request;
use serde_json::{Value, json};
use spine::edge::Caller;
use spine::ports::{AssertedBy, Change, EntityChange, Identifier, RelationChange, Target};
use spine::testing::{TestHub, hub};
use spine::{Cause, Scope};
use sqlx::Executor;
use tower::ServiceExt;
use uuid::Uuid;

use crate::mailbox::Chance;
use crate::measure::{Measure, ms, percentile};

const ENTITIES: f64 = 1_000_000.0;
const REQUESTS: usize = 1_000;
/// Pages that are read one after the other, by the cursors that the pages give.
const PAGES: usize = 5;
const TARGET_MS: f64 = 20.0;
const SOURCE: &str = "import/mbox";

/// How many there are of what, and how the set-up numbers them.
#[derive(Debug, Clone, Copy)]
struct Size {
    people: u64,
    conversations: u64,
    messages: u64,
    /// Of the owner.
    neighbours: u64,
    relations: u64,
}

const CONVERSATION: u64 = 0x1000_0000;
const MESSAGE: u64 = 0x2000_0000;

struct World {
    hub: TestHub,
    api: axum::Router,
    owner: Scope,
    size: Size,
    chance: Chance,
}

/// What the requests of one kind took, in milliseconds.
#[derive(Default)]
struct Times(Vec<f64>);

impl Times {
    fn measure(mut self, what: &str) -> Measure {
        let count = self.0.len();
        let p50 = percentile(&mut self.0, 0.5);
        let most = percentile(&mut self.0, 1.0);
        Measure::new(format!("{what}, p99"), percentile(&mut self.0, 0.99), "ms")
            .note(format!(
                "p50 {p50:.1} ms, at the most {most:.1} ms; {count} requests"
            ))
            .at_most(TARGET_MS)
    }
}

pub(crate) async fn run(part: f64) -> Vec<Measure> {
    let all = (ENTITIES * part).max(10_000.0) as u64;
    let size = Size {
        people: all * 15 / 100,
        conversations: all * 10 / 100,
        messages: all * 75 / 100,
        neighbours: all / 10,
        relations: all * 5,
    };
    let begun = Instant::now();
    let mut world = World::new(size).await;
    eprintln!(
        "   {all} entities, {} relations written in {:.0} s",
        size.relations,
        begun.elapsed().as_secs_f64()
    );
    world.verify().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.warm().await;
    let of = format!("of {all} entities and {} relations", size.relations);
    vec![
        world
            .walks()
            .await
            .measure(&format!("neighbours to depth 2 {of}, a page of 50")),
        world.owners_walks().await.measure(&format!(
            "the same of the owner, who has {} neighbours",
            size.neighbours
        )),
        world
            .timelines()
            .await
            .measure("timeline of a person, a conversation or all, a page of 50"),
        world.owners_timelines().await.measure("the same of the owner"),
        world
            .entities()
            .await
            .measure("entity with its relations and all that was said of it, or as it was known then"),
        world.owners_entity().await.measure("the same of the owner"),
    ]
}

fn id(number: u64) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 | u128::from(number))
}

impl World {
    async fn new(size: Size) -> Self {
        let mut api = axum::Router::new();
        let hub = hub(|context| {
            let mut graph = graph::service(context);
            api = std::mem::take(&mut graph.api).split_for_parts().0;
            vec![graph]
        })
        .await;
        let owner = hub.somebody();
        let world = Self {
            hub,
            api,
            owner,
            size,
            chance: Chance::new(7),
        };
        let known_by = [("allod", "me"), ("email", "owner@bench.example")];
        let known_by = known_by.map(|(scheme, value)| Identifier::new(scheme, value));
        let me = person("The Owner", known_by.to_vec());
        let me = world.apply(AssertedBy::User, "user", vec![me], vec![]).await[0].0;
        world.fill(me).await;
        world
    }

    async fn apply(
        &self,
        by: AssertedBy,
        source: &str,
        entities: Vec<EntityChange>,
        relations: Vec<RelationChange>,
    ) -> Vec<(Uuid, bool)> {
        let mut tx = self
            .hub
            .context
            .access
            .begin(&self.owner, Cause::outside())
            .await
            .unwrap();
        let change = Change {
            by,
            source: source.to_owned(),
            raw: None,
            entities,
            relations,
        };
        let applied = self
            .hub
            .context
            .ports
            .graph_write()
            .apply(&mut tx, change)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let ids = applied.entities.iter();
        ids.map(|entity| (entity.id.0, entity.created || entity.version > 2))
            .collect()
    }

    /// Writes the graph as its owner: rows as the service writes them, without the events.
    async fn fill(&self, me: Uuid) {
        let mut behind = self.hub.database.superuser().await;
        let Size {
            people,
            conversations,
            messages,
            neighbours,
            relations,
        } = self.size;
        let between = relations - neighbours - messages;
        // Each person knows others at so many different distances.
        let stride = people * people / (between + people) - 1;
        let account = self.owner.account();
        let own_mail =
            "(SELECT id FROM graph.identifier WHERE scheme = 'email' AND value = 'owner@bench.example')";
        let script = format!(
            r#"
            SET session_replication_role = replica;
            SET synchronous_commit = off;
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
        for statement in split(&script) {
            behind
                .execute(statement)
                .await
                .unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
        let tables = [
            "entity",
            "claim",
            "identifier",
            "entity_identifier",
            "relation",
            "timeline",
        ];
        for table in tables {
            behind
                .execute(format!("VACUUM (ANALYZE) graph.{table}").as_str())
                .await
                .unwrap();
        }
        let counted: (i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM graph.entity), (SELECT count(*) FROM graph.relation)",
        )
        .fetch_one(&mut behind)
        .await
        .unwrap();
        let entities = people + conversations + messages + 1;
        assert_eq!(counted, (entities.cast_signed(), relations.cast_signed()));
    }

    /// The service finds what was written as its own: the same again is known, and adds nothing.
    async fn verify(&mut self) {
        for _ in 0..20 {
            let (n, m) = (
                1 + self.chance.below(self.size.people),
                1 + self.chance.below(self.size.messages),
            );
            let email = Identifier::new("email", format!("p{n}@bench.example"));
            let message = self.get(&format!("/entities/{}", id(MESSAGE + m))).await.1;
            let mut again = person(&format!("Person {n}"), vec![email]);
            again.props.remove("note");
            let mail = EntityChange {
                target: Target::Identified,
                kind: "Message".to_owned(),
                title: message["title"].as_str().map(ToOwned::to_owned),
                props: message["props"].as_object().unwrap().clone(),
                identifiers: vec![Identifier::new("mail.message-id", format!("m{m}@bench.example"))],
                starts_at: Some(message["starts_at"].as_str().unwrap().parse().unwrap()),
            };
            let part_of = RelationChange {
                from: id(MESSAGE + m).into(),
                predicate: "part-of".to_owned(),
                to: id(CONVERSATION + 1 + m % self.size.conversations).into(),
            };
            let entities = vec![again, mail];
            let found = self
                .apply(AssertedBy::Connector, SOURCE, entities, vec![part_of])
                .await;
            assert_eq!(
                found,
                [(id(n), false), (id(MESSAGE + m), false)],
                "found, and nothing changed"
            );
            let detail = self.get(&format!("/entities/{}", id(n))).await.1;
            assert_eq!(
                (&detail["version"], &detail["title"]),
                (&json!(2), &json!(format!("Person {n}")))
            );
            assert!(!detail["relations"].as_array().unwrap().is_empty());
            let timeline = self.get(&format!("/timeline?about={}", id(n))).await.1;
            for item in timeline["items"].as_array().unwrap() {
                let ends = [&item["props"]["from"], &item["props"]["to"]];
                assert!(ends.contains(&&json!(format!("p{n}@bench.example"))), "{item}");
            }
        }
    }

    /// Milliseconds of a request, and its answer.
    async fn get(&self, path: &str) -> (f64, Value) {
        let mut request = Request::get(path).body(Body::empty()).unwrap();
        request.extensions_mut().insert(Caller(self.owner.clone()));
        let begun = Instant::now();
        let response = self.api.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX)
            .await
            .unwrap();
        let took = ms(begun.elapsed());
        let answer: Value = serde_json::from_slice(&bytes).unwrap();
        assert!(status.is_success(), "{path}: {status} {answer}");
        (took, answer)
    }

    /// A page and those after it.
    async fn pages(&self, path: &str, times: &mut Times) {
        let mut cursor = String::new();
        for _ in 0..PAGES {
            let (took, page) = self.get(&format!("{path}{cursor}")).await;
            times.0.push(took);
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
    }

    fn anything(&mut self) -> Uuid {
        let Size {
            people,
            conversations,
            messages,
            ..
        } = self.size;
        match self.chance.below(3) {
            0 => id(1 + self.chance.below(people)),
            1 => id(CONVERSATION + 1 + self.chance.below(conversations)),
            _ => id(MESSAGE + 1 + self.chance.below(messages)),
        }
    }

    fn moment(&mut self) -> DateTime<Utc> {
        let first: DateTime<Utc> = "2010-01-01T00:00:00Z".parse().unwrap();
        first + TimeDelta::minutes(11 * self.chance.below(self.size.messages).cast_signed())
    }

    /// Some of each kind, before it counts.
    async fn warm(&mut self) {
        for _ in 0..100 {
            let one = self.anything();
            self.get(&format!("/entities/{one}/neighbours?depth=2")).await;
            self.get(&format!("/timeline?about={one}")).await;
            self.get(&format!("/entities/{one}")).await;
        }
    }

    async fn walks(&mut self) -> Times {
        let mut times = Times::default();
        while times.0.len() < REQUESTS {
            let one = self.anything();
            self.pages(
                &format!("/entities/{one}/neighbours?depth=2&limit=50"),
                &mut times,
            )
            .await;
        }
        times
    }

    /// From the beginning, and from anywhere among the near and the far: a cursor is the way to where a page ended.
    async fn owners_walks(&mut self) -> Times {
        let mut times = Times::default();
        let path = "/entities/me/neighbours?depth=2&limit=50";
        self.pages(path, &mut times).await;
        while times.0.len() < REQUESTS {
            let near = id(1 + self.chance.below(self.size.neighbours)).simple();
            let far = id(1 + self.chance.below(self.size.people)).simple();
            for cursor in [near.to_string(), format!("{near}_{far}")] {
                times.0.push(self.get(&format!("{path}&cursor={cursor}")).await.0);
            }
        }
        times
    }

    async fn timelines(&mut self) -> Times {
        let mut times = Times::default();
        while times.0.len() < REQUESTS {
            let (person, moment) = (id(1 + self.chance.below(self.size.people)), self.moment());
            let talk = id(CONVERSATION + 1 + self.chance.below(self.size.conversations));
            self.pages(&format!("/timeline?about={person}&limit=50"), &mut times)
                .await;
            self.pages(&format!("/timeline?about={talk}&limit=50"), &mut times)
                .await;
            let until = format!("until={}", moment.format("%Y-%m-%dT%H:%M:%SZ"));
            self.pages(&format!("/timeline?{until}&limit=50"), &mut times)
                .await;
        }
        times
    }

    async fn owners_timelines(&mut self) -> Times {
        let mut times = Times::default();
        while times.0.len() < REQUESTS {
            let until = self.moment().format("%Y-%m-%dT%H:%M:%SZ").to_string();
            self.pages(&format!("/timeline?about=me&until={until}&limit=50"), &mut times)
                .await;
            self.pages(
                &format!("/timeline?about=me&type=Message&until={until}&limit=50"),
                &mut times,
            )
            .await;
        }
        times
    }

    async fn entities(&mut self) -> Times {
        let mut times = Times::default();
        while times.0.len() < REQUESTS {
            let (one, at) = (
                self.anything(),
                self.moment().format("%Y-%m-%dT%H:%M:%SZ").to_string(),
            );
            times.0.push(self.get(&format!("/entities/{one}")).await.0);
            times
                .0
                .push(self.get(&format!("/entities/{one}/history?at={at}")).await.0);
        }
        times
    }

    async fn owners_entity(&mut self) -> Times {
        let mut times = Times::default();
        for _ in 0..REQUESTS / 2 {
            times.0.push(self.get("/entities/me").await.0);
            times.0.push(self.get("/entities/me/history").await.0);
        }
        times
    }
}

fn person(name: &str, identifiers: Vec<Identifier>) -> EntityChange {
    EntityChange {
        target: Target::Identified,
        kind: "Person".to_owned(),
        title: Some(name.to_owned()),
        props: json!({ "name": name, "note": "said 1" })
            .as_object()
            .unwrap()
            .clone(),
        identifiers,
        starts_at: None,
    }
}

/// Statements that end with a line's end: a prepared statement is one.
fn split(script: &str) -> impl Iterator<Item = &str> {
    script
        .split(";\n")
        .map(str::trim)
        .filter(|statement| !statement.is_empty())
}
