//! Records that are taken in together mean what they would mean one after the other.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use spine::ports::IntakeBatch;

use super::*;

const CARDS: usize = 4;
const NAMES: [&str; 4] = ["Sam Miller", "Sam", "Ann Smith", "Miller, S."];
const MAILS: [&str; 3] = ["a@example.org", "b@example.org", "c@example.org"];
const SOURCE: &str = "dav/1";

/// What a record says: of which card, its name, addresses and note; and which card that one knows.
type Said = (usize, usize, Vec<usize>, Option<u8>, Option<usize>);

fn said() -> impl Strategy<Value = Said> {
    let mails = proptest::collection::vec(0..MAILS.len(), 0..3);
    let note = proptest::option::of(0..3_u8);
    (
        0..CARDS,
        0..NAMES.len(),
        mails,
        note,
        proptest::option::of(0..CARDS),
    )
}

/// A mail beside the card: it has a time, participants and a single source.
fn means((card, name, mails, note, _): &Said) -> Change {
    let mut props = json!({ "name": NAMES[*name] });
    if let Some(note) = note {
        props["note"] = note.to_string().into();
    }
    let mut person = identified("Person", "vcard.uid", &card.to_string(), props);
    person.target = Target::Record;
    let addresses = mails.iter().map(|mail| Identifier::new("email", MAILS[*mail]));
    person.identifiers.extend(addresses);
    let status = note.map_or_else(|| "received".to_owned(), |note| format!("read {note}"));
    let props =
        json!({"direction": "in", "channel": "email", "status": status, "from": MAILS[name % MAILS.len()]});
    let mut message = identified("Message", "mail.message-id", &(card % 2).to_string(), props);
    message.starts_at = Some(at(u32::try_from(*name).unwrap()));
    change(AssertedBy::Connector, SOURCE, vec![person, message])
}

