//! Entering a rule's function: it ends, fails, or waits for an answer and is then entered again.

use std::time::Duration;

use sandbox::{Arg, Budget, Outcome};
use serde_json::Value;

use super::host::{Host, Read};
use super::rule::{Rule, engine};

/// What one entry of a function may use: far more than a rule needs, far less than what would hold up the others.
const BUDGET: Budget = Budget {
    operations: 100_000,
    time: Duration::from_millis(250),
};

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

/// Enters `function` from the top, with what `host` has learned so far.
pub(crate) fn enter(rule: &Rule, function: &str, args: &[Arg], host: &mut Host) -> Entered {
    host.rewind();
    let run = engine().call(&rule.script, function, args, host, &BUDGET);
    match run.outcome {
        Ok(Outcome::Returned(value)) => Entered::Returned(value),
        Ok(Outcome::Suspended { .. }) => match host.take_read() {
            Some(read) => Entered::Asks(read),
            None => Entered::Failed(Fault {
                reason: "the script was suspended without a question".to_owned(),
                mismatch: false,
            }),
        },
        Err(error) => Entered::Failed(Fault {
            reason: error.to_string(),
            mismatch: host.is_mismatch(),
        }),
    }
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
