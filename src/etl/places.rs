//! Where something happened, among the places that the graph knows.
//!
//! Invariant: no place is made here, neither of a text nor of coordinates: every Place is a geofence, and `me.place` speaks
//! of those alone that the owner (or her own device) named. Begin with [`Places::of`].

use contracts::EntityId;
use serde_json::{Map, Value};
use spine::ScopedTx;
use spine::ports::{Entity, EntityChange, GraphError, Ports};

/// Mean radius of the earth, in metres (IUGG R1).
const EARTH_RADIUS_M: f64 = 6_371_008.8;
/// Radius of a place that doesn't state one, in metres: as for geofences.
const RADIUS_DEFAULT_M: f64 = 100.0;
/// A name this short is no proof that the first part of an address means it.
const NAME_CHARS_MIN: usize = 3;
/// What happens at a place. Where devices are is told by the state of the present, from their positions.
const KINDS: [&str; 2] = ["Event", "MediaObject"];

/// The places that are known.
#[derive(Debug, Default)]
pub(crate) struct Places(Vec<Known>);

#[derive(Debug)]
struct Known {
    id: EntityId,
    title: String,
    address: String,
    /// Latitude, longitude and radius in metres.
    circle: Option<(f64, f64, f64)>,
}

impl Places {
    /// Asks the graph.
    pub(crate) async fn read(ports: &Ports, tx: &mut ScopedTx) -> Result<Self, GraphError> {
        let places = ports.graph_read().entities(tx, "Place").await?;
        Ok(Self(places.into_iter().map(known).collect()))
    }

    /// Whether it is worth asking for places: the thing happens somewhere, and says where.
    pub(crate) fn may_know(thing: &EntityChange, named: Option<&str>) -> bool {
        KINDS.contains(&thing.kind.as_str()) && (named.is_some() || point(&thing.props).is_some())
    }

    /// Where a thing of a record is: at the place that its text names, else at the smallest one that its coordinates are
    /// in.
    pub(crate) fn of(&self, thing: &EntityChange, named: Option<&str>) -> Option<EntityId> {
        if !KINDS.contains(&thing.kind.as_str()) {
            return None;
        }
        named
            .and_then(|text| self.named(text))
            .or_else(|| self.around(point(&thing.props)?))
    }

    /// The place whose title or address this is, or whose title the text begins with, as in `Café Rosa, Main Street 5`.
    fn named(&self, text: &str) -> Option<EntityId> {
        let whole = spelling(text);
        let begin = whole
            .split([',', '\n', ';', '('])
            .next()
            .unwrap_or_default()
            .trim();
        let is_whole = |place: &&Known| place.title == whole || place.address == whole;
        let begins = |place: &&Known| place.title == begin && begin.chars().count() >= NAME_CHARS_MIN;
        let mut places = self.0.iter().filter(|_| !whole.is_empty());
        places
            .clone()
            .find(is_whole)
            .or_else(|| places.find(begins))
            .map(|place| place.id)
    }

    fn around(&self, point: (f64, f64)) -> Option<EntityId> {
        let inside = self.0.iter().filter_map(|place| {
            let (latitude, longitude, radius_m) = place.circle?;
            (distance_m((latitude, longitude), point) <= radius_m).then_some((radius_m, place.id))
        });
        inside
            .min_by(|one, other| one.0.total_cmp(&other.0))
            .map(|(_, id)| id)
    }
}

fn known(place: Entity) -> Known {
    let radius_m = place.props.get("radius_m").and_then(Value::as_f64);
    let address = place.props.get("address").and_then(Value::as_str);
    Known {
        id: place.id,
        title: spelling(place.title.as_deref().unwrap_or_default()),
        address: spelling(address.unwrap_or_default()),
        circle: point(&place.props)
            .filter(|_| place.props.get("geofence") != Some(&Value::Bool(false)))
            .map(|(latitude, longitude)| (latitude, longitude, radius_m.unwrap_or(RADIUS_DEFAULT_M))),
    }
}