/// Takes all in, so many a batch, in one transaction; says of each whether it was known.
async fn take_in(hub: &TestHub, alice: &Scope, history: &[Said], size: usize) -> Vec<bool> {
    let mut tx = hub.begin(alice).await;
    let intake = hub.context.ports.record_intake();
    let mut all_known = Vec::new();
    for chunk in history.chunks(size) {
        let mut batch = intake.batch(SOURCE, size);
        for part in parts(chunk) {
            let records = part
                .iter()
                .map(|said| record("cards", &said.0.to_string(), &format!("{said:?}")));
            let received = batch.receive(&mut tx, records.collect()).await.unwrap();
            let expected = part
                .iter()
                .flat_map(|said| means(said).entities)
                .flat_map(|entity| {
                    let kind = entity.kind;
                    entity.identifiers.into_iter().map(move |one| (kind.clone(), one))
                });
            batch.expect(&mut tx, expected.collect()).await.unwrap();
            for (said, received) in part.iter().zip(received) {
                let received = received.unwrap();
                all_known.push(received.known);
                if !received.known {
                    understand(batch.as_mut(), &mut tx, received.id, said).await;
                }
            }
        }
        batch.write(&mut tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    all_known
}

/// As imports do: two revisions of a card are never received together.
fn parts(chunk: &[Said]) -> Vec<&[Said]> {
    let mut parts = Vec::new();
    let mut begin = 0;
    for (at, said) in chunk.iter().enumerate() {
        let is_other = |before: &Said| before.0 == said.0 && before != said;
        if chunk[begin..at].iter().any(is_other) {
            parts.push(&chunk[begin..at]);
            begin = at;
        }
    }
    parts.push(&chunk[begin..]);
    parts
}

async fn understand(
    batch: &mut dyn IntakeBatch,
    tx: &mut spine::ScopedTx,
    record: contracts::RawRecordId,
    said: &Said,
) {
    let applied = batch.understand(tx, record, means(said)).await.unwrap();
    let mut relations = change(AssertedBy::Connector, SOURCE, vec![]);
    let (person, message) = (applied.written_to[0], applied.written_to[1]);
    relations.relations.push(relation(message, "about", person));
    if let Some(known) = said.4 {
        let known = Identifier::new("vcard.uid", known.to_string());
        let known = batch.entity_by_identifier(tx, "Person", &known).await.unwrap();
        if let Some(known) = known.filter(|known| known.id != applied.entities[0].id) {
            relations.relations.push(relation(person, "knows", known.id));
            // Cards of one message state this together.
            relations.relations.push(relation(message, "mentions", known.id));
            relations.relations.push(relation(person, "part-of", known.id));
        }
    }
    batch.relate(tx, record, relations, &[]).await.unwrap();
}

fn relation(from: contracts::EntityId, predicate: &str, to: contracts::EntityId) -> RelationChange {
    RelationChange {
        from,
        predicate: predicate.to_owned(),
        to,
    }
}

/// Everything in the account's tables but ids and moments, with each entity called by the order in which it came.
async fn dump(hub: &TestHub, alice: &Scope) -> BTreeMap<&'static str, Vec<String>> {
    let mut behind = hub.database.superuser().await;
    let named = "WITH e AS (SELECT *, row_number() OVER (ORDER BY created_at, id) AS nth FROM graph.entity WHERE account = $1)";
    let mut dump = BTreeMap::new();
    for (table, what) in [
        (
            "entity",
            "concat_ws(' ', e.nth, type, title, props, version, starts_at, folded, absorbed, (SELECT m.nth FROM e m WHERE \
             m.id = e.merged_into)) FROM e",
        ),
        (
            "claim",
            "concat_ws(' ', e.nth, c.title, c.props, c.starts_at, c.recorded_to IS NULL) FROM graph.claim c JOIN e ON e.id = c.entity",
        ),
        (
            "identifier",
            "concat_ws(' ', e.nth, i.scheme, i.value, b.source, b.valid_to IS NULL) FROM graph.entity_identifier b JOIN e ON e.id = b.entity \
             JOIN graph.identifier i ON i.id = b.identifier",
        ),
        (
            "relation",
            "concat_ws(' ', e.nth, r.predicate, f.nth, r.source, r.removed_at IS NULL, (SELECT revision FROM graph.raw_record o \
             WHERE o.id = r.raw_record)) FROM graph.relation r JOIN e ON e.id = r.from_entity JOIN e f ON f.id = r.to_entity",
        ),
        (
            "restated",
            "concat_ws(' ', e.nth, r.predicate, r.removed_at IS NULL, o.revision) FROM graph.record_relation s JOIN \
             graph.relation r ON r.id = s.relation JOIN e ON e.id = r.from_entity JOIN graph.raw_record o ON o.id = s.raw_record",
        ),
        (
            "timeline",
            "concat_ws(' ', e.nth, t.role, t.kind, t.at, coalesce(f.nth::text, i.value)) FROM graph.timeline t JOIN e ON e.id = \
             t.item LEFT JOIN e f ON f.id = t.about LEFT JOIN graph.identifier i ON i.id = t.about",
        ),
        (
            "decision",
            "concat_ws(' ', e.nth, f.nth, d.standing) FROM graph.merge_decision d JOIN e ON e.id = d.first_entity JOIN e f \
             ON f.id = d.second_entity",
        ),
        (
            "record",
            "concat_ws(' ', r.status, r.reason, r.tries) FROM graph.raw_record r WHERE r.account = $1",
        ),
    ] {
        let rows = sqlx::query_scalar(&format!("{named} SELECT {what} ORDER BY 1"))
            .bind(alice.account().0)
            .fetch_all(&mut behind)
            .await
            .unwrap();
        dump.insert(table, rows);
    }
    let mut told: Vec<String> = told(hub, alice)
        .await
        .into_iter()
        .map(|event| event.kind)
        .collect();
    told.sort();
    dump.insert("told", told);
    dump
}

#[test]
fn records_of_a_batch_mean_what_they_would_mean_one_after_the_other() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // Without its consumer: suggestions would come whenever it gets to them.
    let hub = runtime.block_on(spine::testing::hub(|context| {
        let mut service = crate::service(context);
        service.consumers.clear();
        vec![service]
    }));
    let mut runner = TestRunner::new(Config {
        cases: 32,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    });
    runner
        .run(&proptest::collection::vec(said(), 1..14), |history| {
            runtime.block_on(async {
                let mut outcomes = Vec::new();
                for size in [1, 3, history.len().max(2)] {
                    let alice = hub.somebody();
                    let known = take_in(&hub, &alice, &history, size).await;
                    let first = dump(&hub, &alice).await;
                    let is_last = |at: usize| history[at + 1..].iter().all(|later| later.0 != history[at].0);
                    let last: Vec<Said> = (0..history.len())
                        .filter(|at| is_last(*at))
                        .map(|at| history[at].clone())
                        .collect();
                    let again = take_in(&hub, &alice, &last, size).await;
                    prop_assert!(again.iter().all(|known| *known), "what holds is known");
                    prop_assert_eq!(&first, &dump(&hub, &alice).await, "and nothing is added");
                    outcomes.push((known, first));
                }
                prop_assert_eq!(&outcomes[0], &outcomes[1], "three a batch");
                prop_assert_eq!(&outcomes[0], &outcomes[2], "all in one batch");
                Ok(())
            })
        })
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_spoils_its_batch_but_not_the_record_alone() {
    let hub = hub().await;
    let alice = hub.somebody();
    let nobody = contracts::EntityId::new();
    let mut lost = change(AssertedBy::Connector, SOURCE, vec![]);
    lost.relations
        .push(relation(nobody, "knows", contracts::EntityId::new()));
    for (size, spoils) in [(2, true), (1, false)] {
        let mut tx = hub.begin(&alice).await;
        let intake = hub.context.ports.record_intake();
        let mut batch = intake.batch(SOURCE, size);
        let records = vec![record("cards", &size.to_string(), "")];
        let received = batch.receive(&mut tx, records).await.unwrap().remove(0).unwrap();
        let refused = batch
            .understand(&mut tx, received.id, lost.clone())
            .await
            .unwrap_err();
        assert!(
            matches!(refused, GraphError::NotFound(id) if id == nobody),
            "{refused}"
        );
        assert_eq!(batch.is_spoilt(), spoils);
        if !spoils {
            batch.park(&mut tx, received.id, "who knows whom?").await.unwrap();
            batch.write(&mut tx).await.unwrap();
            tx.commit().await.unwrap();
        }
    }
    assert_eq!(
        count(&hub, "raw_record").await,
        1,
        "the spoilt batch left nothing"
    );
    assert_eq!(
        kinds(&told(&hub, &alice).await),
        ["connector.DataReceived", "connector.RecordParked"]
    );
}
