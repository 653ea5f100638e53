//! Files become people, conversations, events and tasks, and an export becomes the same account again. With the real graph.
//!
//! Begin with [`Alice`], who imports; the samples are made here.

mod again;
mod apart;
mod batches;
mod contacts;
mod exporting;
mod ground;
mod importing;
mod letters;
mod mailbox;
mod meaning;
mod own;
mod refusing;
mod standing;
mod uploads;
mod waiting;

use axum::body::Body;
use axum::http::Request;
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
            media::service(context).unwrap(),
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
        self.say(kind, json!({ "name": name }), known_by).await
    }

    async fn say(&self, kind: &str, props: Value, known_by: &[(&str, &str)]) -> contracts::EntityId {
        let mut tx = self.hub.begin(&self.scope).await;
        let title = props["name"].as_str().map(ToOwned::to_owned);
        let Value::Object(props) = props else {
            panic!("an object")
        };
        let entity = EntityChange {
            target: if known_by.is_empty() {
                Target::New(contracts::EntityId::new())
            } else {
                Target::Identified
            },
            kind: kind.to_owned(),
            title,
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
            GROUP BY coalesce(e.merged_into, e.id) ORDER BY 1",
        )
        .bind(self.scope.account().0)
        .fetch_all(&mut behind)
        .await
        .unwrap()
    }
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
