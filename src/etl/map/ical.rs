//! A calendar component (RFC 5545): a VEVENT is an Event, a VTODO a Task.
//!
//! Invariant: a component is found again by its UID, a changed occurrence by UID and RECURRENCE-ID. A recurrence is kept as
//! its rule's text and never expanded here. Begin with [`map`].

mod moment;
mod people;
mod rule;
mod values;
mod zones;

use calcard::Entry;
use calcard::icalendar::{
    ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarParameterName, ICalendarProperty,
    ICalendarValue,
};
use serde_json::{Map, Value};

use super::alarm::{Ends, reminders};
use super::{Hints, Meaning, identified, set, text};
use crate::revision::Stamp;
use moment::{Moment, Whose, end, moment};
use rule::Rules;
use values::{categories, first, geo, number, related, times, word};
use zones::Zones;

pub(super) use moment::local;

const COMPONENT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How much of its series a changed occurrence speaks for, beyond itself.
pub(crate) const RANGE: &str = "x_recurrence_range";

/// What the components of a calendar have in common.
struct Reader<'a> {
    calendar: &'a ICalendar,
    clocks: Whose<'a>,
    rules: Rules,
}

pub(super) fn map(body: &[u8], hints: &Hints) -> Result<Meaning, String> {
    if body.len() > COMPONENT_BYTES_MAX {
        return Err(format!(
            "a calendar component has at most {COMPONENT_BYTES_MAX} bytes"
        ));
    }
    let source = text::decoded(body);
    let Entry::ICalendar(calendar) = calcard::Parser::new(&source).entry() else {
        return Err("this is no calendar".to_owned());
    };
    let zones = Zones::of(&calendar, hints.zone);
    let reader = Reader {
        calendar: &calendar,
        clocks: Whose {
            zones: &zones,
            owner: hints.zone,
        },
        rules: Rules::of(&source, &calendar),
    };
    let (mut meaning, mut count) = (Meaning::default(), 0);
    for component in &calendar.components {
        let is_event = component.component_type == ICalendarComponentType::VEvent;
        if !is_event && component.component_type != ICalendarComponentType::VTodo {
            continue;
        }
        if meaning.entities.is_empty() {
            meaning.stamp = reader.stamp(component);
        }
        let rule = reader.rules.nth(count);
        count += 1;
        match is_event {
            true => reader.event(component, rule, &mut meaning)?,
            false => reader.task(component, rule, &mut meaning)?,
        }
    }
    if meaning.entities.is_empty() {
        return Err(nothing(&calendar));
    }
    Ok(meaning)
}

