//! Facts, and what is decided about a reading before it may change one.
//!
//! Invariant: pure.

use chrono::{DateTime, TimeDelta, Utc};
use contracts::{EntityId, Position};
use serde::Serialize;
use serde_json::Value;
use spine::ports::{Entity, Fact};

use crate::geofence::Geofence;

/// The title of the smallest place that the owner is in, or null in none of them.
pub(crate) const ME_PLACE: &str = "me.place";
/// Percent of battery left in the device that tells where the owner is.
pub(crate) const PHONE_BATTERY: &str = "phone.battery";

/// Who speaks when the owner does.
pub(crate) const OWNER: &str = "owner";
/// True while a call runs.
pub(crate) const CALL_ACTIVE: &str = "call.active";

/// A reading this far ahead of the hub's clock comes from a clock that is wrong.
pub(crate) const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(5);
/// Radius of a place that doesn't state one, in metres.
const RADIUS_DEFAULT_M: f64 = 100.0;
/// Nearly half of the earth's circumference: nobody's place is wider.
const RADIUS_MAX_M: f64 = 20_000_000.0;

/// A fact: what the present is (or was, as of a position of the log).
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub(crate) struct KeptFact {
    /// Such as `me.place`.
    pub(crate) key: String,
    /// Such as `"Work"`; null if it is known that there is none, or if it is unknown (see `expired_at`).
    pub(crate) value: Value,
    /// What it is measured in, such as `°C`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unit: Option<String>,
    /// Since when it holds, in the world.
    pub(crate) since: DateTime<Utc>,
    /// What told it, such as `device/…`.
    pub(crate) source: String,
    /// 0 to 1, when it changed to this value; 0 if it is unknown.
    pub(crate) confidence: f64,
    /// When it was last seen to hold.
    pub(crate) observed_at: DateTime<Utc>,
    /// From which position of the log on it holds.
    pub(crate) position: Position,
    /// From when on it will be unknown, unless it is confirmed; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<DateTime<Utc>>,
    /// Since when it is unknown; absent: it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expired_at: Option<DateTime<Utc>>,
    /// True once the log tells that it expired.
    #[serde(skip)]
    pub(crate) expiry_told: bool,
    /// True for the owner's word that it is unknown.
    #[serde(skip)]
    pub(crate) retracted: bool,
}

impl KeptFact {
    /// True if it is known at a moment.
    pub(crate) fn holds_at(&self, moment: DateTime<Utc>) -> bool {
        !self.retracted && self.expires_at.is_none_or(|expires| moment < expires)
    }

    /// As it reads at a moment: unknown if it had expired by then, or was retracted.
    pub(crate) fn read_at(mut self, moment: DateTime<Utc>) -> Self {
        if !self.holds_at(moment) {
            self.expired_at = if self.retracted {
                Some(self.since)
            } else {
                self.expires_at
            };
            self.value = Value::Null;
            self.confidence = 0.0;
        }
        self
    }
}

/// A value that a fact had.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub(crate) struct PastFact {
    /// Such as `me.place`.
    pub(crate) key: String,
    /// Such as `"Work"`.
    pub(crate) value: Value,
    /// What it is measured in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unit: Option<String>,
    /// Since when it held.
    pub(crate) since: DateTime<Utc>,
    /// Until when; absent: it holds still.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<DateTime<Utc>>,
    /// What told it.
    pub(crate) source: String,
    /// 0 to 1; 0 where the owner said that it was unknown.
    pub(crate) confidence: f64,
    /// When it was last seen to hold.
    pub(crate) observed_at: DateTime<Utc>,
    /// From which position of the log on it held.
    pub(crate) position: Position,
}

impl From<KeptFact> for Fact {
    fn from(kept: KeptFact) -> Self {
        let KeptFact {
            key,
            value,
            since,
            source,
            confidence,
            position,
            ..
        } = kept;
        Self {
            key,
            value,
            since,
            source,
            confidence,
            position,
        }
    }
}

/// What the fold remembers between two readings.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Whereabouts {
    /// The places that the owner is in, nested ones too.
    pub(crate) places: Vec<EntityId>,
    /// When the newest position used was taken.
    pub(crate) fix_at: Option<DateTime<Utc>>,
    /// When the newest battery reading used was taken.
    pub(crate) battery_at: Option<DateTime<Utc>>,
    /// Up to which position of the log events were folded.
    pub(crate) folded_to: Position,
}

/// True if a reading of `taken_at` may still say what is now: it is newer than what was used before, and not from
/// the future as the hub saw it when it was `recorded_at`.
pub(crate) fn is_news(
    newest: Option<DateTime<Utc>>,
    taken_at: DateTime<Utc>,
    recorded_at: DateTime<Utc>,
) -> bool {
    taken_at <= recorded_at + CLOCK_SKEW && newest.is_none_or(|newest| taken_at > newest)
}

