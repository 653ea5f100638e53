use super::*;

/// Degrees of latitude that are this many metres.
fn north(metres: f64) -> f64 {
    metres / EARTH_RADIUS_M.to_radians()
}

fn fence(name: &str, metres_north: f64, radius_m: f64) -> Geofence {
    let latitude = 47.0 + north(metres_north);
    Geofence {
        id: EntityId::new(),
        name: name.to_owned(),
        latitude,
        longitude: 8.0,
        radius_m,
    }
}

fn fix(metres_north: f64, accuracy_m: f64) -> Fix {
    Fix {
        latitude: 47.0 + north(metres_north),
        longitude: 8.0,
        accuracy_m: Some(accuracy_m),
    }
}

/// Walks through positions (metres north of the origin, accuracy) and says the place after each: that of a fact,
/// where `?` means that nothing is asserted.
fn walk(fences: &[Geofence], steps: &[(f64, f64)]) -> Vec<String> {
    let mut places: Vec<EntityId> = Vec::new();
    let mut said = "?".to_owned();
    let mut all = Vec::new();
    for (metres, accuracy) in steps {
        let located = locate(&places, &fix(*metres, *accuracy), fences);
        let name = located
            .places
            .first()
            .and_then(|id| fences.iter().find(|fence| fence.id == *id));
        if name.is_some() || located.clear || said != "?" {
            said = name.map_or("-", |fence| &fence.name).to_owned();
        }
        places = located.places;
        all.push(said.clone());
    }
    all
}

#[test]
fn distances_are_right_anywhere_on_earth() {
    // The earth is no sphere: half a percent is what the formula can't do better.
    let table = [
        ((47.376_9, 8.541_7), (46.948_0, 7.447_4), 95_400.0), // Zürich to Bern
        ((0.0, 179.95), (0.0, -179.95), 11_132.0),            // across the date line
        ((89.999, 0.0), (89.999, 180.0), 223.4),              // across the pole
        ((51.477_9, 0.0), (51.477_9, 0.0), 0.0),              // nowhere
        ((-33.8688, 151.2093), (51.5074, -0.1278), 16_993_000.0), // Sydney to London
    ];
    for (from, to, metres) in table {
        let distance = distance_m(from, to);
        assert!(
            (distance - metres).abs() <= metres * 0.006 + 0.01,
            "{from:?} {to:?}: {distance}"
        );
    }
}

#[test]
fn one_position_says_inside_outside_or_unclear() {
    use Nearness::{Inside, Outside, Unclear};
    let table = [
        // distance, accuracy, radius
        (0.0, 10.0, 100.0, Inside),
        (89.0, 10.0, 100.0, Inside),
        (91.0, 10.0, 100.0, Unclear),
        (129.0, 10.0, 100.0, Unclear), // margin 20 m
        (131.0, 10.0, 100.0, Outside),
        (40.0, 150.0, 100.0, Inside), // indoors: half the radius at most is asked for
        (60.0, 150.0, 100.0, Unclear),
        (0.0, 201.0, 100.0, Unclear), // twice as vague as the place is wide
        (260.0, 150.0, 100.0, Unclear),
        (271.0, 150.0, 100.0, Outside),
        (900_000.0, 1_500.0, 100.0, Unclear), // hopeless
        (900_000.0, 1_000.0, 100.0, Outside),
        (1_000.0, 1_500.0, 5_000.0, Inside), // vague, but the place is a town
        (9_000.0, 1_500.0, 5_000.0, Outside),
        (5_150.0, 100.0, 5_000.0, Unclear),
        (5_301.0, 100.0, 5_000.0, Outside), // margin 200 m at the most
    ];
    for (distance, accuracy, radius, expected) in table {
        assert_eq!(
            nearness(distance, accuracy, radius),
            expected,
            "{distance} ± {accuracy} of {radius}"
        );
    }
}

#[test]
fn coming_to_work_and_leaving_it() {
    let fences = [fence("Home", 0.0, 80.0), fence("Work", 5_000.0, 120.0)];
    let steps = [
        (0.0, 8.0),
        (40.0, 10.0),
        (900.0, 20.0),
        (4_990.0, 15.0),
        (5_030.0, 40.0),
        (7_000.0, 10.0),
    ];
    assert_eq!(walk(&fences, &steps), ["Home", "Home", "-", "Work", "Work", "-"]);
}

