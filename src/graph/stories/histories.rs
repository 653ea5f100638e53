//! Random histories of imports, edits, withdrawals, merges, unmerges, deletions and imports again, beside a model that is simple
//! enough to be seen to be right. What differs is shrunk to the shortest history that shows it.

mod model;

use std::collections::BTreeMap;

use contracts::EntityId;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use spine::ports::Withdrawal;

use self::model::{Dump, MAILS, Model, NAMES, PROPS, Step, VOICES, revision, step};
use super::*;
use crate::store;

/// Who brings the cards.
const ADDRESS_BOOK: (AssertedBy, &str) = (AssertedBy::Connector, "dav/1");

/// The same history at the graph.
struct Real<'a> {
    hub: &'a TestHub,
    graph: std::sync::Arc<crate::Graph>,
    alice: Scope,
    ids: BTreeMap<usize, EntityId>,
}

impl Real<'_> {
    async fn import(&mut self, card: usize, name: usize, mails: &[usize], note: Option<u8>, whole: bool) {
        let mut said = json!({ "name": NAMES[name] });
        if let Some(note) = note {
            said["note"] = note.to_string().into();
        }
        let mut entity = identified("Person", "vcard.uid", &card.to_string(), said);
        if whole {
            entity.target = Target::Record;
        }
        entity
            .identifiers
            .extend(mails.iter().map(|mail| Identifier::new("email", MAILS[*mail])));
        let mut change = change(ADDRESS_BOOK.0, ADDRESS_BOOK.1, vec![entity]);
        change.raw = Some(record(
            "cards",
            &card.to_string(),
            &revision(card, name, mails, note, whole),
        ));
        apply(self.hub, &self.alice, change).await.unwrap();
        if !self.ids.contains_key(&card) {
            let mut tx = self.hub.begin(&self.alice).await;
            let id = sqlx::query_scalar(
                "SELECT b.entity FROM graph.entity_identifier b JOIN graph.identifier i ON i.account = b.account \
                 AND i.id = b.identifier WHERE i.scheme = 'vcard.uid' AND i.value = $1",
            )
            .bind(card.to_string())
            .fetch_one(tx.conn())
            .await
            .unwrap();
            self.ids.insert(card, EntityId(id));
        }
    }

    async fn play(&mut self, step: &Step) {
        if let Step::Import {
            card,
            name,
            mails,
            note,
            whole,
        } = step
        {
            return self.import(*card, *name, mails, *note, *whole).await;
        }
        // What is asked of a card that never came is asked of nothing.
        let id = |card: &usize| self.ids.get(card).copied().unwrap_or(EntityId(uuid::Uuid::nil()));
        let mut tx = self.hub.begin(&self.alice).await;
        let outcome = match step {
            Step::Import { .. } => Ok(()),
            Step::Edit {
                voice,
                card,
                prop,
                value,
            } => {
                let value = value.map_or(Value::Null, |value| value.to_string().into());
                let edit = entity(
                    "Person",
                    Target::Existing(id(card)),
                    json!({ PROPS[*prop]: value }),
                );
                let (by, source) = VOICES[*voice];
                let write = self.hub.context.ports.graph_write();
                write
                    .apply(&mut tx, change(by, source, vec![edit]))
                    .await
                    .map(drop)
            }
            Step::Relate { voice, from, to } => {
                let (by, source) = VOICES[*voice];
                let mut said = change(by, source, vec![]);
                said.relations.push(edge(id(from), id(to)));
                let write = self.hub.context.ports.graph_write();
                write.apply(&mut tx, said).await.map(drop)
            }
            Step::Unrelate { voice, from, to } => {
                let (by, source) = VOICES[*voice];
                let write = self.hub.context.ports.graph_write();
                write
                    .unrelate(&mut tx, by, source, &edge(id(from), id(to)))
                    .await
                    .map(drop)
            }
            Step::Withdraw { source, card } => {
                let (by, source) = VOICES.get(*source).copied().unwrap_or(ADDRESS_BOOK);
                let withdrawal = Withdrawal {
                    by,
                    source: source.to_owned(),
                    kind: "Person".to_owned(),
                    identifier: Identifier::new("vcard.uid", card.to_string()),
                };
                let intake = self.hub.context.ports.record_intake();
                intake.withdraw(&mut tx, withdrawal).await.map(drop)
            }
            Step::Merge(survivor, absorbed) => self
                .graph
                .merge(&mut tx, id(survivor), id(absorbed))
                .await
                .map(drop),
            Step::Unmerge(card) => self.graph.unmerge(&mut tx, id(card)).await.map(drop),
            Step::TellApart(one, other) => self.graph.tell_apart(&mut tx, id(one), id(other)).await,
            Step::Delete(card) => self.graph.delete(&mut tx, id(card)).await,
            Step::Restore(card) => self.graph.restore(&mut tx, id(card)).await.map(drop),
        };
        match outcome {
            Ok(()) | Err(GraphError::Invalid(_) | GraphError::NotFound(_)) => tx.commit().await.unwrap(),
            Err(away) => panic!("{away:?}"),
        }
    }

    async fn dump(&self) -> Dump {
        let cards: BTreeMap<EntityId, usize> = self.ids.iter().map(|(card, id)| (*id, *card)).collect();
        let mut tx = self.hub.begin(&self.alice).await;
        let mut dump = BTreeMap::new();
        for (card, id) in &self.ids {
            let found = self
                .hub
                .context
                .ports
                .graph_read()
                .entity(&mut tx, *id)
                .await
                .unwrap();
            let Some(entity) = found else {
                dump.insert(*card, None);
                continue;
            };
            let text = |value: Value| value.as_str().unwrap().to_owned();
            let props = entity.props.into_iter().map(|(name, value)| (name, text(value)));
            let members = store::entity_members(&mut tx, entity.id).await.unwrap();
            let newest = store::RelationFilter::newest(&members);
            let related = store::relation_list(&mut tx, &newest).await.unwrap();
            let related = related.iter().filter(|relation| relation.outgoing);
            let related = related.map(|relation| cards[&EntityId(relation.other)]);
            dump.insert(
                *card,
                Some((cards[&entity.id], props.collect(), related.collect())),
            );
        }
        dump
    }
}

