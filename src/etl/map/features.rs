//! A feature of GeoJSON (RFC 7946): a Place, or a way.

use chrono::{DateTime, Utc};
use geojson::{Feature, GeometryValue, JsonObject, Position};
use serde_json::Value;

use super::Meaning;
use super::ground::{self, Point, Words};
use crate::places::distance_m;

/// The widest circle of a Place.
const RADIUS_MAX_M: f64 = 100_000.0;

pub(super) fn map(body: &[u8]) -> Result<Meaning, String> {
    let unfit = |_: serde_json::Error| "this is no feature of GeoJSON".to_owned();
    let feature: Feature = serde_json::from_slice(body).map_err(unfit)?;
    let said = feature.properties.unwrap_or_default();
    let words = words(&said);
    let Some(geometry) = feature.geometry else {
        return ground::place(&words, None, None);
    };
    match geometry.value {
        GeometryValue::Point { coordinates } => {
            // Exactly 0, 0 is what programs write that know none.
            let at = degrees(&coordinates)?;
            ground::place(&words, (at != (0.0, 0.0)).then_some(at), None)
        }
        GeometryValue::Polygon { coordinates } => area(&words, coordinates.iter().flatten()),
        GeometryValue::MultiPolygon { coordinates } => area(&words, coordinates.iter().flatten().flatten()),
        GeometryValue::LineString { coordinates } => {
            let times = Times::of(&said);
            ground::way(&words, &[line(&coordinates, &times, None)?])
        }
        GeometryValue::MultiLineString { coordinates } => {
            let times = Times::of(&said);
            let pieces = coordinates.iter().enumerate();
            let pieces: Result<Vec<_>, _> = pieces.map(|(at, piece)| line(piece, &times, Some(at))).collect();
            ground::way(&words, &pieces?)
        }
        _ => Err("there is no mapping for this kind of geometry".to_owned()),
    }
}

fn words(said: &JsonObject) -> Words {
    let location = said.get("location").or_else(|| said.get("Location"));
    let inner = location.and_then(Value::as_object);
    let first = |names: &[&str]| {
        let own = names.iter().find_map(|name| said.get(*name)?.as_str());
        let inner = || names.iter().find_map(|name| inner?.get(*name)?.as_str());
        own.or_else(inner).map(ToOwned::to_owned)
    };
    Words {
        name: first(&["name", "Name", "title", "Title", "Business Name"]),
        description: first(&["description", "desc", "Comment", "comment", "cmt"]),
        url: first(&["url", "google_maps_url", "Google Maps URL", "website", "link"]),
        address: first(&["address", "Address"]),
        category: first(&["category", "type", "amenity", "shop", "tourism"]),
    }
}

/// Latitude and longitude; RFC 7946, 3.1.1 has the longitude first.
fn degrees(position: &Position) -> Result<(f64, f64), String> {
    let at = |index: usize| position.as_slice().get(index).copied();
    let (Some(longitude), Some(latitude)) = (at(0), at(1)) else {
        return Err("a point has no coordinates".to_owned());
    };
    let usable = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
    match usable {
        true => Ok((latitude, longitude)),
        false => Err("a point lies beyond 90 degrees north or south or 180 east or west".to_owned()),
    }
}

/// The circle around an area.
fn area<'p>(words: &Words, positions: impl Iterator<Item = &'p Position>) -> Result<Meaning, String> {
    let corners = positions.map(degrees).collect::<Result<Vec<_>, _>>()?;
    let Some(first) = corners.first().copied() else {
        return Err("the area has no corners".to_owned());
    };
    let grown = |((south, west), (north, east)): ((f64, f64), (f64, f64)), (lat, lon): &(f64, f64)| {
        (
            (south.min(*lat), west.min(*lon)),
            (north.max(*lat), east.max(*lon)),
        )
    };
    let ((south, west), (north, east)) = corners.iter().fold((first, first), grown);
    // To a decimetre.
    let between = |one: f64, other: f64| (f64::midpoint(one, other) * 1e6).round() / 1e6;
    let middle = (between(south, north), between(west, east));
    let radius_m = corners
        .iter()
        .map(|corner| distance_m(middle, *corner))
        .fold(1.0, f64::max);
    ground::place(
        words,
        Some(middle),
        Some(radius_m.ceil()).filter(|radius| *radius <= RADIUS_MAX_M),
    )
}

fn line(positions: &[Position], times: &Times, piece: Option<usize>) -> Result<Vec<Point>, String> {
    let points = positions.iter().enumerate().map(|(index, position)| {
        let (latitude, longitude) = degrees(position)?;
        Ok(Point {
            latitude,
            longitude,
            at: times.at(piece, index),
        })
    });
    points.collect()
}

/// When each point was passed, where a program says so (`coordTimes`, or `times` of `coordinateProperties`).
struct Times<'s>(Option<&'s Value>);

impl<'s> Times<'s> {
    fn of(said: &'s JsonObject) -> Self {
        let inner = || said.get("coordinateProperties")?.get("times");
        Self(said.get("coordTimes").or_else(inner))
    }

    fn at(&self, piece: Option<usize>, index: usize) -> Option<DateTime<Utc>> {
        let times = match piece {
            Some(piece) => self.0?.get(piece)?,
            None => self.0?,
        };
        let time = times.get(index)?;
        match time.as_i64() {
            Some(millis) => DateTime::from_timestamp_millis(millis),
            None => Some(DateTime::parse_from_rfc3339(time.as_str()?).ok()?.to_utc()),
        }
    }
}
