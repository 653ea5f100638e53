//! The functions that the hub offers to packs.

use sandbox::{Call, Engine, HostApi, HostResult, Interrupt, Limits};
use serde_json::{Map, Value, json};

use crate::{settings, time, xml};

/// Headers that a script can't set: who asks, whom, and how the message is framed.
const RESERVED: [&str; 11] = [
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

/// The journal of one run.
#[derive(Debug, Default)]
pub(crate) struct Session {
    may_request: bool,
    /// Requests with their answers, in the order in which the script asked.
    journal: Vec<(Value, Value)>,
    next: usize,
}

impl Session {
    pub(super) fn new(may_request: bool) -> Self {
        Self {
            may_request,
            journal: Vec::new(),
            next: 0,
        }
    }

    /// The function begins again from the top.
    pub(super) fn rewind(&mut self) {
        self.next = 0;
    }

    pub(super) fn answered(&mut self, request: Value, answer: Value) {
        self.journal.push((request, answer));
    }

    fn ask(&mut self, request: Value) -> HostResult {
        if !self.may_request {
            return Err(Interrupt::Stop(
                "this function can't make requests: it must answer at once".to_owned(),
            ));
        }
        match self.journal.get(self.next) {
            Some((asked, answer)) if *asked == request => {
                self.next += 1;
                Ok(answer.clone())
            }
            Some(_) => Err(Interrupt::Stop(
                "the script asked for something else when it was entered again".to_owned(),
            )),
            None => Err(Interrupt::Suspend(request)),
        }
    }
}

/// One engine for all packs.
pub(crate) fn engine() -> Engine<Session> {
    let api = HostApi::new()
        .method("http", "get", 1..=3, |call| request(call, "GET"))
        .method("http", "post_form", 2..=2, |call| request(call, "POST"))
        .function("xml_escape", 1..=1, |call| {
            Ok(Value::from(xml::escape(call.text(0)?)))
        })
        .function("xml_problem", 1..=1, |call| {
            Ok(json!(xml::problem(call.text(0)?)))
        })
        .function("uri_encode", 1..=1, |call| {
            Ok(url::form_urlencoded::byte_serialize(call.text(0)?.as_bytes())
                .collect::<String>()
                .replace('+', "%20")
                .into())
        })
        .function("epoch", 1..=1, |call| {
            Ok(json!(
                call.args.first().and_then(time::parse).map(|at| at.timestamp())
            ))
        })
        .function("is_tel", 1..=1, |call| {
            Ok(Value::from(settings::tel(call.text(0)?).is_ok()))
        });
    // A provider's page of a hundred records is some thousand values.
    let limits = Limits {
        string_bytes: 4 * 1024 * 1024,
        array_elements: 20_000,
        map_entries: 50_000,
        ..Limits::default()
    };
    Engine::new(api, limits)
}

/// `http.get(url, #{ … }, #{ … })`, `http.post_form(url, #{ … })`: fields are text, numbers or lists of such, headers text.
fn request(call: &mut Call<'_, Session>, method: &str) -> HostResult {
    let url = call.text(0)?.to_owned();
    let mut fields = Vec::new();
    match call.args.get(1) {
        None | Some(Value::Null) => {}
        Some(Value::Object(map)) => {
            for (name, value) in map {
                match value {
                    Value::Array(values) => {
                        for value in values {
                            fields.push(json!([name, text(call.name, name, value)?]));
                        }
                    }
                    Value::Null => {}
                    one => fields.push(json!([name, text(call.name, name, one)?])),
                }
            }
        }
        Some(_) => {
            return Err(Interrupt::Fail(format!(
                "{}: the fields must be a map",
                call.name
            )));
        }
    }
    let mut headers = Map::new();
    match call.args.get(2) {
        None | Some(Value::Null) => {}
        Some(Value::Object(map)) => {
            for (name, value) in map.iter().filter(|(_, value)| !value.is_null()) {
                let name = name.to_ascii_lowercase();
                if RESERVED
                    .iter()
                    .any(|reserved| name == *reserved || name.starts_with("proxy-"))
                {
                    return Err(Interrupt::Fail(format!(
                        "{}: the header `{name}` is the hub's to set",
                        call.name
                    )));
                }
                let value = text(call.name, &name, value)?;
                headers.insert(name, Value::from(value));
            }
        }
        Some(_) => {
            return Err(Interrupt::Fail(format!(
                "{}: the headers must be a map",
                call.name
            )));
        }
    }
    call.host
        .ask(json!({ "method": method, "url": url, "fields": fields, "headers": headers }))
}

fn text(function: &str, name: &str, value: &Value) -> Result<String, Interrupt> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        _ => Err(Interrupt::Fail(format!(
            "{function}: the field `{name}` must be text or a number"
        ))),
    }
}
