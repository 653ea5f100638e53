//! The interpreter with a host's functions and limits: compiles scripts and calls their functions.
//!
//! One engine serves any number of scripts, runs and threads at once; making one costs a fraction of a
//! millisecond, so it is made once for each [`HostApi`] and cloned (a clone shares).
//! Invariant: a script reaches nothing but its arguments, its constants, the chosen packages and the host's
//! functions: no clock, disk, network, `eval`, `import`, output.
//! Begin with [`Engine::call`].

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use rhai::packages::{
    ArithmeticPackage, BasicArrayPackage, BasicIteratorPackage, BasicMapPackage, BasicMathPackage,
    BasicStringPackage, LogicPackage, MoreStringPackage, Package,
};
use rhai::{Dynamic, Scope};
use serde_json::Value;

use crate::error::{ErrorKind, Position, ScriptError};
use crate::host::HostApi;
use crate::limits::{Budget, Limits};
use crate::lint::Known;
use crate::run_state::{Finished, Running, Stop};
use crate::script::Script;
use crate::value::{Arg, from_json, to_json};
use crate::{fault, offer, text};

/// Words of the language that are switched off. `Fn` because a function named by a computed string could not
/// be checked against a rule's grants.
/// `this` because a method-style call of a script's function would hold a value out of the size checks' sight.
const DISABLED: [&str; 10] = [
    "eval",
    "import",
    "export",
    "print",
    "debug",
    "Fn",
    "curry",
    "is_def_fn",
    "is_def_var",
    "this",
];

/// Interpreter for scripts that use the host functions of one [`HostApi`].
pub struct Engine<H>(Arc<Inner<H>>);

struct Inner<H> {
    rhai: rhai::Engine,
    api: HostApi<H>,
    limits: Limits,
    known: OnceLock<Known>,
}

impl<H> Clone for Engine<H> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<H> fmt::Debug for Engine<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("api", &self.0.api)
            .field("limits", &self.0.limits)
            .finish()
    }
}

/// How a call ended that did not fail.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The function came to its end with this value.
    Returned(Value),
    /// A handler asked for a suspension.
    Suspended {
        /// What the handler gave to [`Interrupt::Suspend`].
        payload: Value,
        /// Where in the script the handler was called.
        position: Position,
    },
}

/// A call that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// How it ended.
    pub outcome: Result<Outcome, ScriptError>,
    /// Operations that it took.
    pub operations: u64,
}

impl<H: Default + 'static> Engine<H> {
    /// An engine that offers `api` within `limits`.
    pub fn new(api: HostApi<H>, limits: Limits) -> Self {
        let mut rhai = bare(&limits);
        text::register(&mut rhai);
        offer::functions(&mut rhai, &api);
        offer::methods(&mut rhai, &api);
        offer::names(&mut rhai, &api, limits);
        Self(Arc::new(Inner {
            rhai,
            api,
            limits,
            known: OnceLock::new(),
        }))
    }

    /// Calls `function` of `script` with `args`, lending `host` to the handlers.
    ///
    /// A [`SharedValue`](crate::SharedValue) among the arguments is a constant for the script. A handler that
    /// panics ends the run with [`ErrorKind::Internal`]; `host` keeps what was done to it until then.
    pub fn call(&self, script: &Script, function: &str, args: &[Arg], host: &mut H, budget: &Budget) -> Run {
        let Some(entry) = script.definition(function, args.len()) else {
            return Run {
                outcome: Err(script.no_such_function(function, args.len())),
                operations: 0,
            };
        };
        let mut scope = bind(script, &entry.params, args);
        let context = Box::new(std::mem::take(host));
        let running = Running::begin(context, Arc::clone(&script.constants), budget);
        let result = catch_unwind(AssertUnwindSafe(|| {
            self.0
                .rhai
                .eval_ast_with_scope::<Dynamic>(&mut scope, &entry.body)
        }));
        let Finished {
            host: context,
            stop,
            operations,
        } = running.finish();
        if let Some(context) = context.and_then(|c| c.downcast::<H>().ok()) {
            *host = *context;
        }
        if result.is_ok() && !script.assigns_fields {
            give_back(scope, args);
        }
        let outcome = match (stop, result) {
            (Some(stop), result) => {
                let at = result
                    .ok()
                    .and_then(Result::err)
                    .map(|error| error.position().into());
                ended_early(script, stop, budget, at.unwrap_or_default())
            }
            (None, Ok(Ok(value))) => to_json(&value)
                .map(Outcome::Returned)
                .map_err(|message| script.error(ErrorKind::Conversion, entry.position, message)),
            (None, Ok(Err(error))) => Err(fault::from_runtime(script, &error)),
            (None, Err(_panic)) => {
                let message = format!("the interpreter failed inside `{function}`");
                Err(script.error(ErrorKind::Internal, entry.position, message))
            }
        };
        Run { outcome, operations }
    }
}

