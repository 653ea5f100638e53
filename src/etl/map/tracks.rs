//! A waypoint, route or track of GPX: a Place, a Document, or an Event that says when it was gone.

use chrono::{DateTime, Utc};
use gpx::{Link, Waypoint};

use super::Meaning;
use super::ground::{self, Point, Words};

pub(super) fn map(body: &[u8]) -> Result<Meaning, String> {
    let file = gpx::read(body).map_err(|_| "this is no GPX".to_owned())?;
    if let Some(waypoint) = file.waypoints.first() {
        let words = Words {
            name: waypoint.name.clone(),
            description: waypoint.description.clone().or_else(|| waypoint.comment.clone()),
            url: url(&waypoint.links),
            category: waypoint.type_.clone().or_else(|| waypoint.symbol.clone()),
            ..Words::default()
        };
        let at = point(waypoint);
        return ground::place(&words, Some((at.latitude, at.longitude)), None);
    }
    if let Some(track) = file.tracks.first() {
        let words = Words {
            name: track.name.clone(),
            description: track.description.clone().or_else(|| track.comment.clone()),
            url: url(&track.links),
            category: track.type_.clone(),
            ..Words::default()
        };
        let pieces = track.segments.iter().map(|piece| points(&piece.points));
        return ground::way(&words, &pieces.collect::<Vec<_>>());
    }
    let route = file.routes.first().ok_or("there is nothing in this GPX")?;
    let words = Words {
        name: route.name.clone(),
        description: route.description.clone().or_else(|| route.comment.clone()),
        url: url(&route.links),
        category: route.type_.clone(),
        ..Words::default()
    };
    ground::way(&words, &[points(&route.points)])
}

fn points(waypoints: &[Waypoint]) -> Vec<Point> {
    waypoints.iter().map(point).collect()
}

fn point(waypoint: &Waypoint) -> Point {
    let at = waypoint.point();
    Point {
        latitude: at.y(),
        longitude: at.x(),
        at: waypoint.time.and_then(time),
    }
}

fn time(time: gpx::Time) -> Option<DateTime<Utc>> {
    let text = time.format().ok()?;
    Some(DateTime::parse_from_rfc3339(&text).ok()?.to_utc())
}

fn url(links: &[Link]) -> Option<String> {
    links.first().map(|link| link.href.clone())
}
