//! Relations that a source states, and states no more.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use contracts::events::data::RelationRemoved;
use contracts::{EntityId, RawRecordId};
use spine::ScopedTx;

/// A revision of a card: of whom, and of which firms she is a member. The same in a batch as alone.
async fn card(
    hub: &TestHub,
    alice: &Scope,
    uid: &str,
    firms: &[&str],
    size: usize,
) -> (RawRecordId, Vec<EntityId>) {
    let mut tx = hub.begin(alice).await;
    let intake = hub.context.ports.record_intake();
    let mut batch = intake.batch("dav/1", size);
    let written = card_in(batch.as_mut(), &mut tx, uid, firms).await;
    batch.write(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    written
}

async fn card_in(
    batch: &mut dyn spine::ports::IntakeBatch,
    tx: &mut ScopedTx,
    uid: &str,
    firms: &[&str],
) -> (RawRecordId, Vec<EntityId>) {
    let record = record("cards", uid, &firms.join("+"));
    let received = batch.receive(tx, vec![record]).await.unwrap().remove(0).unwrap();
    let mut person = identified(
        "Person",
        "vcard.uid",
        uid,
        json!({"name": format!("Person {uid}")}),
    );
    person.target = Target::Record;
    let mut entities = vec![person];
    let firm = |firm: &&str| identified("Organization", "org.name", firm, json!({ "name": firm }));
    entities.extend(firms.iter().map(firm));
    let said = change(AssertedBy::Connector, "dav/1", entities);
    let written = batch.understand(tx, received.id, said).await.unwrap().written_to;
    let mut relations = change(AssertedBy::Connector, "dav/1", vec![]);
    relations.relations = written[1..]
        .iter()
        .map(|firm| member(written[0], *firm))
        .collect();
    batch.relate(tx, received.id, relations, &[]).await.unwrap();
    (received.id, written)
}

fn member(from: EntityId, to: EntityId) -> RelationChange {
    RelationChange {
        from,
        predicate: "member-of".to_owned(),
        to,
    }
}

/// The titles of what somebody is a member of.
async fn firms(hub: &TestHub, alice: &Scope, of: EntityId) -> Vec<String> {
    let mut tx = hub.begin(alice).await;
    let root = crate::store::entity_root(&mut tx, of).await.unwrap().unwrap();
    let members = crate::store::entity_members(&mut tx, root).await.unwrap();
    let rows = crate::store::relation_list(&mut tx, &crate::store::RelationFilter::newest(&members))
        .await
        .unwrap();
    let mut titles: Vec<String> = rows.into_iter().filter_map(|row| row.other_title).collect();
    titles.sort();
    titles.dedup();
    titles
}

async fn ended(hub: &TestHub, alice: &Scope) -> Vec<(EntityId, EntityId)> {
    let events = told(hub, alice).await;
    let ended = events
        .iter()
        .filter_map(|event| event.payload::<RelationRemoved>()?.ok());
    ended.map(|one| (one.from, one.to)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_whose_card_names_another_firm_is_no_member_of_the_old_one_any_more() {
    let hub = hub().await;
    for size in [1, 2] {
        let alice = hub.somebody();
        let (_, first) = card(&hub, &alice, "1", &["Acme", "Choir"], size).await;
        let (_, second) = card(&hub, &alice, "1", &["Choir", "Beta"], size).await;
        let sam = first[0];
        assert_eq!(
            firms(&hub, &alice, sam).await,
            ["Beta", "Choir"],
            "{size} a batch"
        );
        assert_eq!(ended(&hub, &alice).await, [(sam, first[1])]);
        // Read again, it is the same; and what is stated anew holds anew.
        let (_, again) = card(&hub, &alice, "1", &["Choir", "Beta"], size).await;
        assert_eq!(again, second);
        card(&hub, &alice, "1", &["Acme", "Choir"], size).await;
        assert_eq!(firms(&hub, &alice, sam).await, ["Acme", "Choir"]);
        card(&hub, &alice, "1", &[], size).await;
        assert_eq!(firms(&hub, &alice, sam).await, [""; 0]);
        assert_eq!(ended(&hub, &alice).await.len(), 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_batch_sets_back_is_set_back() {
    let hub = hub().await;
    let alice = hub.somebody();
    let mut tx = hub.begin(&alice).await;
    let intake = hub.context.ports.record_intake();
    let mut batch = intake.batch("dav/1", 3);
    let (first, sam) = card_in(batch.as_mut(), &mut tx, "1", &["Acme"]).await;
    card_in(batch.as_mut(), &mut tx, "1", &["Beta"]).await;
    let (third, _) = card_in(batch.as_mut(), &mut tx, "1", &["Acme"]).await;
    batch.write(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(first, third);
    assert_eq!(firms(&hub, &alice, sam[0]).await, ["Acme"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_owner_or_another_card_says_of_it_too_holds_on() {
    let hub = hub().await;
    let alice = hub.somebody();
    let (_, sam) = card(&hub, &alice, "1", &["Acme", "Choir"], 1).await;
    let mut hers = change(AssertedBy::User, "user", vec![]);
    hers.relations.push(member(sam[0], sam[1]));
    apply(&hub, &alice, hers).await.unwrap();
    // Another record of the source states the same relation.
    let mut tx = hub.begin(&alice).await;
    let intake = hub.context.ports.record_intake();
    let other = intake
        .receive(&mut tx, "dav/1", record("groups", "9", ""))
        .await
        .unwrap();
    let mut same = change(AssertedBy::Connector, "dav/1", vec![]);
    same.relations.push(member(sam[0], sam[2]));
    intake.relate(&mut tx, other.id, same, &[]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(count(&hub, "record_relation").await, 1);

    card(&hub, &alice, "1", &[], 1).await;
    assert_eq!(firms(&hub, &alice, sam[0]).await, ["Acme", "Choir"]);
    assert_eq!(ended(&hub, &alice).await, []);
    let mut tx = hub.begin(&alice).await;
    let nothing = change(AssertedBy::Connector, "dav/1", vec![]);
    intake.relate(&mut tx, other.id, nothing, &[]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(
        firms(&hub, &alice, sam[0]).await,
        ["Acme"],
        "the last who stated it doesn't"
    );
    assert_eq!(ended(&hub, &alice).await, [(sam[0], sam[2])]);
    assert_eq!(count(&hub, "record_relation").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stated_of_a_firm_that_was_deleted_holds_again_when_that_is_restored() {
    let hub = hub().await;
    let alice = hub.somebody();
    let (_, sam) = card(&hub, &alice, "1", &["Acme"], 1).await;
    let mut tx = hub.begin(&alice).await;
    graph(&hub).delete(&mut tx, sam[1]).await.unwrap();
    tx.commit().await.unwrap();
    card(&hub, &alice, "1", &["Acme", "Choir"], 1).await;
    assert_eq!(firms(&hub, &alice, sam[0]).await, ["Choir"]);
    let mut tx = hub.begin(&alice).await;
    graph(&hub).restore(&mut tx, sam[1]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(firms(&hub, &alice, sam[0]).await, ["Acme", "Choir"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_cards_that_are_merged_each_takes_back_its_own_and_goes_with_its_own() {
    let hub = hub().await;
    let alice = hub.somebody();
    let (_, one) = card(&hub, &alice, "1", &["Acme"], 1).await;
    let (_, two) = card(&hub, &alice, "2", &["Acme", "Choir"], 1).await;
    let mut tx = hub.begin(&alice).await;
    graph(&hub).merge(&mut tx, one[0], two[0]).await.unwrap();
    tx.commit().await.unwrap();
    card(&hub, &alice, "2", &["Choir", "Beta"], 1).await;
    assert_eq!(
        firms(&hub, &alice, one[0]).await,
        ["Acme", "Beta", "Choir"],
        "the first one's card says Acme"
    );
    assert_eq!(ended(&hub, &alice).await, []);
    let mut tx = hub.begin(&alice).await;
    graph(&hub).unmerge(&mut tx, two[0]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(firms(&hub, &alice, one[0]).await, ["Acme"]);
    assert_eq!(firms(&hub, &alice, two[0]).await, ["Beta", "Choir"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn erasing_who_a_relation_is_about_takes_along_which_records_stated_it() {
    let hub = hub().await;
    let alice = hub.somebody();
    let (_, sam) = card(&hub, &alice, "1", &["Acme"], 1).await;
    let mut tx = hub.begin(&alice).await;
    let intake = hub.context.ports.record_intake();
    let other = intake
        .receive(&mut tx, "dav/1", record("groups", "9", ""))
        .await
        .unwrap();
    let mut same = change(AssertedBy::Connector, "dav/1", vec![]);
    same.relations.push(member(sam[0], sam[1]));
    intake.relate(&mut tx, other.id, same, &[]).await.unwrap();
    graph(&hub).erase(&mut tx, sam[0], false, 0).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(
        (
            count(&hub, "record_relation").await,
            count(&hub, "relation").await
        ),
        (0, 0)
    );
}

/// A group's record that states these relations, and no others.
async fn group(hub: &TestHub, tx: &mut ScopedTx, key: &str, members: &[RelationChange]) {
    let intake = hub.context.ports.record_intake();
    let received = intake
        .receive(tx, "dav/1", record("groups", key, ""))
        .await
        .unwrap();
    let mut said = change(AssertedBy::Connector, "dav/1", vec![]);
    said.relations = members.to_vec();
    intake.relate(tx, received.id, said, &[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_record_states_while_another_takes_it_back_holds_whoever_is_first() {
    let hub = hub().await;
    for states_first in [true, false] {
        let alice = hub.somebody();
        let (_, sam) = card(&hub, &alice, "1", &["Acme", "Choir"], 1).await;
        let edge = [member(sam[1], sam[2])];
        let mut tx = hub.begin(&alice).await;
        group(&hub, &mut tx, "8", &edge).await;
        tx.commit().await.unwrap();

        let (first, second) = if states_first {
            (("9", &edge[..]), ("8", &[][..]))
        } else {
            (("8", &[][..]), ("9", &edge[..]))
        };
        let mut holding = hub.begin(&alice).await;
        group(&hub, &mut holding, first.0, first.1).await;
        let is_over = AtomicBool::new(false);
        let comes = async {
            let mut tx = hub.begin(&alice).await;
            group(&hub, &mut tx, second.0, second.1).await;
            tx.commit().await.unwrap();
            is_over.store(true, Ordering::SeqCst);
        };
        let goes = async {
            while !is_over.load(Ordering::SeqCst) && !holding.is_waited_for().await.unwrap() {
                tokio::task::yield_now().await;
            }
            holding.commit().await.unwrap();
        };
        tokio::join!(comes, goes);
        let titles = firms(&hub, &alice, sam[1]).await;
        assert!(titles.contains(&"Choir".to_owned()), "{states_first}: {titles:?}");
        assert_eq!(ended(&hub, &alice).await.len(), usize::from(!states_first));

        let mut tx = hub.begin(&alice).await;
        group(&hub, &mut tx, "9", &[]).await;
        tx.commit().await.unwrap();
        let titles = firms(&hub, &alice, sam[1]).await;
        assert!(!titles.contains(&"Choir".to_owned()), "the last one: {titles:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_else_stated_a_relation_before_that_was_kept_is_known_once_the_records_are_read_again() {
    let hub = hub().await;
    for is_read_again in [true, false] {
        let alice = hub.somebody();
        let (_, sam) = card(&hub, &alice, "1", &["Acme", "Choir"], 1).await;
        let edge = [member(sam[1], sam[2])];
        let states = async |key: &str, edges: &[RelationChange]| {
            let mut tx = hub.begin(&alice).await;
            group(&hub, &mut tx, key, edges).await;
            tx.commit().await.unwrap();
        };
        states("8", &edge).await;
        states("9", &edge).await;
        let mut behind = hub.database.superuser().await;
        sqlx::query("DELETE FROM graph.record_relation")
            .execute(&mut behind)
            .await
            .unwrap();
        if is_read_again {
            states("8", &edge).await;
            states("9", &edge).await;
        }
        states("8", &[]).await;
        let titles = firms(&hub, &alice, sam[1]).await;
        assert_eq!(titles.contains(&"Choir".to_owned()), is_read_again, "{titles:?}");
    }
}
