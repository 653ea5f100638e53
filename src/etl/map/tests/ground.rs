//! Places and ways.

use super::*;

const GPX: &str = "<gpx version=\"1.1\" creator=\"x\" xmlns=\"http://www.topografix.com/GPX/1/1\">";

fn gpx(inside: &str) -> Meaning {
    meant("application/gpx+xml", &format!("{GPX}{inside}</gpx>"))
}

fn prop<'m>(meaning: &'m Meaning, name: &str) -> &'m Value {
    meaning.entities[0].props.get(name).unwrap_or(&Value::Null)
}

#[test]
fn a_waypoint_is_a_place_that_is_no_geofence_and_is_known_by_its_name_and_spot() {
    let meaning = gpx(
        "<wpt lat=\"47.2500001\" lon=\"8.5\"><ele>410</ele><name>Hut</name><desc>open in &lt;summer&gt;</desc>\
         <link href=\"https://hut.example/\"/><type>Shelter</type></wpt>",
    );
    let place = &meaning.entities[0];
    assert_eq!(
        (place.kind.as_str(), place.title.as_deref()),
        ("Place", Some("Hut"))
    );
    assert_eq!(known_by(place), ["file.place Hut@47.25000,8.50000"]);
    for (name, value) in [
        ("latitude", json!(47.250_000_1)),
        ("geofence", json!(false)),
        ("description", json!("open in <summer>")),
        ("url", json!("https://hut.example/")),
        ("x_category", json!("Shelter")),
    ] {
        assert_eq!(prop(&meaning, name), &value, "{name}");
    }
    let moved = gpx("<wpt lat=\"47.25\" lon=\"8.5\"><name>Hut</name><desc>closed</desc></wpt>");
    assert_eq!(known_by(&moved.entities[0]), known_by(place));
}

#[test]
fn a_track_that_says_when_is_an_event_and_one_that_does_not_a_document() {
    let point = |lat: &str, time: &str| format!("<trkpt lat=\"{lat}\" lon=\"8.0\">{time}</trkpt>");
    let timed = gpx(&format!(
        "<trk><name>Morning run</name><type>running</type><trkseg>{}{}</trkseg><trkseg>{}</trkseg></trk>",
        point("47.0", "<time>2026-05-01T06:00:00Z</time>"),
        point("47.01", "<time>2026-05-01T08:10:00+02:00</time>"),
        point("48.0", "<time>2026-05-01T06:30:00Z</time>"),
    ));
    assert_eq!(timed.entities[0].kind, "Event");
    assert_eq!(prop(&timed, "start_at"), "2026-05-01T06:00:00Z");
    assert_eq!(prop(&timed, "ends_at"), "2026-05-01T06:30:00Z");
    assert_eq!(prop(&timed, "x_distance_m"), 1112.0, "nothing between the pieces");
    assert_eq!(prop(&timed, "x_track").as_array().unwrap().len(), 3);
    assert_eq!(
        timed.entities[0].starts_at.unwrap().to_rfc3339(),
        "2026-05-01T06:00:00+00:00"
    );
    let planned =
        gpx("<rte><name>Plan</name><rtept lat=\"47\" lon=\"8\"/><rtept lat=\"47.1\" lon=\"8\"/></rte>");
    assert_eq!(planned.entities[0].kind, "Document");
    let long: String = (0..3_000).map(|at| point(&format!("47.{at:04}"), "")).collect();
    let long = gpx(&format!("<trk><trkseg>{long}</trkseg></trk>"));
    let shown = prop(&long, "x_track").as_array().unwrap();
    assert!(
        shown.len() <= 502 && shown.last() == Some(&json!([47.2999, 8.0])),
        "{}",
        shown.len()
    );
    assert_eq!(long.entities[0].title.as_deref(), Some("Track"));
}

#[test]
fn features_are_places_areas_and_ways() {
    let feature = |geometry: Value, properties: Value| {
        let body = json!({ "type": "Feature", "geometry": geometry, "properties": properties }).to_string();
        map(&record("application/geo+json", body), &hints())
    };
    let saved = feature(
        json!({ "type": "Point", "coordinates": [13.4, 52.5] }),
        json!({ "google_maps_url": "https://maps.example/1", "location": { "name": "Café Rosa", "address": "Main St 5" } }),
    )
    .unwrap();
    assert_eq!(saved.entities[0].title.as_deref(), Some("Café Rosa"));
    assert_eq!(
        (prop(&saved, "latitude"), prop(&saved, "address")),
        (&json!(52.5), &json!("Main St 5"))
    );
    let nowhere = feature(
        json!({ "type": "Point", "coordinates": [0, 0] }),
        json!({ "title": "Bar" }),
    )
    .unwrap();
    assert_eq!(prop(&nowhere, "latitude"), &Value::Null);
    let park = json!({ "type": "Polygon", "coordinates": [[[8.0, 47.0], [8.0, 47.002], [8.002, 47.002], [8.0, 47.0]]] });
    let park = feature(park, json!({ "name": "Park" })).unwrap();
    assert_eq!(prop(&park, "latitude"), &json!(47.001));
    assert_eq!(prop(&park, "radius_m"), &json!(135.0));
    let walk = json!({ "type": "LineString", "coordinates": [[8.0, 47.0], [8.0, 47.01]] });
    let times = json!({ "name": "Walk", "coordTimes": ["2026-05-01T06:00:00Z", "2026-05-01T06:10:00Z"] });
    assert_eq!(
        prop(&feature(walk.clone(), times).unwrap(), "ends_at"),
        "2026-05-01T06:10:00Z"
    );
    assert_eq!(feature(walk, json!({})).unwrap().entities[0].kind, "Document");
    for (geometry, reason) in [
        (
            json!({ "type": "Point", "coordinates": [8.0, 91.0] }),
            "beyond 90",
        ),
        (json!({ "type": "LineString", "coordinates": [] }), "no points"),
        (json!({ "type": "Polygon", "coordinates": [] }), "no corners"),
        (
            json!({ "type": "GeometryCollection", "geometries": [] }),
            "no mapping",
        ),
        (Value::Null, "neither a name"),
    ] {
        let refused = feature(geometry, json!({})).unwrap_err();
        assert!(refused.contains(reason), "{refused}");
    }
}
