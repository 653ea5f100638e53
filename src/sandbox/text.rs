//! Functions of our own in every script, where the library's are missing, dangerous or surprising.
//!
//! `trim` answers the trimmed text instead of changing its receiver; `replace` answers too, and looks at the
//! size before it builds the result; `parse_json` and `to_json` for what plugins send and receive.

#![expect(
    clippy::needless_pass_by_value,
    reason = "the interpreter passes arguments and context by value"
)]

use rhai::{Dynamic, Engine, EvalAltResult, ImmutableString, NativeCallContext};

use crate::value;

type Answer<T> = Result<T, Box<EvalAltResult>>;

pub(crate) fn register(engine: &mut Engine) {
    engine
        .register_fn("trim", |text: ImmutableString| -> ImmutableString {
            text.trim().into()
        })
        .register_fn("trim_start", |text: ImmutableString| -> ImmutableString {
            text.trim_start().into()
        })
        .register_fn("trim_end", |text: ImmutableString| -> ImmutableString {
            text.trim_end().into()
        })
        .register_fn("replace", replace)
        .register_fn(
            "replace",
            |context: NativeCallContext<'_>, text, from: char, to: char| {
                replace(context, text, from.to_string().into(), to.to_string().into())
            },
        )
        .register_fn(
            "replace",
            |context: NativeCallContext<'_>, text, from: char, to: ImmutableString| {
                replace(context, text, from.to_string().into(), to)
            },
        )
        .register_fn(
            "replace",
            |context: NativeCallContext<'_>, text, from: ImmutableString, to: char| {
                replace(context, text, from, to.to_string().into())
            },
        )
        .register_fn("is_empty", |text: ImmutableString| text.is_empty())
        .register_fn("is_empty", |_nothing: ()| true)
        .register_fn("join", join)
        .register_fn("parse_json", parse_json)
        .register_fn("to_json", to_json);
}

fn replace(
    context: NativeCallContext<'_>,
    text: ImmutableString,
    from: ImmutableString,
    to: ImmutableString,
) -> Answer<ImmutableString> {
    let found = if from.is_empty() {
        text.chars().count() + 1
    } else {
        text.matches(from.as_str()).count()
    };
    let grown = text
        .len()
        .saturating_add(found.saturating_mul(to.len().saturating_sub(from.len())));
    check_size(&context, grown)?;
    Ok(text.replace(from.as_str(), to.as_str()).into())
}

fn join(
    context: NativeCallContext<'_>,
    items: rhai::Array,
    between: ImmutableString,
) -> Answer<ImmutableString> {
    let mut text = String::new();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            text.push_str(&between);
        }
        match item.as_immutable_string_ref() {
            Ok(part) => text.push_str(&part),
            Err(_) => text.push_str(&value::to_json(item)?.to_string()),
        }
        check_size(&context, text.len())?;
    }
    Ok(text.into())
}

fn parse_json(text: ImmutableString) -> Answer<Dynamic> {
    let parsed = serde_json::from_str(&text).map_err(|error| format!("not JSON: {error}"))?;
    Ok(value::from_json(&parsed))
}

fn to_json(context: NativeCallContext<'_>, item: Dynamic) -> Answer<ImmutableString> {
    let text = value::to_json(&item)?.to_string();
    check_size(&context, text.len())?;
    Ok(text.into())
}

fn check_size(context: &NativeCallContext<'_>, bytes: usize) -> Answer<()> {
    if bytes > context.engine().max_string_size() {
        let at = context.call_position();
        return Err(EvalAltResult::ErrorDataTooLarge("Length of string".to_owned(), at).into());
    }
    Ok(())
}