impl<H> Engine<H> {
    /// Reads `source` under the name `file`, which errors show. Runs none of it.
    pub fn compile(&self, file: &str, source: &str) -> Result<Script, ScriptError> {
        Script::read(&self.0.rhai, &self.0.limits, file, source)
    }

    /// The limits of this engine.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// The host functions of this engine.
    pub fn api(&self) -> &HostApi<H> {
        &self.0.api
    }

    /// Names and arities of everything that scripts may call, made at the first use of the linter.
    pub(crate) fn known(&self) -> &Known {
        self.0.known.get_or_init(|| Known::of(&self.0.rhai, &self.0.api))
    }
}

/// The interpreter with packages and limits, without any host function.
fn bare(limits: &Limits) -> rhai::Engine {
    let mut engine = rhai::Engine::new_raw();
    engine
        .register_global_module(ArithmeticPackage::new().as_shared_module())
        .register_global_module(LogicPackage::new().as_shared_module())
        .register_global_module(BasicMathPackage::new().as_shared_module())
        .register_global_module(BasicStringPackage::new().as_shared_module())
        .register_global_module(MoreStringPackage::new().as_shared_module())
        .register_global_module(BasicArrayPackage::new().as_shared_module())
        .register_global_module(BasicMapPackage::new().as_shared_module())
        .register_global_module(BasicIteratorPackage::new().as_shared_module());
    for word in DISABLED {
        engine.disable_symbol(word);
    }
    limits.apply(&mut engine);
    // Without the optimizer literals stay as they are written, so headers keep the place of each value.
    engine.set_optimization_level(rhai::OptimizationLevel::None);
    engine.on_progress(|operations| crate::run_state::must_stop(operations).then_some(Dynamic::UNIT));
    engine
}

/// The parameters as variables. A script that assigns to fields could add a field to a lent value, which no
/// read-only mark prevents, so it gets a conversion of its own.
fn bind(script: &Script, params: &[String], args: &[Arg]) -> Scope<'static> {
    let mut scope = Scope::new();
    for (name, arg) in params.iter().zip(args) {
        match arg {
            Arg::Json(json) => scope.push_dynamic(name.as_str(), from_json(json)),
            Arg::Shared(shared) if script.assigns_fields => {
                scope.push_constant_dynamic(name.as_str(), shared.private())
            }
            Arg::Shared(shared) => scope.push_constant_dynamic(name.as_str(), shared.borrow()),
        };
    }
    scope
}

/// Returns lent values to their owners.
fn give_back(scope: Scope<'_>, args: &[Arg]) {
    for ((_, value, _), arg) in scope.into_iter().zip(args) {
        if let Arg::Shared(shared) = arg {
            shared.give_back(value);
        }
    }
}

/// `at` is where the interpreter noticed, for the reasons that know no place of their own.
fn ended_early(script: &Script, stop: Stop, budget: &Budget, at: Position) -> Result<Outcome, ScriptError> {
    let (kind, position, message) = match stop {
        Stop::Suspended(payload, position) => return Ok(Outcome::Suspended { payload, position }),
        Stop::Refused(message, position) => (ErrorKind::Stopped, position, message),
        Stop::Operations => {
            let message = format!(
                "stopped after {} operations; is there an endless loop?",
                budget.operations
            );
            (ErrorKind::Operations, at, message)
        }
        Stop::Time => (
            ErrorKind::Time,
            at,
            format!("stopped after {} ms", budget.time.as_millis()),
        ),
    };
    Err(script.error(kind, position, message))
}
