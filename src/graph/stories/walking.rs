//! Walks beside a model that takes every way there is, and a walk of somebody whom thousands know.

use std::collections::{BTreeMap, BTreeSet};

use contracts::EntityId;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use uuid::Uuid;

use super::around::{get, pages};
use super::*;

const PEOPLE: usize = 8;

/// Who knows whom, by their numbers; the first is where walks begin.
#[derive(Debug, Clone)]
struct Circle {
    known: Vec<(usize, usize)>,
    /// Relations of these that are taken back.
    forgotten: Vec<usize>,
    merged: Option<(usize, usize)>,
    deleted: Option<usize>,
    depth: usize,
    limit: usize,
}

fn circle() -> impl Strategy<Value = Circle> {
    let one = 0..PEOPLE;
    let known = proptest::collection::vec((one.clone(), one.clone()), 1..20);
    let pair = (one.clone(), one.clone()).prop_filter("two", |(a, b)| a != b);
    (
        known,
        proptest::collection::vec(0..20_usize, 0..3),
        proptest::option::of(pair),
        proptest::option::of(1..PEOPLE),
        1..4_usize,
        1..6_usize,
    )
        .prop_map(|(known, forgotten, merged, deleted, depth, limit)| Circle {
            known,
            forgotten,
            merged,
            deleted,
            depth,
            limit,
        })
}

impl Circle {
    fn holds(&self) -> BTreeSet<(usize, usize)> {
        let known = self.known.iter().filter(|(from, to)| from != to);
        let forgotten = self.forgotten.iter().filter_map(|nth| self.known.get(*nth));
        let forgotten: BTreeSet<_> = forgotten.collect();
        known.filter(|pair| !forgotten.contains(pair)).copied().collect()
    }

    fn root(&self, one: usize) -> usize {
        self.merged.map_or(
            one,
            |(survivor, absorbed)| if one == absorbed { survivor } else { one },
        )
    }

    /// Whom one is walked on as: those that were merged into it, too.
    fn members(&self, one: usize) -> Vec<usize> {
        (0..PEOPLE)
            .filter(|other| *other == one || self.merged == Some((one, *other)))
            .collect()
    }

    fn around(&self, members: &[usize]) -> BTreeSet<usize> {
        let ends = self
            .holds()
            .into_iter()
            .flat_map(|(from, to)| [(from, to), (to, from)]);
        ends.filter(|(near, _)| members.contains(near))
            .map(|(_, far)| far)
            .collect()
    }

    /// Depth, who, and who was before on the way.
    fn expected(&self) -> Vec<(usize, usize, usize)> {
        let root = self.root(0);
        let members = self.members(root);
        let near = self.around(&members);
        let deleted = self.deleted.map(|one| self.root(one));
        let mut found = Vec::new();
        let mut ways = vec![vec![root]];
        for depth in 1..=self.depth {
            let on = |way: &Vec<usize>| {
                let far = self.around(&self.members(way[way.len() - 1]));
                // No way leads back to where it began.
                let fresh = far
                    .into_iter()
                    .filter(|far| !members.contains(far) && !way[1..].contains(far));
                fresh
                    .map(|far| [way.as_slice(), &[far]].concat())
                    .collect::<Vec<_>>()
            };
            ways = ways.iter().flat_map(on).collect();
            let shown = ways.iter().filter(|way| {
                let far = way[depth];
                (depth == 1 || !near.contains(&far)) && Some(self.root(far)) != deleted
            });
            found.extend(shown.map(|way| (depth, self.root(way[depth]), way[depth - 1])));
        }
        found
    }
}

/// Makes all that in an account of its own; the ids are in the order of the numbers.
async fn made(hub: &TestHub, alice: &Scope, circle: &Circle) -> Vec<EntityId> {
    let ids: Vec<EntityId> = (0..PEOPLE as u128)
        .map(|nth| EntityId(Uuid::from_u128((7 << 76) + (2 << 62) + nth)))
        .collect();
    let person = |(nth, id): (usize, &EntityId)| {
        entity(
            "Person",
            Target::New(*id),
            json!({ "name": format!("Person {nth}") }),
        )
    };
    let mut said = change(
        AssertedBy::User,
        "user",
        ids.iter().enumerate().map(person).collect(),
    );
    apply(hub, alice, said.clone()).await.unwrap();
    said.entities.clear();
    let friend = |(from, to): &(usize, usize)| RelationChange {
        from: ids[*from],
        predicate: "friend".to_owned(),
        to: ids[*to],
    };
    said.relations = circle
        .known
        .iter()
        .filter(|(from, to)| from != to)
        .map(friend)
        .collect();
    apply(hub, alice, said).await.unwrap();
    let mut tx = hub.begin(alice).await;
    let write = hub.context.ports.graph_write();
    for pair in circle
        .known
        .iter()
        .filter(|pair| pair.0 != pair.1 && !circle.holds().contains(pair))
    {
        write
            .unrelate(&mut tx, AssertedBy::User, "user", &friend(pair))
            .await
            .unwrap();
    }
    if let Some((survivor, absorbed)) = circle.merged {
        graph(hub)
            .merge(&mut tx, ids[survivor], ids[absorbed])
            .await
            .unwrap();
    }
    if let Some(deleted) = circle.deleted {
        graph(hub).delete(&mut tx, ids[deleted]).await.unwrap();
    }
    tx.commit().await.unwrap();
    ids
}

