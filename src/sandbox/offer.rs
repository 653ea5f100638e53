//! Makes a host's functions callable from scripts.
//!
//! A name space such as `sms` is a variable for the language, and functions see no outer variables; so the
//! engine's variable resolver answers name spaces and the script's constants wherever no local variable of
//! that name exists (and now and then weighs the variables), and the methods are native functions of the type [`Namespace`].

use std::any::TypeId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rhai::{Dynamic, Engine, EvalAltResult, NativeCallContext};
use serde_json::Value;

use crate::host::{Arity, Call, Handler, HostApi, HostFunction, Interrupt, Namespace, arity_words};
use crate::limits::Limits;
use crate::run_state::{self, Stop};
use crate::value::{from_json, to_json};
use crate::weight;

type RhaiResult = Result<Dynamic, Box<EvalAltResult>>;

/// Registers the plain functions, once for each number of arguments.
pub(crate) fn functions<H: 'static>(engine: &mut Engine, api: &HostApi<H>) {
    for function in api.functions.values() {
        for count in function.arity.clone() {
            let types = vec![TypeId::of::<Dynamic>(); count];
            let (name, handler) = (function.name.clone(), Arc::clone(&function.handler));
            engine.register_raw_fn(function.name.as_str(), types, move |context, args| {
                invoke(&context, &name, handler.as_ref(), args)
            });
        }
    }
}

/// Registers the methods of all name spaces. Two name spaces may share a method's name, so one native function
/// serves a name and looks up the name space.
pub(crate) fn methods<H: 'static>(engine: &mut Engine, api: &HostApi<H>) {
    let names: BTreeSet<&String> = api.namespaces.values().flat_map(BTreeMap::keys).collect();
    for name in names {
        let owners: Arc<BTreeMap<String, Method<H>>> = Arc::new(
            api.namespaces
                .iter()
                .filter_map(|(space, methods)| Some((space.clone(), Method::of(methods.get(name)?))))
                .collect(),
        );
        let counts: BTreeSet<usize> = owners.values().flat_map(|m| m.arity.clone()).collect();
        for count in counts {
            let mut types = vec![TypeId::of::<Namespace>()];
            types.resize(count + 1, TypeId::of::<Dynamic>());
            let (name, owners) = (name.clone(), Arc::clone(&owners));
            engine.register_raw_fn(name.clone(), types, move |context, args| {
                let (receiver, args) = args.split_first_mut().ok_or("a method needs its name space")?;
                let space = receiver
                    .read_lock::<Namespace>()
                    .map(|n| n.0.clone())
                    .unwrap_or_default();
                let Some(method) = owners.get(space.as_str()) else {
                    return Err(format!("`{space}` has no function `{name}`").into());
                };
                if !method.arity.contains(&args.len()) {
                    let words = arity_words(&method.arity);
                    return Err(format!("`{}` takes {words}, not {}", method.name, args.len()).into());
                }
                invoke(&context, &method.name, method.handler.as_ref(), args)
            });
        }
    }
}

struct Method<H> {
    name: String,
    arity: Arity,
    handler: Arc<Handler<H>>,
}

impl<H> Method<H> {
    fn of(function: &HostFunction<H>) -> Self {
        Self {
            name: function.name.clone(),
            arity: function.arity.clone(),
            handler: Arc::clone(&function.handler),
        }
    }
}

/// Lets scripts name the name spaces and their own constants from inside functions.
pub(crate) fn names<H>(engine: &mut Engine, api: &HostApi<H>, limits: Limits) {
    let spaces: BTreeSet<String> = api.namespaces.keys().cloned().collect();
    #[expect(
        deprecated,
        reason = "marked volatile by its authors, not deprecated; no other way in"
    )]
    engine.on_var(move |name, index, context| {
        weight::sample(context.scope(), &limits)?;
        // An index means that the parser found a local variable.
        if index > 0 || context.scope().contains(name) {
            return Ok(None);
        }
        if spaces.contains(name) {
            return Ok(Some(Dynamic::from(Namespace(name.into()))));
        }
        Ok(run_state::constant(name))
    });
}

fn invoke<H: 'static>(
    context: &NativeCallContext<'_>,
    name: &str,
    handler: &Handler<H>,
    args: &mut [&mut Dynamic],
) -> RhaiResult {
    let at = context.call_position();
    let terminated = || Err(EvalAltResult::ErrorTerminated(Dynamic::UNIT, at).into());
    if run_state::is_stopped() {
        return terminated();
    }
    let args: Vec<Value> = args
        .iter()
        .map(|arg| to_json(arg))
        .collect::<Result<_, _>>()
        .map_err(|m| format!("{name}: {m}"))?;
    let position = at.into();
    let answer = run_state::with_host::<H, _>(|host| {
        handler(&mut Call {
            name,
            args: &args,
            host,
            position,
        })
    });
    match answer {
        Some(Ok(value)) => Ok(from_json(&value)),
        Some(Err(Interrupt::Fail(message))) => Err(EvalAltResult::ErrorRuntime(message.into(), at).into()),
        Some(Err(Interrupt::Suspend(payload))) => {
            run_state::stop(Stop::Suspended(payload, position));
            terminated()
        }
        Some(Err(Interrupt::Stop(message))) => {
            run_state::stop(Stop::Refused(message, position));
            terminated()
        }
        None => {
            run_state::stop(Stop::Refused(
                format!("`{name}` was called outside a run"),
                position,
            ));
            terminated()
        }
    }
}
