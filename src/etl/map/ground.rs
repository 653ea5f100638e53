//! Where things are: places that a file names, and ways that somebody went or means to go.
//!
//! Invariant: a place of a file is no geofence (`geofence: false`): `me.place` speaks of those alone whose circle the
//! owner drew. Pure.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use spine::ports::EntityChange;

use super::{Meaning, identified, set, text};
use crate::places::distance_m;

/// Points of a way that are kept as a property; all of them are in the record.
const SHOWN_MAX: usize = 500;
const NAME_CHARS_MAX: usize = 500;

/// What a file says of a place or a way besides where it is.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) url: Option<String>,
    pub(super) address: Option<String>,
    /// Such as `Restaurant` or `hiking`.
    pub(super) category: Option<String>,
}

impl Words {
    fn name(&self) -> Option<String> {
        text::line(self.name.as_deref()?, NAME_CHARS_MAX)
    }

    fn said(&self, entity: &mut EntityChange) {
        let description = self
            .description
            .as_deref()
            .and_then(|one| text::block(one, 16_000));
        let category = self.category.as_deref().and_then(|one| text::line(one, 200));
        let props = &mut entity.props;
        set(props, "name", self.name());
        set(props, "description", description);
        set(props, "url", self.url.as_deref().and_then(text::url));
        set(props, "x_category", category);
    }
}

/// A point of a way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) latitude: f64,
    pub(super) longitude: f64,
    pub(super) at: Option<DateTime<Utc>>,
}

impl Point {
    fn degrees(self) -> (f64, f64) {
        (self.latitude, self.longitude)
    }
}

/// A place, known by its name and where it is.
pub(super) fn place(words: &Words, at: Option<(f64, f64)>, radius_m: Option<f64>) -> Result<Meaning, String> {
    let spot = at.map(|(latitude, longitude)| format!("{latitude:.5},{longitude:.5}"));
    let name = words.name();
    let title = name.clone().or_else(|| spot.clone());
    if title.is_none() {
        return Err("the place has neither a name nor coordinates".to_owned());
    }
    let id = format!("{}@{}", name.unwrap_or_default(), spot.unwrap_or_default());
    let mut place = identified(
        "Place",
        title,
        text::own_id("file.place", &id).into_iter().collect(),
    );
    words.said(&mut place);
    let address = words.address.as_deref().and_then(|one| text::line(one, 1_000));
    let props = &mut place.props;
    set(props, "address", address);
    set(props, "latitude", at.map(|(latitude, _)| latitude));
    set(props, "longitude", at.map(|(_, longitude)| longitude));
    set(props, "radius_m", radius_m);
    set(props, "geofence", Some(false));
    Ok(only(place))
}

/// A way in its pieces: an Event if it says when it was gone, else a Document.
pub(super) fn way(words: &Words, pieces: &[Vec<Point>]) -> Result<Meaning, String> {
    let points: Vec<Point> = pieces.iter().flatten().copied().collect();
    let Some(first) = points.first() else {
        return Err("the way has no points".to_owned());
    };
    let times = || points.iter().filter_map(|point| point.at);
    let began = times().min();
    let title = words.name().or_else(|| Some("Track".to_owned()));
    let spot = format!("{:.5},{:.5}", first.latitude, first.longitude);
    let id = match began {
        Some(at) => format!("{}@{}", at.timestamp(), spot),
        None => format!("{}@{spot}", words.name().unwrap_or_default()),
    };
    let kind = if began.is_some() { "Event" } else { "Document" };
    let mut way = identified(kind, title, text::own_id("file.track", &id).into_iter().collect());
    words.said(&mut way);
    way.starts_at = began;
    let props = &mut way.props;
    if let Some(began) = began {
        set(props, "start_at", Some(said(began)));
        set(props, "ends_at", times().max().map(said));
        // Where it began: it is related to the place of the owner's in whose circle that lies.
        set(props, "latitude", Some(first.latitude));
        set(props, "longitude", Some(first.longitude));
    }
    set(props, "x_distance_m", Some(length_m(pieces).round()));
    set(props, "x_track", Some(shown(&points)));
    Ok(only(way))
}

fn only(entity: EntityChange) -> Meaning {
    Meaning {
        entities: vec![entity],
        ..Meaning::default()
    }
}

fn said(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// The way on the ground; nothing between one piece and the next.
fn length_m(pieces: &[Vec<Point>]) -> f64 {
    let step = |pair: &[Point]| match pair {
        [from, to] => distance_m(from.degrees(), to.degrees()),
        _ => 0.0,
    };
    pieces.iter().flat_map(|piece| piece.windows(2)).map(step).sum()
}

/// As many points as are shown, evenly, to about a metre, `[latitude, longitude]`.
fn shown(points: &[Point]) -> Vec<Value> {
    let step = points.len().div_ceil(SHOWN_MAX).max(1);
    let rounded = |degrees: f64| (degrees * 1e5).round() / 1e5;
    let last = points.len() - 1;
    let kept = points.iter().enumerate();
    kept.filter(|(at, _)| at % step == 0 || *at == last)
        .map(|(_, point)| json!([rounded(point.latitude), rounded(point.longitude)]))
        .collect()
}