#[test]
fn walks_find_every_way_once_in_order_whatever_a_page_holds() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let hub = runtime.block_on(hub());
    let config = Config {
        cases: 64,
        failure_persistence: None,
        ..Config::default()
    };
    let walks = |circle: Circle| {
        let alice = hub.somebody();
        runtime.block_on(async {
            let ids = made(&hub, &alice, &circle).await;
            if circle
                .deleted
                .is_some_and(|one| circle.root(one) == circle.root(0))
            {
                let path = format!("/entities/{}/neighbours", ids[0]);
                prop_assert_eq!(get(&hub, &alice, &path).await.0, 404);
                return Ok(());
            }
            let (depth, limit) = (circle.depth, circle.limit);
            let path = format!("/entities/{}/neighbours?depth={depth}&limit={limit}", ids[0]);
            let number: BTreeMap<String, usize> = ids
                .iter()
                .enumerate()
                .map(|(nth, id)| (id.to_string(), nth))
                .collect();
            let number = |id: &Value| number[id.as_str().unwrap()];
            let found = pages(&hub, &alice, &path).await;
            let found: Vec<_> = found
                .iter()
                .map(|item| {
                    (
                        item["depth"].as_u64().unwrap() as usize,
                        number(&item["id"]),
                        number(&item["via"]),
                    )
                })
                .collect();
            prop_assert_eq!(found, circle.expected());
            Ok(())
        })
    };
    TestRunner::new(config).run(&circle(), walks).unwrap();
}

/// More of them than are looked at for a page, and only one of them leads anywhere.
#[tokio::test(flavor = "multi_thread")]
async fn the_one_stranger_behind_thousands_who_know_only_alice_is_a_few_pages_away() {
    let hub = hub().await;
    let alice = hub.somebody();
    let (me, _) = alice_and_sam(&hub, &alice).await;
    let mut behind = hub.database.superuser().await;
    for rows in [
        "INSERT INTO graph.entity (account, id, type, title, props, version, folded, asserted_by, source, created_at, updated_at)
         SELECT account, ('ffffffff-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'Person', 'Person ' || n,
            jsonb_build_object('name', 'Person ' || n), 1, false, 'connector', 'dav/1', created_at, updated_at
         FROM graph.entity, generate_series(1, 2201) n WHERE id = $1",
        "INSERT INTO graph.relation (account, id, from_entity, predicate, to_entity, asserted_by, source, recorded_at)
         SELECT account, gen_random_uuid(), CASE WHEN right(id::text, 12) = lpad(to_hex(2201), 12, '0')
                THEN ('ffffffff-0000-7000-8000-' || lpad(to_hex(2200), 12, '0'))::uuid ELSE $1 END,
            'friend', id, 'connector', 'dav/1', created_at
         FROM graph.entity WHERE title LIKE 'Person %'",
    ] {
        sqlx::query(rows).bind(me.0).execute(&mut behind).await.unwrap();
    }
    for depth in [2, 3] {
        let mut next = format!("/entities/me/neighbours?depth={depth}&limit=200");
        let (mut pages, mut far) = (0, Vec::new());
        loop {
            let (status, page) = get(&hub, &alice, &next).await;
            assert_eq!(status, 200, "{page}");
            pages += 1;
            let items = page["items"].as_array().unwrap().iter();
            far.extend(
                items
                    .filter(|item| item["depth"] != 1)
                    .map(|item| item["title"].clone()),
            );
            match page["next_cursor"].as_str() {
                Some(cursor) => {
                    next = format!("/entities/me/neighbours?depth={depth}&limit=200&cursor={cursor}");
                }
                None => break,
            }
        }
        assert_eq!(far, ["Person 2201"], "depth {depth}");
        assert!(pages <= 20, "{pages} pages to depth {depth}");
    }
    let near = get(&hub, &alice, "/entities/me/neighbours?depth=2").await.1;
    let first = near["items"][0]["id"].as_str().unwrap().replace('-', "");
    let path = format!("/entities/me/neighbours?depth=1&cursor={first}_{first}");
    assert_eq!(get(&hub, &alice, &path).await.0, 400, "a cursor of a deeper walk");
}
