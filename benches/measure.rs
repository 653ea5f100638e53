//! A measured value beside its target, and the table of all.

use std::fmt;
use std::time::Duration;

/// What was measured, and how it came out.
#[derive(Debug, Clone)]
pub(crate) struct Measure {
    what: String,
    value: f64,
    unit: &'static str,
    /// Said beside the value, such as the spread.
    note: String,
    target: Option<Target>,
}

#[derive(Debug, Clone, Copy)]
enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Measure {
    pub(crate) fn new(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            what: what.into(),
            value,
            unit,
            note: String::new(),
            target: None,
        }
    }

    pub(crate) fn per_second(what: impl Into<String>, value: f64) -> Self {
        Self::new(what, value, "/s")
    }

    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// Says more about the value.
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    pub(crate) fn at_least(mut self, target: f64) -> Self {
        self.target = Some(Target::AtLeast(target));
        self
    }

    pub(crate) fn at_most(mut self, target: f64) -> Self {
        self.target = Some(Target::AtMost(target));
        self
    }

    fn shown(&self) -> String {
        let note = if self.note.is_empty() {
            String::new()
        } else {
            format!(" ({})", self.note)
        };
        format!("{}{note}", number(self.value, self.unit))
    }

    fn target(&self) -> String {
        match self.target {
            None => "—".to_owned(),
            Some(Target::AtLeast(least)) => format!("≥ {}", number(least, self.unit)),
            Some(Target::AtMost(most)) => format!("≤ {}", number(most, self.unit)),
        }
    }

    fn verdict(&self) -> &'static str {
        let met = match self.target {
            None => return "—",
            Some(Target::AtLeast(least)) => self.value >= least,
            Some(Target::AtMost(most)) => self.value <= most,
        };
        if met { "met" } else { "**missed**" }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}, target {}: {}",
            self.what,
            self.shown(),
            self.target(),
            self.verdict()
        )
    }
}

/// All measures, as a table in Markdown.
pub(crate) fn table(measures: &[Measure]) -> String {
    let rows = measures.iter().map(|measure| {
        format!(
            "| {} | {} | {} | {} |\n",
            measure.what,
            measure.shown(),
            measure.target(),
            measure.verdict()
        )
    });
    let head = "| Measure | Value | Target | |\n|---|---|---|---|\n".to_owned();
    rows.fold(head, |table, row| table + row.as_str())
}

/// Three digits of what is small, groups of three of what is large.
fn number(value: f64, unit: &str) -> String {
    let space = if unit.starts_with('/') || unit.is_empty() {
        ""
    } else {
        " "
    };
    if value.abs() < 100.0 {
        return format!("{value:.2}{space}{unit}");
    }
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{grouped}{space}{unit}")
}

/// Smallest, middle and largest of some values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Of at least one value.
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self {
            least: values[0],
            median: values[values.len() / 2],
            most: values[values.len() - 1],
        }
    }

    /// The whole range, in a unit.
    pub(crate) fn note(&self, unit: &str) -> String {
        format!("{} to {}", number(self.least, ""), number(self.most, unit))
    }
}

pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The value below which so much of all lies; sorts them.
pub(crate) fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let index = ((values.len() as f64 * share).ceil() as usize).clamp(1, values.len()) - 1;
    values[index]
}
