//! Who is invited, and what they answered (RFC 5545, ATTENDEE with PARTSTAT and ROLE).

use calcard::common::IanaString;
use calcard::icalendar::{
    ICalendarComponent, ICalendarEntry, ICalendarParameterName, ICalendarParameterValue, ICalendarProperty,
};
use serde_json::{Map, Value, json};

use super::super::{set, text};

const ATTENDEES_MAX: usize = 100;

/// `organizer` and `attendees` are addresses; `attendance` has those that answered or have a part, with status and role in
/// lower case.
pub(super) fn read(component: &ICalendarComponent, props: &mut Map<String, Value>) {
    let mailbox = |entry: &ICalendarEntry| text::email(entry.calendar_address()?);
    let organizer = component
        .property(&ICalendarProperty::Organizer)
        .and_then(mailbox);
    set(props, "organizer", organizer);
    let (mut attendees, mut attendance) = (Vec::new(), Vec::new());
    for entry in component
        .properties(&ICalendarProperty::Attendee)
        .take(ATTENDEES_MAX)
    {
        let Some(email) = mailbox(entry) else { continue };
        let status = parameter(entry, &ICalendarParameterName::Partstat);
        let role = parameter(entry, &ICalendarParameterName::Role);
        if status.is_some() || role.is_some() {
            let mut one = Map::new();
            set(&mut one, "email", Some(email.clone()));
            set(&mut one, "status", status);
            set(&mut one, "role", role);
            attendance.push(Value::Object(one));
        }
        attendees.push(email);
    }
    set(
        props,
        "attendees",
        (!attendees.is_empty()).then(|| json!(attendees)),
    );
    set(
        props,
        "attendance",
        (!attendance.is_empty()).then_some(attendance),
    );
}

/// A parameter's word, in lower case.
pub(super) fn parameter(entry: &ICalendarEntry, name: &ICalendarParameterName) -> Option<String> {
    let word = match entry.parameter(name)? {
        ICalendarParameterValue::Partstat(status) => status.as_str(),
        ICalendarParameterValue::Role(role) => role.as_str(),
        ICalendarParameterValue::Reltype(kind) => kind.as_str(),
        ICalendarParameterValue::Text(text) => text,
        _ => return None,
    };
    text::line(&word.to_lowercase(), 60)
}
