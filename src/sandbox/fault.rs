//! Turns the interpreter's errors into [`ScriptError`]s, with a hint where authors commonly stumble.

use rhai::{EvalAltResult, LexError, ParseError, ParseErrorType};

use crate::error::{ErrorKind, ScriptError};
use crate::script::Script;

pub(crate) fn from_parse(file: &str, source: &str, error: &ParseError) -> ScriptError {
    let message = lower_first(&error.err_type().to_string());
    let made =
        ScriptError::new(ErrorKind::Syntax, file, error.position().into(), message).with_source(source);
    match parse_hint(error.err_type()) {
        Some(hint) => made.with_hint(hint),
        None => made,
    }
}

fn parse_hint(error: &ParseErrorType) -> Option<String> {
    match error {
        ParseErrorType::Reserved(word) | ParseErrorType::BadInput(LexError::ImproperSymbol(word, _)) => {
            reserved_hint(word)
        }
        ParseErrorType::ExprTooDeep => Some("split the expression with `let`".to_owned()),
        ParseErrorType::TooManyFunctions => Some("split the script in two".to_owned()),
        _ => None,
    }
}

fn reserved_hint(word: &str) -> Option<String> {
    let hint = match word {
        "null" | "nil" | "void" => "nothing is written `()`".to_owned(),
        "===" => "write `==`".to_owned(),
        "!==" => "write `!=`".to_owned(),
        "++" => "write `+= 1`".to_owned(),
        "--" => "write `-= 1`".to_owned(),
        "var" => "write `let`".to_owned(),
        "print" | "debug" => "scripts have no output; the run's trace shows every value".to_owned(),
        "eval" | "import" | "export" => {
            "a script stands alone: what it runs must be in its own text".to_owned()
        }
        "Fn" | "curry" => "write a closure, such as `|x| x + 1`".to_owned(),
        "this" => "the event is the function's parameter".to_owned(),
        _ if word.chars().all(|c| c.is_alphanumeric() || c == '_') && !word.is_empty() => {
            format!(
                "the language keeps the word `{word}` for itself: name the variable `{word}_`, \
                 write a field as `[\"{word}\"]`"
            )
        }
        _ => return None,
    };
    Some(hint)
}

pub(crate) fn from_runtime(script: &Script, error: &EvalAltResult) -> ScriptError {
    let inner = error.unwrap_inner();
    let at = if inner.position().is_none() {
        error.position()
    } else {
        inner.position()
    };
    let (kind, message, hint) = describe(inner);
    let made = script.error(kind, at.into(), message);
    match hint {
        Some(hint) => made.with_hint(hint),
        None => made,
    }
}

type Described = (ErrorKind, String, Option<String>);

fn describe(error: &EvalAltResult) -> Described {
    use EvalAltResult as E;
    let runtime =
        |message: String, hint: Option<&str>| (ErrorKind::Runtime, message, hint.map(str::to_owned));
    match error {
        E::ErrorTooManyOperations(_) => (
            ErrorKind::Operations,
            "stopped: too many operations".to_owned(),
            None,
        ),
        E::ErrorStackOverflow(_) => {
            let hint = "does a function call itself without end?".to_owned();
            (
                ErrorKind::Depth,
                "stopped: calls nest too deep".to_owned(),
                Some(hint),
            )
        }
        E::ErrorTooManyVariables(_) => (ErrorKind::Memory, "stopped: too many variables".to_owned(), None),
        E::ErrorDataTooLarge(what, _) => (
            ErrorKind::Memory,
            format!("stopped: {} grew beyond its limit", lower_first(what)),
            None,
        ),
        E::ErrorTerminated(..) => (ErrorKind::Stopped, "stopped".to_owned(), None),
        E::ErrorRuntime(value, _) if value.is_map() => {
            let words = crate::value::to_json(value).map_or_else(|e| e, |json| json.to_string());
            runtime(words, None)
        }
        E::ErrorRuntime(value, _) if value.is_unit() => runtime("the script threw an error".to_owned(), None),
        E::ErrorRuntime(value, _) => runtime(value.to_string(), None),
        E::ErrorFunctionNotFound(signature, _) => missing_function(signature),
        E::ErrorVariableNotFound(name, _) => runtime(
            format!("there is no variable `{name}` here"),
            Some("functions see their parameters, their own variables and the constants of the script"),
        ),
        E::ErrorDotExpr(text, _) if text.contains("'()'") => runtime(
            "a field of a missing value was read".to_owned(),
            Some("what stands before the dot is `()`: read on with `?.`, or compare with `()` first"),
        ),
        E::ErrorIndexingType(text, _) if text.starts_with("()") => runtime(
            "an element of a missing value was read".to_owned(),
            Some("what stands before the bracket is `()`: read on with `?[`, or compare with `()` first"),
        ),
        E::ErrorAssignmentToConstant(..) | E::ErrorNonPureMethodCallOnConstant(..) => runtime(
            lower_first(&plain(error)),
            Some("constants and the event can't be changed; change a copy: `let mine = ev;`"),
        ),
        E::ErrorDataRace(..) => runtime(
            lower_first(&plain(error)),
            Some(
                "a closure can't use the array or map on which it is called; give it a copy: `let copy = list;`",
            ),
        ),
        other => runtime(lower_first(&plain(other)), None),
    }
}

fn missing_function(signature: &str) -> Described {
    let name = signature.split([' ', '(']).next().unwrap_or(signature);
    let types = signature
        .split_once('(')
        .map_or("", |(_, types)| types.trim_end_matches(')'));
    let message = if types.is_empty() {
        format!("there is no function `{name}()`")
    } else {
        format!("`{name}` can't be used with ({})", plain_types(types))
    };
    let hint = types
        .split(", ")
        .any(|word| word == "()" || word == "(")
        .then(|| "one of the values is missing, `()`: was a field or a variable empty?".to_owned());
    (ErrorKind::Runtime, message, hint)
}

fn plain_types(types: &str) -> String {
    let words =
        types.split(", ").map(
            |word| match word.trim_start_matches("&mut ").trim_start_matches('&') {
                "()" | "(" => "nothing",
                "i64" => "number",
                "f64" => "float",
                "str" | "ImmutableString" | "String" => "string",
                "array" | "Array" => "array",
                "map" | "Map" => "map",
                other => other,
            },
        );
    words.collect::<Vec<_>>().join(", ")
}

/// The interpreter's words without the place, which the error has in a field of its own.
fn plain(error: &EvalAltResult) -> String {
    let text = error.to_string();
    match text.rfind(" (line ") {
        Some(cut) => text[..cut].to_owned(),
        None => text,
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
