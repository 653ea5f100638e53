//! Walks from an entity along its relations, step by step.
//!
//! Paths come shortest first, and those of one length in the order of the ids on them, so that a path says where a walk
//! goes on.
//! Invariant: a page is bounded whatever the graph looks like: so many steps are looked at, by a few ranges of the
//! indexes, never all relations of a node. Begin with [`walk`].

use contracts::EntityId;
use futures::FutureExt;
use futures::future::BoxFuture;
use spine::ScopedTx;
use uuid::Uuid;

use crate::store;
use crate::store::Step;

/// Prefixes of paths that are fetched at once, to be walked on one by one.
const FRONT: usize = 64;
/// Steps that are looked at at once, however few of them lead to somebody new.
const AT_ONCE: usize = 500;
/// Steps that one page looks at before it hands over what it has found.
const STEPS_MAX: usize = 2_000;

/// The ids on a way, the entity's own left out.
pub(crate) type Path = Vec<Uuid>;

/// What a page found.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    /// In order. What is deleted or merged is among them.
    pub(crate) paths: Vec<Path>,
    /// Where the next page goes on, if there may be one: all paths up to this one, which needn't exist, were looked at.
    pub(crate) next: Option<Path>,
}

/// At most `size` paths of at most `depth` steps from `root`, after one of them. Left out are paths that lead back to
/// one of its members, or over more than one step to something that is next to one.
///
/// # Errors
/// What the database says.
pub(crate) async fn walk(
    tx: &mut ScopedTx,
    root: EntityId,
    depth: usize,
    after: Option<Path>,
    size: usize,
) -> Result<Walked, sqlx::Error> {
    let members = store::entity_members(tx, root).await?;
    let mut at = after.unwrap_or_else(|| vec![Uuid::nil()]);
    let mut ways = Ways::after(root.0, &members, &at);
    let mut paths = Vec::new();
    let (mut looked_at, mut found) = (0, 0);
    while paths.len() < size && looked_at < STEPS_MAX {
        let room = size - paths.len();
        let limit = enough(room, looked_at, found);
        let Some(looked) = ways.look(tx, at.len(), limit, true).await? else {
            if at.len() == depth {
                return Ok(Walked { paths, next: None });
            }
            at = vec![Uuid::nil(); at.len() + 1];
            ways = Ways::after(root.0, &members, &at);
            continue;
        };
        looked_at += looked.steps;
        found += looked.paths.len();
        let is_cut = looked.paths.len() > room;
        paths.extend(looked.paths.into_iter().take(room));
        at = paths.last().filter(|_| is_cut).cloned().unwrap_or(looked.at);
    }
    Ok(Walked {
        paths,
        next: Some(at),
    })
}

/// How many steps to look at for so many paths, where so many steps before had led to so many.
fn enough(room: usize, looked_at: usize, found: usize) -> usize {
    let steps = match found {
        0 => looked_at * 4,
        found => (room * looked_at).div_ceil(found) * 5 / 4,
    };
    steps.clamp(room, AT_ONCE.max(room))
}

/// What was looked at.
#[derive(Debug)]
struct Looked {
    paths: Vec<Path>,
    steps: usize,
    /// All paths up to this one were looked at.
    at: Path,
}

/// Where a walk is: for each length of paths what comes next.
#[derive(Debug)]
struct Ways<'a> {
    root: Uuid,
    members: &'a [Uuid],
    /// Of paths of one step, of two, and so on.
    lengths: Vec<Way>,
}

#[derive(Debug, Default)]
struct Way {
    /// Paths of one step less that are walked on now, in order.
    ahead: Vec<Path>,
    /// After which end of the first of them.
    begin: Uuid,
}

impl<'a> Ways<'a> {
    fn after(root: Uuid, members: &'a [Uuid], at: &[Uuid]) -> Self {
        let way = |(steps, begin): (usize, &Uuid)| Way {
            ahead: if steps == 0 || *begin == Uuid::max() {
                Vec::new()
            } else {
                vec![at[..steps].to_vec()]
            },
            begin: *begin,
        };
        Self {
            root,
            members,
            lengths: at.iter().enumerate().map(way).collect(),
        }
    }

    /// The next paths of so many steps, by looking at most at so many of them; none once there are no more. Of those
    /// that go on (`is_last` is false) only the ones that lead back are left out.
    fn look<'b>(
        &'b mut self,
        tx: &'b mut ScopedTx,
        length: usize,
        limit: usize,
        is_last: bool,
    ) -> BoxFuture<'b, Result<Option<Looked>, sqlx::Error>> {
        async move {
            let nth = length - 1;
            let mut steps_before = 0;
            if nth == 0 && self.lengths[nth].begin == Uuid::max() {
                return Ok(None);
            }
            if nth > 0 && self.lengths[nth].ahead.is_empty() {
                let Some(before) = self.look(tx, nth, FRONT, false).await? else {
                    return Ok(None);
                };
                if before.paths.is_empty() {
                    let at = [before.at.as_slice(), &[Uuid::max()]].concat();
                    return Ok(Some(Looked { at, ..before }));
                }
                steps_before = before.steps;
                self.lengths[nth] = Way {
                    ahead: before.paths,
                    begin: Uuid::nil(),
                };
            }
            let way = &mut self.lengths[nth];
            let ends = way.ahead.iter().filter_map(|path| path.last().copied());
            let starts: Vec<Uuid> = if nth == 0 { vec![self.root] } else { ends.collect() };
            let near = if is_last && nth > 0 { self.members } else { &[] };
            let steps = store::step_list(tx, &starts, way.begin, limit, near).await?;
            let paths = steps.iter().filter_map(|step| way.path(step, self.members));
            Ok(Some(Looked {
                paths: paths.collect(),
                steps: steps.len() + steps_before,
                at: way.go_on(steps.last().filter(|_| steps.len() == limit)),
            }))
        }
        .boxed()
    }
}

impl Way {
    /// The path that ends with this step, if it leads to somebody new.
    fn path(&self, step: &Step, members: &[Uuid]) -> Option<Path> {
        let before = self.ahead.get(step.start).map_or(&[][..], Vec::as_slice);
        let is_new = !step.is_near && !members.contains(&step.far) && !before.contains(&step.far);
        is_new.then(|| [before, &[step.far]].concat())
    }

    /// Goes on after this step, or after all that is ahead. Returns the path up to which all was looked at.
    fn go_on(&mut self, cut: Option<&Step>) -> Path {
        let end = cut.map_or(Uuid::max(), |step| step.far);
        let before = match cut {
            Some(step) => {
                self.ahead.drain(..step.start);
                self.ahead.first().cloned()
            }
            None => self.ahead.drain(..).next_back(),
        };
        self.begin = end;
        [before.unwrap_or_default(), vec![end]].concat()
    }
}
