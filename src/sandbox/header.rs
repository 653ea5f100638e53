//! Constants at the top of a script, read from its syntax tree without running any of it.
//!
//! `const RULE = #{ … };` must be literal all the way down: who lists or checks rules must not execute them.
//! Each key keeps its place, so that a refusal of a value points at it.
//! Begin with [`Header`].

use std::collections::BTreeMap;

use rhai::{Expr, Ident};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{ErrorKind, Position, ScriptError};
use crate::script::Script;

/// A constant of a script, with the place of each of its values.
#[derive(Debug, Clone)]
pub struct Header {
    /// Name of the constant.
    pub name: String,
    /// Its value.
    pub value: Value,
    /// Where the constant is defined.
    pub position: Position,
    /// Where each key (in a map) or element (in an array) stands, by JSON pointer (`/where/from.relations`).
    pub places: BTreeMap<String, Position>,
}

impl Header {
    /// The place of the value at this JSON pointer, or of the nearest value around it.
    pub fn place(&self, pointer: &str) -> Position {
        let mut pointer = pointer;
        loop {
            if let Some(at) = self.places.get(pointer) {
                return *at;
            }
            match pointer.rsplit_once('/') {
                Some((around, _)) => pointer = around,
                None => return self.position,
            }
        }
    }

    /// An error about the value at this JSON pointer.
    pub fn error(&self, script: &Script, pointer: &str, message: impl Into<String>) -> ScriptError {
        script.error(ErrorKind::Header, self.place(pointer), message)
    }

    /// The header as a type. A field that the type refuses by name is pointed at; otherwise the header is.
    pub fn parse<T: DeserializeOwned>(&self, script: &Script) -> Result<T, ScriptError> {
        T::deserialize(&self.value).map_err(|error| {
            let message = error.to_string();
            let key = message.split('`').nth(1).map(|word| format!("/{}", escape(word)));
            let pointer = key.and_then(|key| self.places.keys().find(|p| p.ends_with(&key)));
            let pointer = pointer.map_or("", String::as_str);
            self.error(script, pointer, format!("{}: {message}", self.name))
        })
    }
}

/// Why an expression is no header.
pub(crate) struct NotLiteral {
    pub position: Position,
    pub message: String,
}

/// Reads the constant `name` from its expression.
pub(crate) fn read(name: &Ident, expression: &Expr) -> Result<Header, NotLiteral> {
    let position = name.pos.into();
    let mut header = Header {
        name: name.name.to_string(),
        value: Value::Null,
        position,
        places: BTreeMap::new(),
    };
    header.value = literal(expression, "", &mut header.places)?;
    Ok(header)
}

fn literal(
    expression: &Expr,
    pointer: &str,
    places: &mut BTreeMap<String, Position>,
) -> Result<Value, NotLiteral> {
    match expression {
        Expr::Unit(_) => Ok(Value::Null),
        Expr::BoolConstant(b, _) => Ok(Value::Bool(*b)),
        Expr::IntegerConstant(n, _) => Ok((*n).into()),
        Expr::FloatConstant(f, _) => Ok(float(**f)),
        Expr::CharConstant(c, _) => Ok(Value::String((*c).into())),
        Expr::StringConstant(s, _) => Ok(Value::String(s.to_string())),
        // A text in backticks without any `${…}` is a literal too.
        Expr::InterpolatedString(parts, _) if parts.iter().all(|p| matches!(p, Expr::StringConstant(..))) => {
            Ok(Value::String(
                parts
                    .iter()
                    .map(|p| p.get_literal_value(None).unwrap_or_default().to_string())
                    .collect(),
            ))
        }
        Expr::Array(items, _) => {
            let mut values = Vec::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                let inner = format!("{pointer}/{index}");
                places.insert(inner.clone(), item.start_position().into());
                values.push(literal(item, &inner, places)?);
            }
            Ok(Value::Array(values))
        }
        Expr::Map(fields, _) => {
            let mut values = Map::new();
            for (key, item) in &fields.0 {
                let inner = format!("{pointer}/{}", escape(&key.name));
                places.insert(inner.clone(), key.pos.into());
                values.insert(key.name.to_string(), literal(item, &inner, places)?);
            }
            Ok(Value::Object(values))
        }
        Expr::FnCall(call, _) if call.args.len() == 1 && (call.name == "-" || call.name == "+") => {
            let sign = if call.name == "-" { -1 } else { 1 };
            match &call.args[0] {
                Expr::IntegerConstant(n, _) => Ok((n.saturating_mul(sign)).into()),
                Expr::FloatConstant(f, _) => Ok(float(**f * if sign < 0 { -1.0 } else { 1.0 })),
                other => Err(computed(other)),
            }
        }
        other => Err(computed(other)),
    }
}

fn float(f: f64) -> Value {
    serde_json::Number::from_f64(f).map_or(Value::Null, Value::Number)
}

fn computed(expression: &Expr) -> NotLiteral {
    let what = match expression {
        Expr::FnCall(call, _) if call.is_operator_call() => format!("the operator `{}`", call.name),
        Expr::FnCall(call, _) => format!("a call of `{}`", call.name),
        Expr::Variable(variable, ..) => format!("the name `{}`", variable.1),
        Expr::InterpolatedString(..) => "a text with `${…}`".to_owned(),
        Expr::Dot(..) | Expr::Index(..) => "a field of something".to_owned(),
        Expr::DynamicConstant(..) => "a function".to_owned(),
        _ => "an expression".to_owned(),
    };
    NotLiteral {
        position: expression.start_position().into(),
        message: format!(
            "the header must be literal values, since it is read without running code; this is {what}"
        ),
    }
}

/// One step of a JSON pointer.
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