/// Usable coordinates. Exactly 0, 0 is what programs write that know none.
fn point(props: &Map<String, Value>) -> Option<(f64, f64)> {
    let number = |name: &str| props.get(name).and_then(Value::as_f64);
    let (latitude, longitude) = (number("latitude")?, number("longitude")?);
    let usable = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
    (usable && (latitude, longitude) != (0.0, 0.0)).then_some((latitude, longitude))
}

/// A name as it is compared.
fn spelling(name: &str) -> String {
    name.trim().to_lowercase()
}

/// Great-circle distance in metres, by the haversine formula.
pub(crate) fn distance_m(from: (f64, f64), to: (f64, f64)) -> f64 {
    let (lat_a, lat_b) = (from.0.to_radians(), to.0.to_radians());
    let (d_lat, d_lon) = (lat_b - lat_a, (to.1 - from.1).to_radians());
    let h = (d_lat / 2.0).sin().powi(2) + lat_a.cos() * lat_b.cos() * (d_lon / 2.0).sin().powi(2);
    2.0 * EARTH_RADIUS_M * h.clamp(0.0, 1.0).sqrt().asin()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn place(title: &str, address: &str, circle: Option<(f64, f64, f64)>) -> Known {
        Known {
            id: EntityId::new(),
            title: spelling(title),
            address: spelling(address),
            circle,
        }
    }

    fn event(props: Value) -> EntityChange {
        EntityChange {
            target: spine::ports::Target::New(EntityId::new()),
            kind: "Event".to_owned(),
            title: None,
            props: serde_json::from_value(props).unwrap(),
            identifiers: Vec::new(),
            starts_at: None,
        }
    }

    #[test]
    fn a_text_names_a_place_by_title_or_address_and_not_by_chance() {
        let places = Places(vec![
            place("Café Rosa", "Main Street 5", None),
            place("HQ", "", None),
            place("", "", None),
        ]);
        let (rosa, hq) = (Some(places.0[0].id), Some(places.0[1].id));
        let nowhere = event(json!({}));
        for (text, expected) in [
            ("café rosa ", rosa),
            ("main street 5", rosa),
            ("Café Rosa, Main Street 5, Berlin", rosa),
            ("Café Rosa (upstairs)", rosa),
            ("HQ", hq),
            ("HQ, room 5", None), // any text may begin with two letters
            ("Café Rosario", None),
            ("at Café Rosa", None),
            ("", None),
            (", Berlin", None),
        ] {
            assert_eq!(places.of(&nowhere, Some(text)), expected, "{text:?}");
        }
    }

    #[test]
    fn coordinates_are_in_the_smallest_place_around_them() {
        let places = Places(vec![
            place("Town", "", Some((47.0, 8.0, 5_000.0))),
            place("Work", "", Some((47.0, 8.0, 100.0))),
            place("Somewhere", "", None),
        ]);
        let at = |latitude: f64| event(json!({ "latitude": latitude, "longitude": 8.0 }));
        let (town, work) = (Some(places.0[0].id), Some(places.0[1].id));
        assert_eq!(places.of(&at(47.0005), None), work, "56 m away");
        assert_eq!(places.of(&at(47.002), None), town, "222 m away");
        assert_eq!(places.of(&at(48.0), None), None);
        assert_eq!(
            places.of(&at(47.0), Some("Town")),
            town,
            "what is said counts first"
        );
        assert_eq!(places.of(&at(47.0), Some("The Moon")), work);
        let mut person = at(47.0);
        "Person".clone_into(&mut person.kind);
        assert_eq!(places.of(&person, None), None);
        let nowhere = event(json!({ "latitude": 0, "longitude": 0 }));
        let sea = Places(vec![place("Null Island", "", Some((0.0, 0.0, 100.0)))]);
        assert_eq!(sea.of(&nowhere, None), None);
    }
}
