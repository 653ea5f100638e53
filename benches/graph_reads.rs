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
use tower::ServiceExt;
use uuid::Uuid;

use crate::graph_fill::{CONVERSATION, MESSAGE, SOURCE, Size, fill};
use crate::mailbox::Chance;
use crate::measure::{Measure, ms, percentile};

const ENTITIES: f64 = 1_000_000.0;
const REQUESTS: usize = 1_000;
/// Pages that are read one after the other, by the cursors that the pages give.
const PAGES: usize = 5;
const TARGET_MS: f64 = 20.0;
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
        fill(&world.hub, world.owner.account(), me, world.size).await;
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