impl Reader<'_> {
    fn stamp(&self, component: &ICalendarComponent) -> Option<Stamp> {
        let sequence = component.properties(&ICalendarProperty::Sequence).next();
        let sequence = sequence.and_then(|entry| match entry.values.first()? {
            ICalendarValue::Integer(number) => Some(*number),
            other => other.as_text()?.trim().parse().ok(),
        });
        let changed = moment(component, &ICalendarProperty::LastModified, &self.clocks)
            .or_else(|| moment(component, &ICalendarProperty::Dtstamp, &self.clocks));
        let at = changed.and_then(|one| one.at);
        (sequence.is_some() || at.is_some()).then_some(Stamp { sequence, at })
    }

    /// A time that a component can't be understood without, if it names one.
    fn time(
        &self,
        component: &ICalendarComponent,
        name: &ICalendarProperty,
    ) -> Result<Option<Moment>, String> {
        let time = moment(component, name, &self.clocks);
        match time.is_none() && component.property(name).is_some() {
            true => Err(format!("its {} is no time", name.as_str())),
            false => Ok(time),
        }
    }

    fn event(
        &self,
        component: &ICalendarComponent,
        rule: Option<&str>,
        meaning: &mut Meaning,
    ) -> Result<(), String> {
        let start = self.time(component, &ICalendarProperty::Dtstart)?;
        let Some((mut entity, recurrence_id)) = component_entity("Event", component) else {
            return Ok(());
        };
        let props = &mut entity.props;
        let mut problems = self.common(component, rule, props);
        set(props, "recurrence_id", recurrence_id);
        if moves_the_rest(component) {
            set(props, RANGE, Some("this-and-future"));
            let problem = "recurrence_id: it changes this occurrence and all later ones of its series; only this one is \
                changed here";
            problems.push(problem.to_owned());
        }
        if let Some(start) = start {
            entity.starts_at = start.at;
            problems.extend(self.lasting(component, &start, props));
        }
        if let Some((latitude, longitude)) = geo(component) {
            set(props, "latitude", Some(latitude));
            set(props, "longitude", Some(longitude));
        }
        set(props, "status", word(component, &ICalendarProperty::Status));
        let location = first(component, &ICalendarProperty::Location).and_then(|one| text::line(&one, 1_000));
        set(props, "location", location.clone());
        people::read(component, props);
        set(props, "x_problems", some(problems));
        if meaning.entities.is_empty() {
            meaning.place = location;
        }
        meaning.entities.push(entity);
        Ok(())
    }

    /// When an event begins and ends, and its reminders, which count from that. Gives what is wrong with its end.
    fn lasting(
        &self,
        component: &ICalendarComponent,
        start: &Moment,
        props: &mut Map<String, Value>,
    ) -> Option<String> {
        set(props, "start_at", Some(start.said.clone()));
        set(props, "all_day", start.is_day.then_some(true));
        set(props, "time_zone", start.zone.clone());
        let said = end(component, &ICalendarProperty::Dtend, Some(start), &self.clocks);
        let problem = match &said {
            None if component.property(&ICalendarProperty::Dtend).is_some() => {
                Some("its DTEND is no time and left out")
            }
            Some(end) if end.at < start.at => Some("ends_at: it ends before it begins; its end is left out"),
            _ => None,
        };
        let end = said.filter(|_| problem.is_none());
        let ends = Ends {
            start: start.at,
            end: end.as_ref().and_then(|end| end.at),
            from_end: false,
        };
        set(props, "ends_at", end.map(|end| end.said));
        set(
            props,
            "reminders",
            some(reminders(self.calendar, component, ends)),
        );
        problem.map(ToOwned::to_owned)
    }

    fn task(
        &self,
        component: &ICalendarComponent,
        rule: Option<&str>,
        meaning: &mut Meaning,
    ) -> Result<(), String> {
        let start = self.time(component, &ICalendarProperty::Dtstart)?;
        self.time(component, &ICalendarProperty::Due)?;
        let Some((mut entity, _)) = component_entity("Task", component) else {
            return Ok(());
        };
        let props = &mut entity.props;
        let mut problems = self.common(component, rule, props);
        let completed = moment(component, &ICalendarProperty::Completed, &self.clocks);
        set(props, "status", Some(task_status(component, completed.is_some())));
        set(props, "completed_at", completed.map(|one| one.said));
        let due = end(component, &ICalendarProperty::Due, start.as_ref(), &self.clocks);
        if start
            .as_ref()
            .zip(due.as_ref())
            .is_some_and(|(start, due)| due.at < start.at)
        {
            problems.push("due_at: it is due before it begins".to_owned());
        }
        // A series recurs by the clock of its start.
        let mut clocks = start.iter().chain(&due);
        let zone = clocks.find_map(|one| one.zone.clone());
        set(props, "time_zone", zone);
        let ends = Ends {
            start: start.as_ref().and_then(|one| one.at),
            end: due.as_ref().and_then(|one| one.at),
            from_end: true,
        };
        set(
            props,
            "reminders",
            some(reminders(self.calendar, component, ends)),
        );
        // A series has to begin somewhere: that of a task without a start begins when it is due.
        let is_series = props.contains_key("recurrence");
        let start =
            start.filter(|start| !(is_series && due.as_ref().is_some_and(|due| due.said == start.said)));
        set(props, "due_at", due.map(|one| one.said));
        if let Some(start) = start {
            entity.starts_at = start.at;
            set(props, "start_at", Some(start.said));
        }
        set(
            props,
            "priority",
            number(component, &ICalendarProperty::Priority, 0..=9),
        );
        let percent = number(component, &ICalendarProperty::PercentComplete, 0..=100);
        set(props, "percent", percent);
        set(props, "x_problems", some(problems));
        meaning.entities.push(entity);
        Ok(())
    }

    /// What events and tasks have in common. Gives what is kept and not as it was meant.
    fn common(
        &self,
        component: &ICalendarComponent,
        rule: Option<&str>,
        props: &mut Map<String, Value>,
    ) -> Vec<String> {
        let mut problems = Vec::new();
        let summary = first(component, &ICalendarProperty::Summary).and_then(|one| text::line(&one, 512));
        set(props, "name", summary);
        let description =
            first(component, &ICalendarProperty::Description).and_then(|one| text::block(&one, 16_000));
        set(props, "description", description);
        let url = first(component, &ICalendarProperty::Url).and_then(|one| text::url(&one));
        set(props, "url", url);
        problems.extend(rule.and_then(rule::problem));
        set(props, "recurrence", rule);
        for (prop, name) in [
            ("recurrence_exceptions", &ICalendarProperty::Exdate),
            ("recurrence_dates", &ICalendarProperty::Rdate),
        ] {
            set(props, prop, some(times(component, name)));
        }
        set(props, "categories", some(categories(component)));
        let related = related(component);
        set(props, "related_to", (!related.is_empty()).then_some(related));
        problems.extend(self.unknown_zone(component));
        problems
    }

    /// A zone that is none of the world's, and that the calendar doesn't describe: its times are read by no zone's clock.
    fn unknown_zone(&self, component: &ICalendarComponent) -> Option<String> {
        let named = [
            ICalendarProperty::Dtstart,
            ICalendarProperty::Due,
            ICalendarProperty::Dtend,
        ];
        let named = named.iter().filter_map(|name| component.property(name)?.tz_id());
        let mut unknown = named.filter(|name| self.clocks.zones.get(name).is_none());
        let unknown = text::line(unknown.next()?, 64)?;
        Some(format!(
            "time_zone: nobody says how the clocks of `{unknown}` run; its times are read by the owner's"
        ))
    }
}