#[test]
fn a_phone_at_the_fence_does_not_flicker() {
    let fences = [fence("Work", 0.0, 100.0)];
    let at_the_fence = [
        (95.0, 20.0),
        (110.0, 20.0),
        (98.0, 20.0),
        (125.0, 20.0),
        (102.0, 20.0),
    ];
    let from_inside: Vec<_> = [(0.0, 10.0)].into_iter().chain(at_the_fence).collect();
    assert_eq!(walk(&fences, &from_inside), ["Work"; 6]);
    let from_outside: Vec<_> = [(500.0, 10.0)].into_iter().chain(at_the_fence).collect();
    assert_eq!(walk(&fences, &from_outside), ["-"; 6]);
}

#[test]
fn a_reading_from_a_radio_cell_changes_nothing() {
    let fences = [fence("Work", 0.0, 100.0)];
    assert_eq!(
        walk(&fences, &[(0.0, 10.0), (2_500.0, 2_000.0), (90_000.0, 30_000.0)]),
        ["Work"; 3]
    );
    assert_eq!(
        walk(&fences, &[(0.0, 1_200.0)]),
        ["?"],
        "nor does it say the first word"
    );
    assert_eq!(walk(&fences, &[(900.0, 10.0), (0.0, 1_200.0)]), ["-", "-"]);
}

#[test]
fn an_unclear_first_reading_asserts_nothing_and_a_clear_one_does() {
    let fences = [fence("Work", 0.0, 100.0)];
    assert_eq!(
        walk(&fences, &[(110.0, 20.0), (105.0, 20.0), (60.0, 20.0)]),
        ["?", "?", "Work"]
    );
    assert_eq!(walk(&fences, &[(110.0, 20.0), (400.0, 20.0)]), ["?", "-"]);
    assert_eq!(
        walk(&[], &[(0.0, 10.0)]),
        ["-"],
        "who has no places is in none of them"
    );
}

#[test]
fn of_nested_places_the_smallest_is_said() {
    let campus = fence("Campus", 0.0, 600.0);
    let canteen = fence("Canteen", 300.0, 60.0);
    let fences = [campus, canteen];
    let steps = [
        (-200.0, 10.0),
        (300.0, 10.0),
        (345.0, 40.0),
        (420.0, 10.0),
        (590.0, 60.0),
        (900.0, 10.0),
    ];
    assert_eq!(
        walk(&fences, &steps),
        ["Campus", "Canteen", "Canteen", "Campus", "Campus", "-"]
    );
}

#[test]
fn clearly_at_work_with_a_vague_reading_is_no_longer_at_the_home_nearby() {
    let fences = [fence("Home", 0.0, 80.0), fence("Work", 300.0, 120.0)];
    // 230 m of accuracy can't rule Home out by itself, but one is in a single one of two places apart.
    assert_eq!(walk(&fences, &[(0.0, 10.0), (290.0, 230.0)]), ["Home", "Work"]);
}

#[test]
fn a_place_that_was_removed_is_left_with_the_next_reading() {
    let home = fence("Home", 0.0, 80.0);
    let located = locate(&[home.id], &fix(0.0, 10.0), &[]);
    assert!(located.places.is_empty());
    assert!(located.clear);
}

#[test]
fn confidence_grows_with_depth_and_accuracy() {
    let fences = [fence("Work", 0.0, 100.0)];
    let of = |metres, accuracy| locate(&[], &fix(metres, accuracy), &fences).confidence;
    assert!((of(0.0, 5.0) - 0.99).abs() < 1e-9, "never quite certain");
    assert!(of(0.0, 100.0) > 0.8 && of(0.0, 100.0) < of(0.0, 60.0));
    assert!(of(80.0, 15.0) < of(20.0, 15.0));
    assert!(of(5_000.0, 10.0) > 0.98, "far away is surely not there");
    let unsaid = Fix {
        accuracy_m: None,
        ..fix(0.0, 0.0)
    };
    let assumed = locate(&[], &unsaid, &fences).confidence;
    assert!((assumed - of(0.0, ACCURACY_ASSUMED_M)).abs() < 1e-9);
}

#[test]
fn extreme_positions_never_give_a_number_that_is_none() {
    let fences = [fence("Work", 0.0, 100.0)];
    for latitude in [-90.0, 0.0, 90.0] {
        for longitude in [-180.0, 0.0, 180.0] {
            for accuracy_m in [None, Some(0.0), Some(f64::MAX)] {
                let located = locate(
                    &[],
                    &Fix {
                        latitude,
                        longitude,
                        accuracy_m,
                    },
                    &fences,
                );
                assert!(
                    (0.5..=0.99).contains(&located.confidence),
                    "{latitude} {longitude} {accuracy_m:?}"
                );
                assert!(located.places.is_empty());
            }
        }
    }
}
