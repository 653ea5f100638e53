//! Tracks and places of files.

use super::*;

const RUN: &str = "<gpx version=\"1.1\" creator=\"watch\" xmlns=\"http://www.topografix.com/GPX/1/1\">\
    <wpt lat=\"47.2\" lon=\"8.2\"><name>Hut</name></wpt><trk><name>Morning run</name><trkseg>\
    <trkpt lat=\"47.10005\" lon=\"8.1\"><time>2026-05-01T06:00:00Z</time></trkpt>\
    <trkpt lat=\"47.11\" lon=\"8.1\"><time>2026-05-01T06:30:00Z</time></trkpt></trkseg></trk>\
    <trk><trkseg/></trk></gpx>";

#[tokio::test(flavor = "multi_thread")]
async fn a_track_is_an_event_where_it_began_and_its_waypoints_are_places_but_no_geofences() {
    let hub = hub().await;
    let alice = Alice::new(&hub).await;
    let circle = json!({ "name": "Home", "latitude": 47.1, "longitude": 8.1, "radius_m": 100 });
    let home = alice.say("Place", circle, &[]).await;
    let import = alice.import("gpx", RUN).await;
    assert_eq!(
        [&import["state"], &import["new"], &import["parked"]],
        [&json!("finished"), &json!(3), &json!(1)],
        "a track without a point is parked: {import}"
    );
    assert_eq!(
        (alice.entities("Place").await, alice.entities("Event").await),
        (2, 1)
    );
    let at_home = alice
        .count(&format!(
            "relation WHERE predicate = 'location' AND to_entity = '{home}'"
        ))
        .await;
    assert_eq!(at_home, 1, "it began in the circle of Home");
    // The hut has a spot and no circle: what happens there isn't related to it.
    let lunch = RUN
        .replace("Morning run", "Lunch")
        .replace("47.10005", "47.2")
        .replace("lon=\"8.1\"", "lon=\"8.2\"");
    alice.import("gpx", lunch).await;
    assert_eq!(alice.count("relation WHERE predicate = 'location'").await, 1);

    let again = alice.import("gpx", RUN).await;
    assert_eq!((&again["new"], &again["known"]), (&json!(0), &json!(3)));
    assert_eq!(
        (alice.entities("Place").await, alice.entities("Event").await),
        (2, 2)
    );

    let other = json!({ "type": "FeatureCollection", "features": [
        { "type": "Feature", "geometry": { "type": "Point", "coordinates": [8.2, 47.2] }, "properties": { "name": "Hut" } },
    ] });
    alice.import("geojson", other.to_string()).await;
    let huts = alice
        .count("entity WHERE type = 'Place' AND title = 'Hut' AND deleted_at IS NULL AND merged_into IS NULL")
        .await;
    assert_eq!(
        huts, 1,
        "the same place of another program's file is the same place"
    );

    let cut = alice
        .import("gpx", "<gpx><wpt lat=\"1\" lon=\"2\"><name>Bay</name></wpt><wpt")
        .await;
    assert_eq!(cut["state"], "failed", "{cut}");
    assert_eq!(
        alice.call("GET", "/export?format=gpx", Body::empty()).await.0,
        400
    );
}
