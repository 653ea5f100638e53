//! Entering a rule's function: it ends, fails, or waits for an answer and is then entered again.

use std::time::{Duration, Instant};

use sandbox::{Arg, Budget, Outcome};
use serde_json::Value;

use super::host::{Host, Read};
use super::rule::{Rule, engine};

/// Operations of one entry of a function: far more than a rule needs.
const OPERATIONS_MAX: u64 = 100_000;
/// Time of a run, over all entries of its functions: far less than what would hold up the others.
pub(crate) const RUN_TIME_MAX: Duration = Duration::from_millis(250);
/// An entry that takes longer marks its rule as slow.
const SLOW: Duration = Duration::from_millis(1);

/// How a function was left.
#[derive(Debug)]
pub(crate) enum Entered {
    /// It came to its end.
    Returned(Value),
    /// It needs an answer first.
    Asks(Read),
    /// It failed.
    Failed(Fault),
}

/// Why a function failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// With file, line and column.
    pub(crate) reason: String,
    /// The script did something else than its journal says: nothing may be done on the strength of it.
    pub(crate) mismatch: bool,
}

/// Enters `function` from the top, with what `host` has learned so far and what is left of the run's time.
pub(crate) fn enter(rule: &Rule, function: &str, args: &[Arg], host: &mut Host) -> Entered {
    host.rewind();
    let budget = Budget {
        operations: OPERATIONS_MAX,
        time: RUN_TIME_MAX.saturating_sub(host.time_used()),
    };
    if budget.time.is_zero() {
        return failed(
            format!("the run took more than {} ms", RUN_TIME_MAX.as_millis()),
            false,
        );
    }
    let begun = Instant::now();
    let run = engine().call(&rule.script, function, args, host, &budget);
    let took = begun.elapsed();
    host.use_time(took);
    if took > SLOW {
        rule.mark_slow();
    }
    match run.outcome {
        Ok(Outcome::Returned(value)) => Entered::Returned(value),
        Ok(Outcome::Suspended { .. }) => match host.take_read() {
            Some(read) => Entered::Asks(read),
            None => failed("the script was suspended without a question".to_owned(), false),
        },
        Err(error) => failed(error.to_string(), host.is_mismatch()),
    }
}

fn failed(reason: String, mismatch: bool) -> Entered {
    Entered::Failed(Fault { reason, mismatch })
}

/// Whether `when` held: it must say true or false.
pub(crate) fn verdict(rule: &Rule, value: &Value) -> Result<bool, Fault> {
    value.as_bool().ok_or_else(|| Fault {
        reason: format!(
            "{}: `when` must answer true or false, not {value}",
            rule.script.file()
        ),
        mismatch: false,
    })
}
