//! What the owner adds by hand: always a new entity, never a change of another one that bears the same address.
//!
//! Events out: `data.EntityCreated`, `data.MergeSuggested`.
//! Invariant: nothing that is there changes by it. Begin with [`Graph::make`].

use contracts::EntityId;
use spine::ScopedTx;
use spine::ports::{AppliedEntity, Change, EntityChange, GraphError};

use super::Work;
use crate::model::shown_title;
use crate::{Graph, check, store};

/// Who is asked about at the most when somebody is added who bears what others bear.
const ASKED_MAX: usize = 10;
/// The owner added somebody although another one bears the address: worth a question that comes first.
const SCORE_ANYWAY: f32 = 0.9;

/// What became of an addition.
#[derive(Debug)]
pub(crate) enum Made {
    /// It is there.
    New(AppliedEntity),
    /// Nothing was written: somebody bears an identifier of it.
    Borne(Borne),
}

/// Who bears an identifier.
#[derive(Debug)]
pub(crate) struct Borne {
    pub(crate) by: EntityId,
    /// What that is called.
    pub(crate) title: Option<String>,
    /// The identifier, as people write it.
    pub(crate) address: String,
}

impl Graph {
    /// Adds a change's first entity as a new one. If a living one of its type bears an identifier of it, nothing is done,
    /// or, `anyway`, it is added and the owner is asked whether the two are the same.
    pub(crate) async fn make(
        &self,
        tx: &mut ScopedTx,
        change: Change,
        anyway: bool,
    ) -> Result<Made, GraphError> {
        let types = self.types(tx).await?;
        let change = check::change(types, tx.scope().principal(), change).map_err(GraphError::Invalid)?;
        check::born(&change, tx.now()).map_err(GraphError::Invalid)?;
        let Some(entity) = change.entities.first() else {
            return Err(GraphError::Invalid("nothing was said".to_owned()));
        };
        let mut work = Work::new(types, change.by, &change.source);
        store::savepoint(tx).await?;
        let outcome = work.make(tx, entity, anyway).await;
        work.end(tx, outcome).await
    }
}

impl Work<'_> {
    async fn make(
        &mut self,
        tx: &mut ScopedTx,
        change: &EntityChange,
        anyway: bool,
    ) -> Result<Made, GraphError> {
        let kind = self.types.get(&change.kind).map_err(GraphError::Invalid)?;
        // Who adds the same at once waits here.
        self.hold(tx, std::slice::from_ref(change)).await?;
        let rows = self.rows(check::strong(change));
        let mut bearers = self.draft.bearers(tx, &kind.name, &rows).await?;
        bearers.retain(|bearer| !bearer.deleted);
        if let Some(first) = bearers.first().filter(|_| !anyway) {
            let root = self.draft.root(tx, first.root).await?;
            return Ok(Made::Borne(Borne {
                by: first.root,
                title: root.and_then(|root| shown_title(&root.content)),
                address: self.draft.address(first.identifier),
            }));
        }
        let id = EntityId::new();
        let made = self.create(tx, kind, id, change).await?;
        let mut asked = Vec::new();
        for bearer in bearers {
            if asked.len() < ASKED_MAX && !asked.contains(&bearer.root) {
                self.draft.write(tx).await?; // what a question names is in the database
                let reason = format!("both have {}", self.draft.address(bearer.identifier));
                self.suggest(tx, (id, bearer.root), &reason, SCORE_ANYWAY).await?;
                asked.push(bearer.root);
            }
        }
        Ok(Made::New(made))
    }
}
