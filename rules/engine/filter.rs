//! `where`: literals that fields of the event must equal, or, where the field is a list, that it must contain.

use serde_json::Value;

use super::path::Path;

/// A value that can be looked up in an index. Whole floats and integers are the same number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Literal {
    Bool(bool),
    Whole(i64),
    /// Bits of a float that is not whole.
    Float(u64),
    Text(String),
}

impl Literal {
    /// The literal that a value is; `None` for null, lists and maps.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(yes) => Some(Self::Bool(*yes)),
            Value::Number(number) => Some(match number.as_i64() {
                Some(whole) => Self::Whole(whole),
                None => float(number.as_f64()?),
            }),
            Value::String(text) => Some(Self::Text(text.clone())),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    fn is(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Text(text), Value::String(other)) => text == other,
            (Self::Bool(yes), Value::Bool(other)) => yes == other,
            (Self::Whole(_) | Self::Float(_), Value::Number(_)) => Self::of(value).as_ref() == Some(self),
            _ => false,
        }
    }
}

fn float(value: f64) -> Literal {
    // The largest whole numbers that a float holds exactly.
    if value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0 {
        return Literal::Whole(value as i64);
    }
    Literal::Float(value.to_bits())
}

/// One term of a `where`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Term {
    /// The field.
    pub(crate) path: Path,
    /// What it must equal or contain.
    pub(crate) literal: Literal,
    /// The same, as the header writes it.
    pub(crate) expected: Value,
}

impl Term {
    /// True if the body has the literal at the path, or in the list at the path.
    pub(crate) fn holds(&self, body: &Value) -> bool {
        match self.path.find(body) {
            Some(Value::Array(items)) => items.iter().any(|item| self.literal.is(item)),
            Some(value) => self.literal.is(value),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn holds(expected: Value, actual: Value) -> bool {
        let term = Term {
            path: Path::parse("x").unwrap(),
            literal: Literal::of(&expected).unwrap(),
            expected,
        };
        term.holds(&json!({ "x": actual }))
    }

    #[test]
    fn a_literal_equals_a_field_or_is_in_its_list() {
        assert!(holds(json!("partner"), json!("partner")));
        assert!(holds(json!("partner"), json!(["friend", "partner"])));
        assert!(holds(json!(1), json!(1.0)));
        assert!(holds(json!(0.5), json!([0.25, 0.5])));
        assert!(holds(json!(false), json!(false)));
    }

    #[test]
    fn another_value_or_type_does_not_match() {
        assert!(!holds(json!("partner"), json!("partners")));
        assert!(!holds(json!("1"), json!(1)));
        assert!(!holds(json!(true), json!("true")));
        assert!(!holds(json!("partner"), json!([["partner"]])));
        assert!(!holds(json!("partner"), json!(null)));
        assert!(!holds(json!(1), json!({ "y": 1 })));
    }
}
