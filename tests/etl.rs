//! Files become people, conversations, events and tasks, and an export becomes the same account again. With the real graph.
//!
//! Begin with [`Alice`], who imports; the samples are made here.

mod batches;
mod mailbox;

use axum::body::Body;
use axum::http::{Request, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use spine::Scope;
use spine::edge::Caller;
use spine::ports::{AssertedBy, Change, EntityChange, Identifier, RelationChange, Target};
use spine::testing::TestHub;
use tower::ServiceExt;

const CARDS: &str = "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:sam\r\nFN:Sam Example\r\nN:Example;Sam;;;\r\nTEL:+4930901820\r\n\
    EMAIL:sam@example.org\r\nBDAY:19900501\r\nORG:Example Ltd\r\nEND:VCARD\r\nBEGIN:VCARD\r\nVERSION:4.0\r\n\
    FN:Kim\\, the Elder\r\nEMAIL:kim@example.org\r\nNOTE:tea\\nno cake\r\nEND:VCARD\r\n";

const CALENDAR: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:lunch\r\nSUMMARY:Lunch\r\n\
    DTSTART;TZID=Europe/Berlin:20260501T120000\r\nDTEND;TZID=Europe/Berlin:20260501T130000\r\nRRULE:FREQ=WEEKLY\r\n\
    LOCATION:Café\r\nATTENDEE:mailto:sam@example.org\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:trip\r\nSUMMARY:Trip\r\n\
    DTSTART;VALUE=DATE:20260601\r\nEND:VEVENT\r\nBEGIN:VTODO\r\nUID:taxes\r\nSUMMARY:Taxes\r\nDUE:20260531T100000Z\r\n\
    STATUS:NEEDS-ACTION\r\nPRIORITY:1\r\nEND:VTODO\r\nEND:VCALENDAR\r\n";

async fn hub() -> TestHub {
    spine::testing::hub(|context| {
        vec![
            accounts::service(context),
            graph::service(context),
            etl::service(context),
        ]
    })
    .await
}

/// Somebody with an account.
struct Alice<'a> {
    hub: &'a TestHub,
    scope: Scope,
}

impl<'a> Alice<'a> {
    /// Somebody whose mailbox and number the graph knows.
    async fn new(hub: &'a TestHub) -> Self {
        let alice = Self {
            hub,
            scope: hub.somebody(),
        };
        let me = [
            ("allod", "me"),
            ("email", "alice@example.org"),
            ("tel", "+4930123456"),
        ];
        alice.write("Person", "Alice", &me).await;
        alice
    }

