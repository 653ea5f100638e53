//! What belongs to the run on this thread: budget, deadline, host context, the script's constants.
//!
//! A shared engine's callbacks get no context of their own, and a run never leaves its thread, so the state
//! is thread-local; a guard puts the outer run's state back, also when a handler panics.
//! Invariant: once [`stop`] was called, every further operation of the run fails.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use crate::error::Position;
use crate::limits::Budget;

/// Why a run ended before its function did.
#[derive(Debug)]
pub(crate) enum Stop {
    Suspended(Value, Position),
    Refused(String, Position),
    Operations,
    Time,
}

/// Constants of a script by name.
pub(crate) type Constants = Arc<BTreeMap<String, rhai::Dynamic>>;

struct Frame {
    host: Option<Box<dyn Any>>,
    constants: Constants,
    stop: Option<Stop>,
}

thread_local! {
    static FRAME: RefCell<Option<Frame>> = const { RefCell::new(None) };
    // Apart from the frame, because they are read at every operation.
    static STOPPED: Cell<bool> = const { Cell::new(false) };
    static ACCESSES: Cell<u32> = const { Cell::new(0) };
    static OPERATIONS: Cell<u64> = const { Cell::new(0) };
    static OPERATIONS_MAX: Cell<u64> = const { Cell::new(u64::MAX) };
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// The state of one run; dropping it restores the run around it.
pub(crate) struct Running {
    outer: Option<Frame>,
    outer_cells: (bool, u64, u64, Option<Instant>),
}

/// What is left when a run is over.
pub(crate) struct Finished {
    pub host: Option<Box<dyn Any>>,
    pub stop: Option<Stop>,
    pub operations: u64,
}

impl Running {
    pub(crate) fn begin(host: Box<dyn Any>, constants: Constants, budget: &Budget) -> Self {
        ACCESSES.set(0);
        let frame = Frame {
            host: Some(host),
            constants,
            stop: None,
        };
        Self {
            outer: FRAME.replace(Some(frame)),
            outer_cells: (
                STOPPED.replace(false),
                OPERATIONS.replace(0),
                OPERATIONS_MAX.replace(budget.operations),
                // A monotonic stopwatch, not the time of day: it decides nothing that a replay must repeat.
                DEADLINE.replace(Instant::now().checked_add(budget.time)),
            ),
        }
    }

    pub(crate) fn finish(self) -> Finished {
        let frame = FRAME.take();
        let operations = OPERATIONS.get();
        let (host, stop) = frame.map_or((None, None), |f| (f.host, f.stop));
        Finished {
            host,
            stop,
            operations,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        FRAME.replace(self.outer.take());
        let (stopped, operations, operations_max, deadline) = self.outer_cells;
        STOPPED.set(stopped);
        OPERATIONS.set(operations);
        OPERATIONS_MAX.set(operations_max);
        DEADLINE.set(deadline);
    }
}

/// Ends the run. The first reason stays.
pub(crate) fn stop(reason: Stop) {
    STOPPED.set(true);
    FRAME.with_borrow_mut(|frame| {
        if let Some(frame) = frame {
            frame.stop.get_or_insert(reason);
        }
    });
}

/// Whether the run was ended. Needed because some array functions swallow errors of their closures.
pub(crate) fn is_stopped() -> bool {
    STOPPED.get()
}

/// True at every 16th access to a variable of this run.
pub(crate) fn is_time_to_weigh() -> bool {
    let accesses = ACCESSES.get().wrapping_add(1);
    ACCESSES.set(accesses);
    accesses & 0xF == 0
}

/// Called at every operation; true ends the run.
pub(crate) fn must_stop(operations: u64) -> bool {
    if is_stopped() {
        return true;
    }
    OPERATIONS.set(operations);
    if operations > OPERATIONS_MAX.get() {
        stop(Stop::Operations);
        return true;
    }
    if operations & 0xFF == 0 && DEADLINE.get().is_some_and(|deadline| Instant::now() > deadline) {
        stop(Stop::Time);
        return true;
    }
    false
}

/// Lends the host context to `work`; none outside a run and while a handler already has it.
pub(crate) fn with_host<H: 'static, R>(work: impl FnOnce(&mut H) -> R) -> Option<R> {
    let host = FRAME.with_borrow_mut(|frame| frame.as_mut().and_then(|f| f.host.take()))?;
    let mut lent = Lent(Some(host));
    lent.0
        .as_mut()
        .and_then(|host| host.downcast_mut::<H>())
        .map(work)
}

/// Gives the host context back, also when the handler panics.
struct Lent(Option<Box<dyn Any>>);

impl Drop for Lent {
    fn drop(&mut self) {
        FRAME.with_borrow_mut(|frame| {
            if let Some(frame) = frame {
                frame.host = self.0.take();
            }
        });
    }
}

/// The running script's constant of this name.
pub(crate) fn constant(name: &str) -> Option<rhai::Dynamic> {
    FRAME.with_borrow(|frame| frame.as_ref().and_then(|f| f.constants.get(name).cloned()))
}
