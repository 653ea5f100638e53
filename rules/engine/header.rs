//! A rule's header: `const RULE = #{ … }`, read without running any code.
//!
//! Invariant: a header that was read is complete and sound; what is wrong with another is told all at once, each
//! with its line and column.

use contracts::nearest;
use std::collections::BTreeMap;
use std::time::Duration;

use sandbox::{Header, Script, ScriptError};
use serde_json::{Map, Value};

use super::filter::{Literal, Term};
use super::input::Input;
use super::limit::{self, Limit};
use super::path::Path;
use super::{duration, event_types};

/// Keys that a header may have.
const KEYS: [&str; 10] = [
    "id", "on", "where", "mode", "key", "limit", "grants", "inputs", "max_age", "backfill",
];
/// Keys of the format that this version of the hub does not know how to keep.
const LATER: [&str; 3] = ["debounce", "throttle", "catch_up"];
/// Terms of a `where` at the most.
const TERMS_MAX: usize = 20;
/// Inputs at the most.
const INPUTS_MAX: usize = 50;
/// A call or message that is older than this is past answering, unless the rule says otherwise.
const COMMUNICATION_AGE_MAX: Duration = Duration::from_secs(600);

/// What happens when an event comes while a run of the same rule and key goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mode {
    /// The event is passed over.
    #[default]
    Single,
    /// The run is given up for a new one.
    Restart,
    /// It waits for the run to end.
    Queued,
    /// Both run.
    Parallel,
}

impl Mode {
    const ALL: [Self; 4] = [Self::Single, Self::Restart, Self::Queued, Self::Parallel];

    /// As it is written in a header.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Restart => "restart",
            Self::Queued => "queued",
            Self::Parallel => "parallel",
        }
    }
}

/// A rule's header.
#[derive(Debug, Clone)]
pub(crate) struct RuleHeader {
    /// Names the rule within the account, for ever.
    pub(crate) id: String,
    /// The type of event that it listens to.
    pub(crate) on: String,
    /// What must hold before any of the script runs.
    pub(crate) terms: Vec<Term>,
    /// How runs of one key get along.
    pub(crate) mode: Mode,
    /// What keeps runs apart.
    pub(crate) key: Option<Path>,
    /// How often it may run.
    pub(crate) limit: Option<Limit>,
    /// Actions that it may queue.
    pub(crate) grants: Vec<String>,
    /// What its owner may set.
    pub(crate) inputs: BTreeMap<String, Input>,
    /// Older events are too late.
    pub(crate) max_age: Option<Duration>,
    /// Whether it sees history that an import brings.
    pub(crate) backfill: bool,
}

/// True if `id` can name a rule: it stands in addresses, sources and audit entries.
pub(crate) fn is_rule_id(id: &str) -> bool {
    let sound = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=64).contains(&id.len()) && id.chars().all(sound) && !id.starts_with('-') && id != "check"
}

impl RuleHeader {
    /// Reads the header of a script.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn read(script: &Script) -> Result<Self, Vec<ScriptError>> {
        let header = script.header("RULE").map_err(|error| {
            vec![error.with_hint(
                "begin with const RULE = #{ id: \"my-rule\", on: \"communication.CallStarted\" };",
            )]
        })?;
        let mut reader = Reader {
            script,
            header,
            errors: Vec::new(),
        };
        let Value::Object(fields) = &header.value else {
            return Err(vec![header.error(script, "", "RULE must be a map: #{ … }")]);
        };
        reader.refuse_unknown(fields);
        let read = reader.fields(fields);
        match read {
            Some(read) if reader.errors.is_empty() => Ok(read),
            _ => {
                reader.errors.sort_by_key(|error| error.position);
                Err(reader.errors)
            }
        }
    }
}

struct Reader<'a> {
    script: &'a Script,
    header: &'a Header,
    errors: Vec<ScriptError>,
}

