//! What single properties of a component say.

use calcard::common::IanaString;
use calcard::icalendar::{
    ICalendarComponent, ICalendarParameterName, ICalendarPeriod, ICalendarProperty, ICalendarValue,
};
use serde_json::{Value, json};

use super::super::text;
use super::moment::local;
use super::people;

const TIMES_MAX: usize = 500;
const WORDS_MAX: usize = 50;

pub(super) fn number(
    component: &ICalendarComponent,
    name: &ICalendarProperty,
    range: std::ops::RangeInclusive<i64>,
) -> Option<i64> {
    let value = component.properties(name).next()?.values.first()?;
    let number = value
        .as_integer()
        .or_else(|| value.as_text()?.trim().parse().ok())?;
    range.contains(&number).then_some(number)
}

pub(super) fn categories(component: &ICalendarComponent) -> Vec<String> {
    let values = component
        .properties(&ICalendarProperty::Categories)
        .flat_map(|entry| &entry.values);
    let mut found: Vec<String> = Vec::new();
    for category in values
        .filter_map(|value| text::line(value.as_text()?, 200))
        .take(WORDS_MAX)
    {
        if !found.contains(&category) {
            found.push(category);
        }
    }
    found
}

/// What else a component speaks of, by its UID: a parent unless it says what else it is to it.
pub(super) fn related(component: &ICalendarComponent) -> Vec<Value> {
    let entries = component
        .properties(&ICalendarProperty::RelatedTo)
        .take(WORDS_MAX);
    let related = entries.filter_map(|entry| {
        let uid = text::line(entry.values.first()?.as_text()?, 500)?;
        let what = people::parameter(entry, &ICalendarParameterName::Reltype);
        Some(json!({ "is": what.unwrap_or_else(|| "parent".to_owned()), "uid": uid }))
    });
    related.collect()
}

/// The times of a property of several, as they are written.
pub(super) fn times(component: &ICalendarComponent, name: &ICalendarProperty) -> Vec<String> {
    let values = component.properties(name).flat_map(|entry| &entry.values);
    let times = values.filter_map(|value| match value {
        ICalendarValue::Period(
            ICalendarPeriod::Range { start, .. } | ICalendarPeriod::Duration { start, .. },
        ) => local(start),
        other => local(other.as_partial_date_time()?),
    });
    times.take(TIMES_MAX).collect()
}

pub(super) fn first(component: &ICalendarComponent, name: &ICalendarProperty) -> Option<String> {
    let value = component.properties(name).next()?.values.first()?;
    let text = value.as_text()?;
    (!text.trim().is_empty()).then(|| text.to_owned())
}

pub(super) fn word(component: &ICalendarComponent, name: &ICalendarProperty) -> Option<String> {
    let value = component.properties(name).next()?.values.first()?;
    let word = match value {
        ICalendarValue::Status(status) => status.as_str(),
        other => other.as_text()?,
    };
    text::line(&word.to_lowercase(), 60)
}

/// GEO: latitude and longitude.
pub(super) fn geo(component: &ICalendarComponent) -> Option<(f64, f64)> {
    let entry = component.properties(&ICalendarProperty::Geo).next()?;
    let number = |at: usize| match entry.values.get(at)? {
        ICalendarValue::Float(number) => Some(*number),
        ICalendarValue::Integer(number) => number.to_string().parse().ok(),
        other => other.as_text()?.trim().parse().ok(),
    };
    let (latitude, longitude): (f64, f64) = (number(0)?, number(1)?);
    let usable = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
    usable.then_some((latitude, longitude))
}