/// RFC 5545, 3.2.13: the one value that there is.
fn moves_the_rest(component: &ICalendarComponent) -> bool {
    let entry = component.property(&ICalendarProperty::RecurrenceId);
    entry.is_some_and(|entry| entry.parameter(&ICalendarParameterName::Range).is_some())
}

fn task_status(component: &ICalendarComponent, is_completed: bool) -> String {
    let known = ["needs-action", "in-process", "completed", "cancelled"];
    let status = word(component, &ICalendarProperty::Status);
    status
        .filter(|status| known.contains(&status.as_str()))
        .unwrap_or_else(|| {
            let status = if is_completed { "completed" } else { "needs-action" };
            status.to_owned()
        })
}

fn nothing(calendar: &ICalendar) -> String {
    let has = |kind| calendar.components.iter().any(|one| one.component_type == kind);
    if has(ICalendarComponentType::VJournal) {
        return "a journal entry (VJOURNAL) has no place in the graph yet; it is kept".to_owned();
    }
    if has(ICalendarComponentType::VFreebusy) {
        return "free and busy times (VFREEBUSY) have no place in the graph; they are kept".to_owned();
    }
    if calendar.components.len() > 1 {
        return "the calendar has neither an event nor a task".to_owned();
    }
    "the calendar is empty".to_owned()
}

/// The entity of a component, and of which occurrence it is.
fn component_entity(
    kind: &str,
    component: &ICalendarComponent,
) -> Option<(spine::ports::EntityChange, Option<String>)> {
    let title = first(component, &ICalendarProperty::Summary).and_then(|one| text::title(&one));
    let occurrence = component
        .properties(&ICalendarProperty::RecurrenceId)
        .next()
        .and_then(|entry| local(entry.values.first()?.as_partial_date_time()?));
    let uid = first(component, &ICalendarProperty::Uid).unwrap_or_else(|| {
        let start = component
            .properties(&ICalendarProperty::Dtstart)
            .next()
            .and_then(|entry| local(entry.values.first()?.as_partial_date_time()?));
        text::hash(&[
            kind.as_bytes(),
            title.as_deref().unwrap_or_default().as_bytes(),
            start.unwrap_or_default().as_bytes(),
        ])
    });
    let id = match &occurrence {
        Some(occurrence) => format!("{}#{occurrence}", uid.trim()),
        None => uid,
    };
    let identifier = text::own_id("ical.uid", &id)?;
    Some((identified(kind, title, vec![identifier]), occurrence))
}

/// A list, if it has anything.
fn some(list: Vec<String>) -> Option<Vec<String>> {
    (!list.is_empty()).then_some(list)
}