/// True if this device tells where its owner is. Devices with the property `primary: true` do; while none has it,
/// each one does, and the newest reading of all counts.
pub(crate) fn tells_where_i_am(devices: &[Entity], device: EntityId) -> bool {
    let primary = |device: &Entity| device.props.get("primary") == Some(&Value::Bool(true));
    !devices.iter().any(primary) || devices.iter().any(|each| each.id == device && primary(each))
}

/// The circle of a Place; `None` if it has no usable position, or is none to be in (`geofence: false`).
pub(crate) fn geofence(place: &Entity) -> Option<Geofence> {
    let number = |name: &str| place.props.get(name).and_then(Value::as_f64);
    if place.props.get("geofence") == Some(&Value::Bool(false)) {
        return None;
    }
    let (latitude, longitude) = (number("latitude")?, number("longitude")?);
    let radius_m = number("radius_m").unwrap_or(RADIUS_DEFAULT_M);
    let usable = (-90.0..=90.0).contains(&latitude)
        && (-180.0..=180.0).contains(&longitude)
        && radius_m > 0.0
        && radius_m <= RADIUS_MAX_M;
    let name = place.title.clone().unwrap_or_else(|| place.id.to_string());
    usable.then_some(Geofence {
        id: place.id,
        name,
        latitude,
        longitude,
        radius_m,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn entity(kind: &str, title: Option<&str>, props: Value) -> Entity {
        let now = at("2026-11-21T10:00:00Z");
        Entity {
            id: EntityId::new(),
            kind: kind.to_owned(),
            title: title.map(str::to_owned),
            props: serde_json::from_value(props).unwrap(),
            version: 1,
            starts_at: None,
            created_at: now,
            updated_at: now,
        }
    }

    #[test]
    fn late_repeated_and_future_readings_are_no_news() {
        let recorded = at("2026-11-21T10:00:00Z");
        let newest = Some(at("2026-11-21T09:50:00Z"));
        assert!(
            is_news(None, at("2026-11-20T00:00:00Z"), recorded),
            "the first reading, however old"
        );
        assert!(is_news(newest, at("2026-11-21T09:50:01Z"), recorded));
        assert!(
            !is_news(newest, at("2026-11-21T09:50:00Z"), recorded),
            "the same reading again"
        );
        assert!(
            !is_news(newest, at("2026-11-21T09:49:59Z"), recorded),
            "an older one that comes late"
        );
        assert!(
            is_news(newest, at("2026-11-21T10:05:00Z"), recorded),
            "a clock that is a little ahead"
        );
        assert!(
            !is_news(newest, at("2026-11-21T10:05:01Z"), recorded),
            "a clock that is wrong"
        );
        assert!(!is_news(None, at("2027-11-21T10:00:00Z"), recorded));
    }

    #[test]
    fn the_primary_device_alone_tells_where_i_am() {
        let phone = entity("Device", None, json!({ "primary": true }));
        let tablet = entity("Device", None, json!({ "primary": false }));
        let both = [phone.clone(), tablet.clone()];
        assert!(tells_where_i_am(&both, phone.id));
        assert!(!tells_where_i_am(&both, tablet.id));
        let unmarked = [tablet.clone()];
        assert!(
            tells_where_i_am(&unmarked, tablet.id),
            "without a primary one, each does"
        );
        assert!(tells_where_i_am(&[], phone.id));
        assert!(
            !tells_where_i_am(&both, EntityId::new()),
            "an unknown device beside a primary one"
        );
    }

    #[test]
    fn a_place_without_a_usable_circle_is_no_geofence() {
        let work = entity(
            "Place",
            Some("Work"),
            json!({ "latitude": 47.0, "longitude": 8.0, "radius_m": 150 }),
        );
        let fence = geofence(&work).unwrap();
        assert_eq!((fence.name.as_str(), fence.radius_m), ("Work", 150.0));
        let unsaid = entity("Place", None, json!({ "latitude": 47.0, "longitude": 8.0 }));
        let fence = geofence(&unsaid).unwrap();
        assert_eq!(
            (fence.name, fence.radius_m),
            (unsaid.id.to_string(), RADIUS_DEFAULT_M)
        );
        for props in [
            json!({}),
            json!({ "latitude": 47.0 }),
            json!({ "latitude": "47", "longitude": 8.0 }),
            json!({ "latitude": 91.0, "longitude": 8.0 }),
            json!({ "latitude": 47.0, "longitude": -181.0 }),
            json!({ "latitude": 47.0, "longitude": 8.0, "radius_m": 150, "geofence": false }),
            json!({ "latitude": 47.0, "longitude": 8.0, "radius_m": 0 }),
            json!({ "latitude": 47.0, "longitude": 8.0, "radius_m": -5 }),
            json!({ "latitude": 47.0, "longitude": 8.0, "radius_m": 1e12 }),
        ] {
            assert_eq!(
                geofence(&entity("Place", Some("X"), props.clone())),
                None,
                "{props}"
            );
        }
    }
}