fn edge(from: EntityId, to: EntityId) -> RelationChange {
    RelationChange {
        from,
        predicate: "friend".to_owned(),
        to,
    }
}

#[test]
fn random_histories_end_where_a_simple_model_says() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // Without its consumer: suggestions would come whenever it gets to them.
    let hub = runtime.block_on(spine::testing::hub(|context| {
        let mut service = crate::service(context);
        service.consumers.clear();
        vec![service]
    }));
    let mut runner = TestRunner::new(Config {
        cases: 48,
        failure_persistence: None,
        max_shrink_iters: 400,
        ..Config::default()
    });
    let histories = proptest::collection::vec(step(), 1..24);
    runner
        .run(&histories, |history| {
            let mut model = Model::default();
            let mut real = Real {
                hub: &hub,
                graph: graph(&hub),
                alice: hub.somebody(),
                ids: BTreeMap::new(),
            };
            runtime.block_on(async {
                for (nth, step) in history.iter().enumerate() {
                    let asked = model.is_asked(step);
                    model.play(step);
                    if asked {
                        real.play(step).await;
                    }
                    prop_assert_eq!(model.dump(), real.dump().await, "after step {} {:?}", nth, step);
                }
                // Everything that ever came, once more: nothing changes, and nothing is told.
                let before = told(&hub, &real.alice).await.len();
                for step in history.iter().filter(|step| matches!(step, Step::Import { .. })) {
                    real.play(step).await;
                }
                prop_assert_eq!(model.dump(), real.dump().await, "after all imports again");
                prop_assert_eq!(before, told(&hub, &real.alice).await.len());
                Ok(())
            })
        })
        .unwrap();
}