    async fn write(&self, kind: &str, name: &str, known_by: &[(&str, &str)]) -> contracts::EntityId {
        let mut tx = self.hub.begin(&self.scope).await;
        let Value::Object(props) = json!({ "name": name }) else {
            panic!("an object")
        };
        let entity = EntityChange {
            target: if known_by.is_empty() {
                Target::New(contracts::EntityId::new())
            } else {
                Target::Identified
            },
            kind: kind.to_owned(),
            title: Some(name.to_owned()),
            props,
            identifiers: known_by
                .iter()
                .map(|(scheme, value)| Identifier::new(*scheme, *value))
                .collect(),
            starts_at: None,
        };
        let change = Change {
            by: AssertedBy::User,
            source: "user".to_owned(),
            raw: None,
            entities: vec![entity],
            relations: Vec::new(),
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
        applied.entities[0].id
    }

    async fn relate(&self, from: contracts::EntityId, predicate: &str, to: contracts::EntityId) {
        let mut tx = self.hub.begin(&self.scope).await;
        let change = Change {
            by: AssertedBy::User,
            source: "user".to_owned(),
            raw: None,
            entities: Vec::new(),
            relations: vec![RelationChange {
                from,
                predicate: predicate.to_owned(),
                to,
            }],
        };
        self.hub
            .context
            .ports
            .graph_write()
            .apply(&mut tx, change)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    async fn call(&self, method: &str, path: &str, body: impl Into<Body>) -> (u16, Vec<u8>) {
        let (router, _) = etl::service(&self.hub.context).api.split_for_parts();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .extension(Caller(self.scope.clone()));
        let response = router.oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        (
            status,
            response.into_body().collect().await.unwrap().to_bytes().to_vec(),
        )
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call("GET", path, Body::empty()).await;
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }

    /// Imports a file and waits until that has ended.
    async fn import(&self, format: &str, file: impl Into<Body>) -> Value {
        let (status, body) = self
            .call("POST", &format!("/imports?type={format}&filename=../x"), file)
            .await;
        assert_eq!(status, 202, "{}", String::from_utf8_lossy(&body));
        let import: Value = serde_json::from_slice(&body).unwrap();
        let path = format!("/imports/{}", import["id"].as_str().unwrap());
        self.hub
            .eventually("the import ends", async || {
                let now = self.get(&path).await;
                now["finished_at"].is_string().then_some(now)
            })
            .await
    }

    async fn export(&self, format: &str) -> String {
        let (status, body) = self
            .call("GET", &format!("/export?format={format}"), Body::empty())
            .await;
        assert_eq!(status, 200);
        String::from_utf8(body).unwrap()
    }

    async fn count(&self, of: &str) -> i64 {
        let mut behind = self.hub.database.superuser().await;
        sqlx::query_scalar(&format!(
            "SELECT count(*) FROM graph.{of} AND account = '{}'",
            self.scope.account()
        ))
        .fetch_one(&mut behind)
        .await
        .unwrap()
    }

    async fn entities(&self, kind: &str) -> i64 {
        self.count(&format!(
            "entity WHERE type = '{kind}' AND deleted_at IS NULL AND merged_into IS NULL"
        ))
        .await
    }

    async fn conversation_sizes(&self) -> Vec<i64> {
        let mut behind = self.hub.database.superuser().await;
        sqlx::query_scalar(
            "SELECT count(*) FROM graph.relation AS r JOIN graph.entity AS e ON e.id = r.to_entity
            WHERE r.predicate = 'part-of' AND e.type = 'Conversation' AND e.deleted_at IS NULL AND e.account = $1
            GROUP BY e.id ORDER BY 1",
        )
        .bind(self.scope.account().0)
        .fetch_all(&mut behind)
        .await
        .unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_cards_becomes_people_and_a_second_time_it_adds_nothing() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    let first = alice.import("vcard", CARDS).await;
    assert_eq!(
        [
            &first["state"],
            &first["taken"],
            &first["new"],
            &first["parked"],
            &first["filename"]
        ],
        [&json!("finished"), &json!(2), &json!(2), &json!(0), &json!("x")]
    );
    assert_eq!(first["position"], first["bytes"]);
    assert_eq!(
        (
            alice.entities("Person").await,
            alice.entities("Organization").await
        ),
        (3, 1)
    );
    let events = async || {
        hub.settle().await;
        let told = hub.events(&alice.scope).await;
        told.into_iter()
            .filter(|event| event.kind.starts_with("data."))
            .count()
    };
    let told = events().await;
    let again = alice.import("vcard", CARDS).await;
    assert_eq!((&again["new"], &again["known"]), (&json!(0), &json!(2)));
    assert_eq!(events().await, told);
    let folder = hub
        .context
        .settings
        .data_dir
        .join("imports")
        .join(alice.scope.account().0.simple().to_string());
    assert_eq!(
        std::fs::read_dir(folder).unwrap().count(),
        0,
        "no file stays behind"
    );
    let bob = Alice::new(&hub).await;
    let path = format!("/imports/{}", first["id"].as_str().unwrap());
    assert_eq!(bob.call("GET", &path, Body::empty()).await.0, 404);
    assert_eq!(
        bob.call("POST", &format!("{path}/cancel"), Body::empty()).await.0,
        404
    );
    assert_eq!(
        alice
            .call("POST", &format!("{path}/cancel"), Body::empty())
            .await
            .0,
        409
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_card_changes_its_person_and_makes_no_second_one() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    alice.import("vcard", CARDS).await;
    let changed = CARDS
        .replace("tea", "coffee")
        .replace("Sam Example", "Sam Sample");
    let second = alice.import("vcard", changed).await;
    assert_eq!((&second["new"], &second["parked"]), (&json!(2), &json!(0)));
    assert_eq!(alice.entities("Person").await, 3);
    let cards = alice.export("vcard").await;
    assert!(
        cards.contains("Sam Sample") && cards.contains("coffee") && !cards.contains("tea"),
        "{cards}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_of_a_thread_meet_in_one_conversation_in_whatever_order_they_come() {
    let hub = hub().await;
    let (first, reply, answer) = (
        mailbox::mail(1, &[]),
        mailbox::mail(2, &[1]),
        mailbox::mail(3, &[2]),
    );
    // The answer names its parent alone; that the parent belongs to the first mail is known only once the parent is.
    for order in [
        [&first, &reply, &answer],
        [&answer, &reply, &first],
        [&first, &answer, &reply],
    ] {
        let alice = Alice::new(&hub).await;
        for mail in order {
            assert_eq!(alice.import("mbox", mail.clone()).await["parked"], 0);
        }
        assert_eq!(alice.entities("Message").await, 3);
        assert_eq!(alice.entities("Conversation").await, 1);
        assert_eq!(alice.conversation_sizes().await, [3]);
        assert_eq!(
            alice.entities("Person").await,
            2,
            "Alice and who wrote; nobody for the role's mailbox"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_with_one_bad_mail_is_imported_but_for_that_one() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    let file = format!("From x\nnothing of a mail\n\n{}", mailbox::mailbox(250));
    let done = alice.import("mbox", file).await;
    assert_eq!(
        (&done["taken"], &done["new"], &done["parked"]),
        (&json!(251), &json!(251), &json!(1)),
        "{done}"
    );
    assert_eq!(alice.entities("Message").await, 250);
    let id: uuid::Uuid = {
        let mut behind = hub.database.superuser().await;
        sqlx::query_scalar("SELECT id FROM graph.raw_record WHERE status = 'parked'")
            .fetch_one(&mut behind)
            .await
            .unwrap()
    };
    let (status, body) = alice
        .call("POST", &format!("/raw-records/{id}/process"), Body::empty())
        .await;
    assert_eq!(status, 200);
    assert!(String::from_utf8(body).unwrap().contains("no mail"));
    let bob = Alice::new(&hub).await;
    assert_eq!(
        bob.call("POST", &format!("/raw-records/{id}/process"), Body::empty())
            .await
            .0,
        404
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_understood_again_without_doubles() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    for (format, file) in [
        ("vcard", CARDS.to_owned()),
        ("ical", CALENDAR.to_owned()),
        ("mbox", mailbox::mailbox(30)),
    ] {
        alice.import(format, file).await;
    }
    let (before, events) = (
        canonical(&alice.export("jsonld").await),
        data_events(&alice).await,
    );
    let body = json!({}).to_string();
    let request = Body::from(body);
    let (status, _) = alice.call("POST", "/raw-records/process", request).await;
    assert_eq!(status, 202);
    hub.eventually("all is understood again", async || {
        let mut behind = hub.database.superuser().await;
        let done: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pgboss.job WHERE name = 'reprocess-records' AND state = 'completed'",
        )
        .fetch_one(&mut behind)
        .await
        .unwrap();
        (done == 1).then_some(())
    })
    .await;
    assert_eq!(canonical(&alice.export("jsonld").await), before);
    assert_eq!(data_events(&alice).await, events, "nobody was told of anything");
}

async fn data_events(alice: &Alice<'_>) -> usize {
    alice.hub.settle().await;
    let told = alice.hub.events(&alice.scope).await;
    told.iter()
        .filter(|event| event.kind.starts_with("data."))
        .count()
}

/// The nodes of an export without the ids that each account gives anew.
fn canonical(export: &str) -> Vec<String> {
    let document: Value = serde_json::from_str(export).unwrap();
    let nodes = document["@graph"].as_array().unwrap();
    let title = |id: &Value| {
        let node = nodes.iter().find(|node| node["@id"] == *id).unwrap();
        format!("{} {}", node["@type"], node["title"])
    };
    let mut lines: Vec<String> = nodes
        .iter()
        .filter(|node| node["@type"].is_string())
        .map(|node| match node["predicate"].as_str() {
            Some(predicate) => format!(
                "{} {predicate} {}",
                title(&node["from"]["@id"]),
                title(&node["to"]["@id"])
            ),
            None => {
                let mut node = node.clone();
                node.as_object_mut().unwrap().remove("@id");
                node.to_string()
            }
        })
        .collect();
    lines.sort();
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exported_account_is_the_same_in_an_empty_one_and_adds_nothing_where_it_came_from() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    for (format, file) in [
        ("vcard", CARDS.to_owned()),
        ("ical", CALENDAR.to_owned()),
        ("mbox", mailbox::mailbox(30)),
    ] {
        alice.import(format, file).await;
    }
    let me = alice.write("Person", "Alice", &[("allod", "me")]).await;
    let sam = alice
        .write("Person", "Sam Example", &[("email", "sam@example.org")])
        .await;
    alice.relate(me, "partner", sam).await;
    alice.write("Place", "Work", &[]).await;
    let export = alice.export("jsonld").await;
    let other = Alice {
        hub: &hub,
        scope: hub.somebody(),
    };
    let done = other.import("jsonld", export.clone()).await;
    assert_eq!((&done["state"], &done["parked"]), (&json!("finished"), &json!(0)));
    assert_eq!(canonical(&other.export("jsonld").await), canonical(&export));
    let before = data_events(&alice).await;
    assert_eq!(alice.import("jsonld", export.clone()).await["parked"], 0);
    assert_eq!(canonical(&alice.export("jsonld").await), canonical(&export));
    assert_eq!(data_events(&alice).await, before, "what comes back is no news");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_in_any_format_is_the_same_after_it_was_imported() {
    let hub = hub().await;
    for (format, file) in [
        ("vcard", CARDS.to_owned()),
        ("csv", CARDS.to_owned()),
        ("ical", CALENDAR.to_owned()),
        ("mbox", mailbox::mailbox(25)),
    ] {
        let [alice, other] = [0, 1].map(|_| Alice {
            hub: &hub,
            scope: hub.somebody(),
        });
        alice
            .import(if format == "csv" { "vcard" } else { format }, file)
            .await;
        let export = alice.export(format).await;
        let done = other.import(format, export.clone()).await;
        assert_eq!(
            (&done["state"], &done["parked"]),
            (&json!("finished"), &json!(0)),
            "{format}"
        );
        assert!(done["new"].as_i64().unwrap() > 1, "{format}: {done}");
        let plain = |text: String| {
            let ours = |line: &str| {
                line.starts_with("UID:urn:uuid")
                    || line.starts_with("DTSTAMP")
                    || line.starts_with("urn:uuid")
            };
            let mut lines: Vec<String> = text
                .lines()
                .filter(|line| !ours(line))
                .map(ToOwned::to_owned)
                .collect();
            lines.sort();
            lines
        };
        assert_eq!(plain(other.export(format).await), plain(export), "{format}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_was_stopped_goes_on_where_it_stands_and_one_that_is_cancelled_does_not() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    let file = mailbox::mailbox(120);
    let done = alice.import("mbox", file.clone()).await;
    let id: uuid::Uuid = done["id"].as_str().unwrap().parse().unwrap();
    let folder = hub
        .context
        .settings
        .data_dir
        .join("imports")
        .join(alice.scope.account().0.simple().to_string());
    let path = folder.join(id.simple().to_string());
    let again = async |state: &str, position: i64| {
        std::fs::write(&path, &file).unwrap();
        let mut behind = hub.database.superuser().await;
        sqlx::query(
            "UPDATE etl.import SET state = $1, position = $2, taken = 0, new = 0, known = 0, finished_at = null",
        )
        .bind(state)
        .bind(position)
        .execute(&mut behind)
        .await
        .unwrap();
        let mut tx = hub.begin(&alice.scope).await;
        tx.enqueue(
            &contracts::jobs::RunImport { import: id },
            spine::queue::JobOptions::default(),
        )
        .await
        .unwrap();
        tx.commit().await.unwrap();
        hub.eventually("the file is gone", async || (!path.exists()).then_some(()))
            .await;
        alice.get(&format!("/imports/{id}")).await
    };
    let half = i64::try_from(file.len() / 2).unwrap();
    let resumed = again("running", half).await;
    assert_eq!(
        (&resumed["state"], &resumed["new"]),
        (&json!("finished"), &json!(0))
    );
    let taken = resumed["taken"].as_i64().unwrap();
    assert!((50..=70).contains(&taken), "{taken}");
    let cancelled = again("cancelled", 0).await;
    assert_eq!(
        (&cancelled["state"], &cancelled["taken"]),
        (&json!("cancelled"), &json!(0))
    );
    assert_eq!(alice.entities("Message").await, 120);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_file_for_an_import_is_refused() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    assert_eq!(alice.call("POST", "/imports?filename=x.zip", "PK").await.0, 415);
    assert_eq!(
        alice.call("POST", "/imports?type=vcard", Body::empty()).await.0,
        400
    );
    assert_eq!(
        alice.call("GET", "/export?format=zip", Body::empty()).await.0,
        400
    );
    let (router, _) = etl::service(&hub.context).api.split_for_parts();
    let huge = Request::builder()
        .method("POST")
        .uri("/imports?type=mbox")
        .header(header::CONTENT_LENGTH, u64::MAX.to_string())
        .extension(Caller(alice.scope.clone()));
    assert_eq!(
        router
            .oneshot(huge.body(Body::empty()).unwrap())
            .await
            .unwrap()
            .status(),
        413
    );
    let failed = alice.import("jsonld", "no json").await;
    assert_eq!(
        (&failed["state"], &failed["reason"]),
        (&json!("failed"), &json!("the file is no JSON-LD"))
    );
    assert_eq!(alice.get("/imports").await["items"].as_array().unwrap().len(), 1);
}
