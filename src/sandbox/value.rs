//! Values on their way between host (JSON) and script, and the event that many scripts read without a copy.
//!
//! Whole numbers of 64 bits with a sign stay whole; a larger one becomes the nearest float, so ids beyond 2⁶³
//! must travel as strings. `null` is `()`. A float that is not finite leaves a script as `null`.
//! Invariant: what one script does to a [`SharedValue`] is never seen by another.
//! Begin with [`SharedValue`].

use std::sync::{Arc, Mutex, PoisonError};

use rhai::Dynamic;
use serde_json::Value;

/// How deep a value from a script may nest.
const DEPTH_MAX: usize = 64;

/// The script's form of a JSON value.
pub(crate) fn from_json(value: &Value) -> Dynamic {
    build(value, false)
}

/// Read-only all the way down: the mark sits on each array and map, since a mark on the root alone would
/// still let `ev.tags.push(…)` through.
fn frozen(value: &Value) -> Dynamic {
    build(value, true)
}

fn build(value: &Value, read_only: bool) -> Dynamic {
    let made: Dynamic = match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(b) => (*b).into(),
        Value::Number(n) => match n.as_i64() {
            Some(whole) => whole.into(),
            None => n.as_f64().map_or(Dynamic::UNIT, Dynamic::from_float),
        },
        Value::String(s) => s.as_str().into(),
        Value::Array(items) => Dynamic::from_array(items.iter().map(|v| build(v, read_only)).collect()),
        Value::Object(fields) => Dynamic::from_map(
            fields
                .iter()
                .map(|(key, v)| (key.as_str().into(), build(v, read_only)))
                .collect(),
        ),
    };
    if read_only { made.into_read_only() } else { made }
}

/// The JSON form of a script's value, or what about it has none.
pub(crate) fn to_json(value: &Dynamic) -> Result<Value, String> {
    convert(value, DEPTH_MAX)
}

fn convert(value: &Dynamic, depth: usize) -> Result<Value, String> {
    let Some(deeper) = depth.checked_sub(1) else {
        return Err(format!("the value nests deeper than {DEPTH_MAX} levels"));
    };
    if value.is_unit() {
        Ok(Value::Null)
    } else if let Ok(b) = value.as_bool() {
        Ok(Value::Bool(b))
    } else if let Ok(whole) = value.as_int() {
        Ok(whole.into())
    } else if let Ok(float) = value.as_float() {
        Ok(serde_json::Number::from_f64(float).map_or(Value::Null, Value::Number))
    } else if let Ok(c) = value.as_char() {
        Ok(Value::String(c.into()))
    } else if let Ok(text) = value.as_immutable_string_ref() {
        Ok(Value::String(text.as_str().to_owned()))
    } else if let Ok(items) = value.as_array_ref() {
        items
            .iter()
            .map(|item| convert(item, deeper))
            .collect::<Result<_, _>>()
            .map(Value::Array)
    } else if let Ok(fields) = value.as_map_ref() {
        let pairs = fields
            .iter()
            .map(|(key, v)| Ok((key.to_string(), convert(v, deeper)?)));
        pairs.collect::<Result<_, String>>().map(Value::Object)
    } else {
        Err(format!(
            "a value of type {} can't leave the script",
            type_word(value)
        ))
    }
}

/// The word for a value's type that script authors know.
pub(crate) fn type_word(value: &Dynamic) -> &'static str {
    if value.is_fnptr() {
        "function"
    } else if value.is::<crate::host::Namespace>() {
        "name space"
    } else {
        match value.type_name() {
            "()" => "nothing, ()",
            "i64" => "number",
            "f64" => "float",
            "bool" => "bool",
            "char" => "character",
            "string" => "string",
            "array" => "array",
            "map" => "map",
            _ => "range or other inner value",
        }
    }
}

/// A JSON value that many calls read, on any threads, converted once.
///
/// Scripts see an ordinary map which is a constant all the way down: they read it, copy it (`let mine = ev;`)
/// and change the copy. The converted form is lent to one call at a time and comes back afterwards; a call on
/// another thread in the meantime, or one of a script which assigns to fields, gets a conversion of its own.
#[derive(Debug, Clone)]
pub struct SharedValue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    json: Value,
    spare: Mutex<Option<Dynamic>>,
}

impl SharedValue {
    /// Shares `json`. The conversion happens at the first call.
    pub fn new(json: Value) -> Self {
        Self(Arc::new(Shared {
            json,
            spare: Mutex::new(None),
        }))
    }

    /// The value as it was given.
    pub fn json(&self) -> &Value {
        &self.0.json
    }

    /// The converted form, for one call.
    pub(crate) fn borrow(&self) -> Dynamic {
        let spare = self.0.spare.lock().unwrap_or_else(PoisonError::into_inner).take();
        spare.unwrap_or_else(|| frozen(&self.0.json))
    }

    /// A conversion of its own, not to be given back.
    pub(crate) fn private(&self) -> Dynamic {
        frozen(&self.0.json)
    }

    /// Takes back what [`borrow`](Self::borrow) lent. A form which a closure captured has become a shared
    /// cell, and is thrown away: the closure might still hold it.
    pub(crate) fn give_back(&self, value: Dynamic) {
        if !value.is_shared() {
            *self.0.spare.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        }
    }
}

/// An argument of a call.
#[derive(Debug, Clone)]
pub enum Arg {
    /// A value of this call's own, which the script may change.
    Json(Value),
    /// A value that other calls read as well; a constant for the script.
    Shared(SharedValue),
}

impl From<Value> for Arg {
    fn from(value: Value) -> Self {
        Self::Json(value)
    }
}

impl From<&SharedValue> for Arg {
    fn from(value: &SharedValue) -> Self {
        Self::Shared(value.clone())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>()
                .prop_filter("JSON has finite numbers only", |f| f.is_finite())
                .prop_map(Value::from),
            "\\PC{0,40}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::btree_map("\\PC{0,12}", inner, 0..8)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_json_comes_back_from_a_script_value_unchanged(value in any_json()) {
            prop_assert_eq!(to_json(&from_json(&value)).unwrap(), value.clone());
            prop_assert_eq!(to_json(&SharedValue::new(value.clone()).borrow()).unwrap(), value);
        }
    }

    #[test]
    fn a_whole_number_beyond_64_bits_with_sign_becomes_a_float() {
        let back = to_json(&from_json(&json!(u64::MAX))).unwrap();
        assert_eq!(back.as_i64(), None);
        assert_eq!(back.as_f64(), Some(18_446_744_073_709_551_615.0));
    }

    #[test]
    fn a_float_that_is_not_finite_leaves_as_null() {
        assert_eq!(to_json(&Dynamic::from_float(f64::NAN)).unwrap(), Value::Null);
    }

    #[test]
    fn a_value_that_nests_too_deep_is_refused() {
        let mut value = Dynamic::UNIT;
        for _ in 0..100 {
            value = Dynamic::from_array(vec![value]);
        }
        assert!(to_json(&value).unwrap_err().contains("64"));
    }
}
