//! The functions that a host offers to scripts: `state("me.place")`, `sms.send(to, text)`.
//!
//! A [`HostApi`] is built once and becomes an [`Engine`](crate::Engine). Its handlers run on the script's
//! thread and must not block: what they lack they ask for with [`Interrupt::Suspend`], and the caller runs the
//! script again once it knows.
//! Invariant: a script can catch [`Interrupt::Fail`] only; after a suspension or a stop nothing more of it
//! runs, and no handler is called.
//! Begin with [`HostApi`].

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use serde_json::Value;

use crate::error::Position;

/// What a handler is given.
pub struct Call<'a, H> {
    /// Full name of the function, such as `state` or `sms.send`.
    pub name: &'a str,
    /// The arguments, as many as the signature allows.
    pub args: &'a [Value],
    /// The context that the caller of the script passed in.
    pub host: &'a mut H,
    /// Where in the script the call stands.
    pub position: Position,
}

impl<H> fmt::Debug for Call<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("name", &self.name)
            .field("args", &self.args)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl<H> Call<'_, H> {
    /// The argument at `index` as text, or an error that names function and argument.
    pub fn text(&self, index: usize) -> Result<&str, Interrupt> {
        self.args
            .get(index)
            .and_then(Value::as_str)
            .ok_or_else(|| Interrupt::Fail(format!("{}: argument {} must be a string", self.name, index + 1)))
    }
}

/// Why a handler gives no value.
#[derive(Debug, Clone, PartialEq)]
pub enum Interrupt {
    /// Ends the run for now with [`Outcome::Suspended`](crate::Outcome::Suspended). Scripts can't catch it.
    Suspend(Value),
    /// An error at the place of the call, which a script may catch. The text is for the script's author.
    Fail(String),
    /// Ends the run for good with [`ErrorKind::Stopped`](crate::ErrorKind::Stopped). Scripts can't catch it:
    /// for a missing grant or a journal that doesn't fit.
    Stop(String),
}

/// What a handler answers.
pub type HostResult = Result<Value, Interrupt>;

pub(crate) type Handler<H> = dyn Fn(&mut Call<'_, H>) -> HostResult + Send + Sync;

/// One function of the host.
pub(crate) struct HostFunction<H> {
    pub name: String,
    pub arity: RangeInclusive<usize>,
    pub handler: Arc<Handler<H>>,
}

/// Numbers of arguments that a host function takes.
pub type Arity = RangeInclusive<usize>;

/// Builder of the functions that a host offers; `H` is the context of one run (journal, recorded effects).
pub struct HostApi<H> {
    pub(crate) functions: BTreeMap<String, HostFunction<H>>,
    pub(crate) namespaces: BTreeMap<String, BTreeMap<String, HostFunction<H>>>,
}

impl<H> fmt::Debug for HostApi<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.signatures()).finish()
    }
}

impl<H> Default for HostApi<H> {
    fn default() -> Self {
        Self {
            functions: BTreeMap::new(),
            namespaces: BTreeMap::new(),
        }
    }
}

impl<H: 'static> HostApi<H> {
    /// Offers nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `name(…)`. A second function of the same name replaces the first.
    #[must_use]
    pub fn function(
        mut self,
        name: &str,
        arity: Arity,
        handler: impl Fn(&mut Call<'_, H>) -> HostResult + Send + Sync + 'static,
    ) -> Self {
        let function = HostFunction {
            name: name.to_owned(),
            arity,
            handler: Arc::new(handler),
        };
        self.functions.insert(name.to_owned(), function);
        self
    }

    /// Adds `namespace.name(…)`; the name space comes into being with its first method.
    #[must_use]
    pub fn method(
        mut self,
        namespace: &str,
        name: &str,
        arity: Arity,
        handler: impl Fn(&mut Call<'_, H>) -> HostResult + Send + Sync + 'static,
    ) -> Self {
        let full = format!("{namespace}.{name}");
        let function = HostFunction {
            name: full,
            arity,
            handler: Arc::new(handler),
        };
        self.namespaces
            .entry(namespace.to_owned())
            .or_default()
            .insert(name.to_owned(), function);
        self
    }
}

impl<H> HostApi<H> {
    /// Full name and arity of every function, for the linter and for documentation.
    pub fn signatures(&self) -> impl Iterator<Item = (&str, &Arity)> {
        let methods = self.namespaces.values().flat_map(BTreeMap::values);
        self.functions
            .values()
            .chain(methods)
            .map(|f| (f.name.as_str(), &f.arity))
    }
}

/// "no argument", "1 argument", "1 to 3 arguments": the words for an arity.
pub(crate) fn arity_words(arity: &Arity) -> String {
    match (*arity.start(), *arity.end()) {
        (0, 0) => "no argument".to_owned(),
        (1, 1) => "1 argument".to_owned(),
        (a, b) if a == b => format!("{a} arguments"),
        (a, b) => format!("{a} to {b} arguments"),
    }
}

/// The value behind the name of a name space in a script: `sms` in `sms.send(…)`.
#[derive(Debug, Clone)]
pub(crate) struct Namespace(pub rhai::ImmutableString);
