//! Geofences: in which places somebody is, given where they were and one position with its accuracy.
//!
//! Invariant: pure. A reading that could mean either changes nothing (hysteresis), so that a phone at the fence or
//! with poor reception doesn't flicker between places.
//! Begin with [`locate`].

use contracts::EntityId;

/// Mean radius of the earth, in metres (IUGG R1).
const EARTH_RADIUS_M: f64 = 6_371_008.8;
/// What is assumed of a device that doesn't state its accuracy, in metres.
const ACCURACY_ASSUMED_M: f64 = 50.0;
/// No device is better than this, in metres; some report 0.
const ACCURACY_BEST_M: f64 = 1.0;
/// A circle wider than this, in metres, comes from a radio cell, and says nothing about places smaller than itself.
const ACCURACY_HOPELESS_M: f64 = 1_000.0;
/// How far beyond the fence one must clearly be to have left: this share of the radius, within the bounds below.
const LEAVE_MARGIN: f64 = 0.15;
const LEAVE_MARGIN_M: std::ops::RangeInclusive<f64> = 20.0..=200.0;

/// A place with its circle.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Geofence {
    pub(crate) id: EntityId,
    pub(crate) name: String,
    pub(crate) latitude: f64,
    pub(crate) longitude: f64,
    pub(crate) radius_m: f64,
}

/// A position that a device reported.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Fix {
    pub(crate) latitude: f64,
    pub(crate) longitude: f64,
    /// Radius of the circle that holds the true position in 68 of 100 cases, if the device says.
    pub(crate) accuracy_m: Option<f64>,
}

impl Fix {
    fn accuracy_m(&self) -> f64 {
        self.accuracy_m.unwrap_or(ACCURACY_ASSUMED_M).max(ACCURACY_BEST_M)
    }
}

/// What one position says about one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nearness {
    Inside,
    Outside,
    /// At the fence, or too inaccurate to tell.
    Unclear,
}

/// Where somebody is after a position.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Located {
    /// All places that they are in, smallest first: the first one is what people would say.
    pub(crate) places: Vec<EntityId>,
    /// True if the position decides about each place; only then is the first one of all to be believed.
    pub(crate) clear: bool,
    /// How sure that is, 0 to 1.
    pub(crate) confidence: f64,
}

/// Great-circle distance in metres, by the haversine formula.
pub(crate) fn distance_m(from: (f64, f64), to: (f64, f64)) -> f64 {
    let (lat_a, lat_b) = (from.0.to_radians(), to.0.to_radians());
    let (d_lat, d_lon) = (lat_b - lat_a, (to.1 - from.1).to_radians());
    let h = (d_lat / 2.0).sin().powi(2) + lat_a.cos() * lat_b.cos() * (d_lon / 2.0).sin().powi(2);
    2.0 * EARTH_RADIUS_M * h.clamp(0.0, 1.0).sqrt().asin()
}

fn leave_margin_m(radius_m: f64) -> f64 {
    (radius_m * LEAVE_MARGIN).clamp(*LEAVE_MARGIN_M.start(), *LEAVE_MARGIN_M.end())
}

/// What a position at `distance_m` from the centre says.
pub(crate) fn nearness(distance_m: f64, accuracy_m: f64, radius_m: f64) -> Nearness {
    if accuracy_m > radius_m.max(ACCURACY_HOPELESS_M) {
        return Nearness::Unclear;
    }
    // Half the radius at most is asked for: indoors the accuracy is often worse than the place is wide.
    if accuracy_m <= radius_m * 2.0 && distance_m + accuracy_m.min(radius_m / 2.0) <= radius_m {
        Nearness::Inside
    } else if distance_m - accuracy_m > radius_m + leave_margin_m(radius_m) {
        Nearness::Outside
    } else {
        Nearness::Unclear
    }
}

/// Decides in which places somebody is, who was in `before`.
pub(crate) fn locate(before: &[EntityId], fix: &Fix, fences: &[Geofence]) -> Located {
    let accuracy_m = fix.accuracy_m();
    let mut judged: Vec<_> = fences
        .iter()
        .map(|fence| {
            let distance = distance_m((fix.latitude, fix.longitude), (fence.latitude, fence.longitude));
            (fence, distance, nearness(distance, accuracy_m, fence.radius_m))
        })
        .collect();
    judged.sort_by(|(a, near, _), (b, far, _)| a.radius_m.total_cmp(&b.radius_m).then(near.total_cmp(far)));
    let somewhere = judged
        .iter()
        .any(|(_, _, nearness)| *nearness == Nearness::Inside);
    let stays = |fence: &Geofence, distance: f64| {
        // Clearly in another place, only those are kept that the position itself lies in: one is not in two towns.
        before.contains(&fence.id)
            && (!somewhere || distance <= fence.radius_m + leave_margin_m(fence.radius_m))
    };
    let inside: Vec<_> = judged
        .iter()
        .filter(|(fence, distance, nearness)| match nearness {
            Nearness::Inside => true,
            Nearness::Unclear => stays(fence, *distance),
            Nearness::Outside => false,
        })
        .collect();
    let depth_m = match inside.first() {
        Some((fence, distance, _)) => fence.radius_m - distance,
        None => judged
            .iter()
            .map(|(fence, distance, _)| distance - fence.radius_m)
            .fold(f64::MAX, f64::min),
    };
    Located {
        places: inside.iter().map(|(fence, ..)| fence.id).collect(),
        clear: judged.iter().all(|(.., nearness)| *nearness != Nearness::Unclear),
        confidence: confidence(depth_m, accuracy_m),
    }
}

/// How sure it is that the true position lies on the same side of a fence that is `depth_m` away, taking the error as
/// a two-dimensional normal one with 68 of 100 cases within `accuracy_m`. Never below a half: the position itself
/// lies on that side, or nothing would have been decided.
fn confidence(depth_m: f64, accuracy_m: f64) -> f64 {
    let widths = depth_m.max(0.0) / accuracy_m;
    let sure = 1.0 - 0.32_f64.powf(widths * widths);
    (0.5 + sure / 2.0).min(0.99)
}

#[cfg(test)]
mod tests;