impl Reader<'_> {
    fn refuse<T>(&mut self, pointer: &str, message: impl Into<String>, hint: impl Into<String>) -> Option<T> {
        self.errors
            .push(self.header.error(self.script, pointer, message).with_hint(hint));
        None
    }

    fn refuse_unknown(&mut self, fields: &Map<String, Value>) {
        for key in fields.keys() {
            let pointer = pointer(&[key]);
            if LATER.contains(&key.as_str()) {
                let message = format!("`{key}` is not available in this version of the hub");
                self.refuse::<()>(
                    &pointer,
                    message,
                    "remove it; `limit` keeps a rule from running too often",
                );
            } else if !KEYS.contains(&key.as_str()) {
                let hint = nearest(key, KEYS).map_or_else(
                    || format!("a header has {}", KEYS.join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                self.refuse::<()>(&pointer, format!("`{key}` is no key of a rule's header"), hint);
            }
        }
    }

    /// `None` only together with an error.
    fn fields(&mut self, fields: &Map<String, Value>) -> Option<RuleHeader> {
        let id = self.id(fields);
        let on = self.on(fields);
        let terms = self.terms(fields);
        let mode = self.mode(fields);
        let key = self.path(fields, "key");
        let limit = self.limit(fields);
        let grants = self.grants(fields);
        let inputs = self.inputs(fields);
        let max_age = self.max_age(fields, on.as_deref().unwrap_or_default());
        let backfill = self.backfill(fields);
        Some(RuleHeader {
            id: id?,
            on: on?,
            terms,
            mode,
            key,
            limit,
            grants,
            inputs,
            max_age,
            backfill,
        })
    }

    fn text<'v>(&mut self, fields: &'v Map<String, Value>, key: &str, example: &str) -> Option<&'v str> {
        match fields.get(key) {
            None => self.refuse(
                "",
                format!("the header has no `{key}`"),
                format!("add {key}: \"{example}\""),
            ),
            Some(Value::String(text)) => Some(text),
            Some(_) => self.refuse(
                &pointer(&[key]),
                format!("`{key}` must be a string"),
                format!("such as \"{example}\""),
            ),
        }
    }

    fn id(&mut self, fields: &Map<String, Value>) -> Option<String> {
        let id = self.text(fields, "id", "my-rule")?;
        if is_rule_id(id) {
            return Some(id.to_owned());
        }
        self.refuse(
            "/id",
            format!("`{id}` can't be a rule's id"),
            "use small letters, digits and hyphens, at most 64; `check` is taken",
        )
    }

    fn on(&mut self, fields: &Map<String, Value>) -> Option<String> {
        let on = self.text(fields, "on", "communication.CallStarted")?;
        if event_types::is_known(on) {
            return Some(on.to_owned());
        }
        let hint = event_types::nearest(on).map_or_else(
            || format!("events are {}", event_types::NAMES.join(", ")),
            |near| format!("did you mean \"{near}\"?"),
        );
        self.refuse("/on", format!("there is no event `{on}`"), hint)
    }

    fn terms(&mut self, fields: &Map<String, Value>) -> Vec<Term> {
        let terms = match fields.get("where") {
            None => return Vec::new(),
            Some(Value::Object(terms)) => terms,
            Some(_) => {
                self.refuse::<()>(
                    "/where",
                    "`where` must be a map",
                    "such as #{ \"from.relations\": \"partner\" }",
                );
                return Vec::new();
            }
        };
        if terms.len() > TERMS_MAX {
            let message = format!("`where` has {} terms; {TERMS_MAX} are allowed", terms.len());
            self.refuse::<()>("/where", message, "put the rest into `when`");
        }
        terms
            .iter()
            .filter_map(|(path, value)| self.term(path, value))
            .collect()
    }

    fn term(&mut self, path: &str, expected: &Value) -> Option<Term> {
        let at = pointer(&["where", path]);
        let Some(parsed) = Path::parse(path) else {
            return self.refuse(
                &at,
                format!("`{path}` is no field of an event"),
                "write fields with dots: \"from.relations\"",
            );
        };
        let Some(literal) = Literal::of(expected) else {
            return self.refuse(
                &at,
                "`where` compares with one string, number or bool",
                "put other conditions into `when`",
            );
        };
        Some(Term {
            path: parsed,
            literal,
            expected: expected.clone(),
        })
    }

    fn mode(&mut self, fields: &Map<String, Value>) -> Mode {
        let Some(value) = fields.get("mode") else {
            return Mode::default();
        };
        let found = Mode::ALL
            .into_iter()
            .find(|mode| value.as_str() == Some(mode.as_str()));
        found.unwrap_or_else(|| {
            let names = Mode::ALL.map(Mode::as_str);
            let hint = value.as_str().and_then(|text| nearest(text, names)).map_or_else(
                || format!("one of {}", names.join(", ")),
                |near| format!("did you mean \"{near}\"?"),
            );
            self.refuse::<()>("/mode", format!("{value} is no mode"), hint);
            Mode::default()
        })
    }

    fn path(&mut self, fields: &Map<String, Value>, key: &str) -> Option<Path> {
        let value = fields.get(key)?;
        let path = value.as_str().and_then(Path::parse);
        path.or_else(|| {
            self.refuse(
                &pointer(&[key]),
                format!("`{key}` names a field of the event"),
                "such as \"from.id\"",
            )
        })
    }

    fn limit(&mut self, fields: &Map<String, Value>) -> Option<Limit> {
        let value = fields.get("limit")?;
        let limit = value.as_str().and_then(Limit::parse);
        limit.or_else(|| self.refuse("/limit", format!("{value} is no limit"), limit::FORM))
    }

    fn grants(&mut self, fields: &Map<String, Value>) -> Vec<String> {
        let known = super::host::EFFECTS;
        let names = match fields.get("grants") {
            None => return Vec::new(),
            Some(Value::Array(names)) => names,
            Some(_) => {
                self.refuse::<()>("/grants", "`grants` must be a list", "such as [\"sms.send\"]");
                return Vec::new();
            }
        };
        let mut grants = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let at = pointer(&["grants", &index.to_string()]);
            match name.as_str() {
                Some(name) if known.contains(&name) => grants.push(name.to_owned()),
                _ => {
                    let near = name
                        .as_str()
                        .and_then(|name| nearest(name, known.iter().copied()));
                    let hint = near.map_or_else(
                        || format!("grants are {}", known.join(", ")),
                        |near| format!("did you mean \"{near}\"?"),
                    );
                    self.refuse::<()>(&at, format!("{name} is no action that can be granted"), hint);
                }
            }
        }
        grants
    }

    fn inputs(&mut self, fields: &Map<String, Value>) -> BTreeMap<String, Input> {
        let inputs = match fields.get("inputs") {
            None => return BTreeMap::new(),
            Some(Value::Object(inputs)) if inputs.len() <= INPUTS_MAX => inputs,
            Some(_) => {
                let message = format!("`inputs` must be a map of at most {INPUTS_MAX}");
                self.refuse::<()>(
                    "/inputs",
                    message,
                    "such as #{ text: #{ type: \"string\", initial: \"Hello\" } }",
                );
                return BTreeMap::new();
            }
        };
        let mut read = BTreeMap::new();
        for (name, value) in inputs {
            match Input::read(value) {
                Ok(input) => {
                    read.insert(name.clone(), input);
                }
                Err((key, message)) => {
                    let at = key.map_or_else(
                        || pointer(&["inputs", name]),
                        |key| pointer(&["inputs", name, &key]),
                    );
                    let hint = "such as #{ type: \"string\", initial: \"Hello\", title: \"What to say\" }";
                    self.refuse::<()>(&at, format!("input `{name}`: {message}"), hint);
                }
            }
        }
        read
    }

    fn max_age(&mut self, fields: &Map<String, Value>, on: &str) -> Option<Duration> {
        match fields.get("max_age") {
            None => on.starts_with("communication.").then_some(COMMUNICATION_AGE_MAX),
            Some(Value::String(text)) => duration::parse(text)
                .or_else(|| self.refuse("/max_age", format!("\"{text}\" is no duration"), duration::FORM)),
            Some(other) => self.refuse("/max_age", format!("{other} is no duration"), duration::FORM),
        }
    }

    fn backfill(&mut self, fields: &Map<String, Value>) -> bool {
        match fields.get("backfill") {
            None => false,
            Some(Value::Bool(yes)) => *yes,
            Some(_) => self
                .refuse(
                    "/backfill",
                    "`backfill` is true or false",
                    "leave it out for false",
                )
                .unwrap_or(false),
        }
    }
}

/// A JSON pointer to a key.
fn pointer(keys: &[&str]) -> String {
    keys.iter()
        .map(|key| format!("/{}", key.replace('~', "~0").replace('/', "~1")))
        .collect()
}
