//! Names that a script may call: the chosen packages' and the host's.

use std::collections::{BTreeMap, BTreeSet};

use contracts::nearest;

use crate::host::{Arity, HostApi};

/// Functions that the language itself answers, whatever the number of arguments.
const BUILT_IN: [&str; 3] = ["call", "type_of", "is_shared"];

/// Everything callable that is not the script's own.
#[derive(Debug)]
pub(crate) struct Known {
    natives: BTreeMap<String, BTreeSet<usize>>,
    functions: BTreeMap<String, Arity>,
    namespaces: BTreeMap<String, BTreeMap<String, Arity>>,
}

/// What is wrong with a call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CallFault {
    Unknown,
    /// Numbers of arguments that it takes.
    Arity(String),
}

impl Known {
    pub(crate) fn of<H>(engine: &rhai::Engine, api: &HostApi<H>) -> Self {
        let all = engine.collect_fn_metadata(
            None,
            |info| Some((info.metadata.name.to_string(), info.metadata.num_params)),
            true,
        );
        let mut natives: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        let methods: BTreeSet<&String> = api.namespaces.values().flat_map(BTreeMap::keys).collect();
        for (name, params) in all {
            let is_word = name.chars().all(|c| c.is_alphanumeric() || c == '_');
            let is_host = api.functions.contains_key(&name);
            if is_word && !is_host && !methods.contains(&name) {
                natives.entry(name).or_default().insert(params);
            }
        }
        let functions = api
            .functions
            .values()
            .map(|f| (f.name.clone(), f.arity.clone()))
            .collect();
        let namespaces = api
            .namespaces
            .iter()
            .map(|(space, methods)| {
                (
                    space.clone(),
                    methods
                        .iter()
                        .map(|(name, f)| (name.clone(), f.arity.clone()))
                        .collect(),
                )
            })
            .collect();
        Self {
            natives,
            functions,
            namespaces,
        }
    }

    pub(crate) fn is_host_function(&self, name: &str) -> bool {
        self.functions.contains_key(name)
    }

    pub(crate) fn is_namespace(&self, name: &str) -> bool {
        self.namespaces.contains_key(name)
    }

    /// Names of name spaces.
    pub(crate) fn namespaces(&self) -> impl Iterator<Item = &str> {
        self.namespaces.keys().map(String::as_str)
    }

    /// Checks `name(…)` with `count` arguments; a method's receiver counts as one.
    pub(crate) fn check(&self, name: &str, count: usize, as_method: bool) -> Result<(), CallFault> {
        if let Some(arity) = self.functions.get(name) {
            return within(arity, count);
        }
        if BUILT_IN.contains(&name) {
            return Ok(());
        }
        let counts = self.natives.get(name).ok_or(CallFault::Unknown)?;
        if counts.contains(&count) {
            return Ok(());
        }
        let own = usize::from(as_method);
        let words: Vec<String> = counts
            .iter()
            .filter_map(|c| c.checked_sub(own))
            .map(|c| c.to_string())
            .collect();
        Err(CallFault::Arity(format!("{} arguments", words.join(" or "))))
    }

    /// Checks `namespace.name(…)` with `count` arguments.
    pub(crate) fn check_method(&self, namespace: &str, name: &str, count: usize) -> Result<(), CallFault> {
        let methods = self.namespaces.get(namespace).ok_or(CallFault::Unknown)?;
        within(methods.get(name).ok_or(CallFault::Unknown)?, count)
    }

    /// The nearest method of `namespace`.
    pub(crate) fn nearest_method(&self, namespace: &str, name: &str) -> Option<String> {
        let methods = self.namespaces.get(namespace)?;
        nearest(name, methods.keys().map(String::as_str)).map(|near| format!("{namespace}.{near}"))
    }

    /// The nearest function to call, among the script's own and all that are known.
    pub(crate) fn nearest_function<'a>(
        &'a self,
        name: &str,
        own: impl Iterator<Item = &'a str>,
    ) -> Option<String> {
        let member = self
            .namespaces
            .iter()
            .find(|(_, methods)| methods.contains_key(name));
        if let Some((space, _)) = member {
            return Some(format!("{space}.{name}"));
        }
        let all = own.chain(
            self.functions
                .keys()
                .chain(self.natives.keys())
                .map(String::as_str),
        );
        nearest(name, all).map(str::to_owned)
    }
}

fn within(arity: &Arity, count: usize) -> Result<(), CallFault> {
    if arity.contains(&count) {
        Ok(())
    } else {
        Err(CallFault::Arity(crate::host::arity_words(arity)))
    }
}
