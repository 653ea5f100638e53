//! Files as records.

use super::*;

fn split(format: Format, text: impl AsRef<[u8]>) -> Vec<Item> {
    let text = text.as_ref();
    let path = std::env::temp_dir().join(format!("allod-etl-{}", uuid::Uuid::now_v7().simple()));
    std::fs::write(&path, text).unwrap();
    let items = Splitter::open(&path, format).and_then(|mut splitter| {
        let items = splitter.batch(0, 1_000, usize::MAX)?;
        assert!(
            splitter.batch(0, 1_000, usize::MAX)?.is_empty(),
            "there are no more"
        );
        Ok(items)
    });
    // Going on after each record gives exactly those that follow.
    if let Ok(items) = &items {
        for (at, item) in items.iter().enumerate() {
            let rest = Splitter::open(&path, format)
                .unwrap()
                .batch(item.end, 1_000, usize::MAX)
                .unwrap();
            assert_eq!(rest.len(), items.len() - at - 1);
        }
        assert!(items.last().is_none_or(|last| last.end <= text.len() as u64));
    }
    std::fs::remove_file(&path).unwrap();
    items.unwrap()
}

fn bodies(items: &[Item]) -> Vec<String> {
    items
        .iter()
        .map(|item| String::from_utf8(item.record.body.clone()).unwrap())
        .collect()
}

#[test]
fn cards_stand_one_after_the_other_and_one_without_an_end_costs_no_other() {
    let file = "\u{feff}BEGIN:VCARD\r\nUID:1\r\nFN:A\r\nEND:VCARD\r\njunk\r\nBEGIN:VCARD\r\nFN:B\r\nbegin:vcard\r\nUID:3\r\nFN:C\r\n\
        END:VCARD\r\n";
    let items = split(Format::Vcard, file);
    assert_eq!(items.len(), 3);
    assert_eq!(items[0].record.remote_id, "1");
    assert_eq!(items[2].record.remote_id, "3");
    assert_ne!(items[0].record.revision, items[2].record.revision);
    assert_eq!(bodies(&items)[0], "BEGIN:VCARD\r\nUID:1\r\nFN:A\r\nEND:VCARD\r\n");
}

#[test]
fn cards_of_groups_come_after_the_cards_that_they_name_and_each_once() {
    let card = |uid: &str| format!("BEGIN:VCARD\r\nUID:{uid}\r\nFN:{uid}\r\nEND:VCARD\r\n");
    let group = |uid: &str| {
        format!("BEGIN:VCARD\r\nUID:{uid}\r\nKIND:group\r\nFN:{uid}\r\nMEMBER:a\r\nEND:VCARD\r\n")
    };
    let file = [group("g1"), card("a"), group("g2"), card("b")].concat();
    let items = split(Format::Vcard, file);
    let ids: Vec<&str> = items.iter().map(|item| item.record.remote_id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "g1", "g2"]);
}

#[test]
fn each_component_of_a_calendar_has_the_zones_and_nothing_of_the_others() {
    let file = "BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:X\nEND:VTIMEZONE\nBEGIN:VEVENT\nUID:1\nBEGIN:VALARM\nEND:VALARM\n\
        END:VEVENT\nBEGIN:VTODO\nUID:2\nEND:VTODO\nEND:VCALENDAR\n";
    let items = split(Format::Ical, file);
    assert_eq!(items.len(), 2);
    assert!(
        bodies(&items)
            .iter()
            .all(|body| body.contains("TZID:X") && body.ends_with("END:VCALENDAR\r\n"))
    );
    assert!(bodies(&items)[0].contains("VALARM") && !bodies(&items)[1].contains("UID:1"));
}

#[test]
fn mails_of_an_mbox_lose_their_quotes_and_a_single_mail_is_one() {
    let file = "From a Fri May  1 12:00:00 2026\nSubject: 1\n\nHi\nFrom here\n>From there\n>>From far\n\nFrom b@example.org\nSubject: 2\n\nx\n";
    let items = split(Format::Mbox, file);
    assert_eq!(
        bodies(&items),
        [
            "Subject: 1\n\nHi\nFrom here\nFrom there\n>From far\n",
            "Subject: 2\n\nx\n"
        ]
    );
    assert_eq!(
        bodies(&split(
            Format::Mbox,
            "Subject: 1\r\n\r\n>From x\r\n\r\nFrom y\r\n"
        ))
        .len(),
        1
    );
    assert_eq!(split(Format::Mbox, "\n\n").len(), 0);
}

#[test]
fn a_paragraph_that_begins_with_from_is_part_of_its_mail_though_nobody_quoted_it() {
    let begin = "From - Fri May  1 12:00:00 2026\n";
    let text = "Subject: 1\n\nHi,\n\nFrom my window I see: rain.\n\nFrom Anna\nTel: 030\n\nFrom 12:00 on 5 May 2026 it is\ndry.\n\n\
        From sam@example.org\nI heard nothing.\n";
    for next in [
        begin,
        "From sam@example.org\n",
        "From 1801@xxx Fri May 01 12:00:00 +0000 2026\r\n",
        "From sam Fri May 1 12:00 CEST 2026\n",
    ] {
        let items = split(
            Format::Mbox,
            [begin, text, "\n", next, "Subject: 2\n\nx\n"].concat(),
        );
        assert_eq!(bodies(&items), [text, "Subject: 2\n\nx\n"], "{next}");
    }
}

#[test]
fn rows_bear_their_header_whatever_parts_their_cells() {
    for part in [",", ";", "\t"] {
        let file = ["Name", "Notes"].join(part)
            + "\n"
            + &["A", "\"x\ny\""].join(part)
            + "\n"
            + &["B", "z"].join(part);
        let items = split(Format::Csv, file);
        assert_eq!(
            bodies(&items),
            ["Name,Notes\nA,\"x\ny\"\n", "Name,Notes\nB,z\n"],
            "{part:?}"
        );
    }
}

#[test]
fn a_row_that_says_whose_it_is_and_when_it_was_written_is_found_again_and_others_are_not() {
    let file = "UID,Name,Revised\nu-1,Sam,2026-05-01T10:00:00Z\n,Kim,2026-05-01T10:00:00Z\nu-3,Lee,\n";
    let ids: Vec<String> = split(Format::Csv, file)
        .into_iter()
        .map(|item| item.record.remote_id)
        .collect();
    assert_eq!(ids, ["table/u-1", "", ""]);
    assert_eq!(split(Format::Csv, "UID,Name\nu-1,Sam\n")[0].record.remote_id, "");
}

#[test]
fn a_table_is_read_in_the_encoding_that_spreadsheets_write() {
    let file = "Name;Notes\r\nJürgen;naïve €5\r\nZoë;é\r\nÅ;ü\r\n";
    let utf_16 = |bytes: fn(u16) -> [u8; 2]| {
        let units = "\u{feff}".encode_utf16().chain(file.encode_utf16());
        units.flat_map(bytes).collect::<Vec<u8>>()
    };
    let western = file.replace('€', "\u{80}").chars().map(|c| c as u8).collect();
    let marked = format!("\u{feff}{file}").into_bytes();
    for bytes in [
        file.as_bytes().to_vec(),
        marked,
        western,
        utf_16(u16::to_le_bytes),
        utf_16(u16::to_be_bytes),
    ] {
        let items = split(Format::Csv, &bytes);
        assert_eq!(
            bodies(&items),
            [
                "Name,Notes\nJürgen,naïve €5\n",
                "Name,Notes\nZoë,é\n",
                "Name,Notes\nÅ,ü\n"
            ]
        );
        // The line's end may still be unread.
        assert!(bytes.len() as u64 - items[2].end <= 2, "{}", items[2].end);
    }
}

#[test]
fn what_would_grow_in_memory_is_refused_with_what_to_do() {
    let refused = |format, text: String| {
        let path = std::env::temp_dir().join(format!("allod-etl-{}", uuid::Uuid::now_v7().simple()));
        std::fs::write(&path, text).unwrap();
        let opened = Splitter::open(&path, format).map(drop);
        std::fs::remove_file(&path).unwrap();
        let error = opened.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        error.to_string()
    };
    let zeros = format!("[{}0]", "0,".repeat(5 * 1024 * 1024));
    assert!(refused(Format::JsonLd, zeros).contains("split it"));
    let header = format!("{}\nSam\n", "x".repeat(20 * 1024));
    assert!(refused(Format::Csv, header).contains("names its columns"));
}

#[test]
fn nodes_are_found_in_our_own_export_and_in_json_laid_out_otherwise() {
    let own = "{\"@context\":{},\"@graph\":[\n{\"@id\":\"1\"},\n{\"@id\":\"2\"},\n {\"@id\":\"urn:allod:end\"}\n]}\n";
    assert_eq!(
        bodies(&split(Format::JsonLd, own)),
        ["{\"@id\":\"1\"}", "{\"@id\":\"2\"}"]
    );
    let value: serde_json::Value = serde_json::from_str(own).unwrap();
    let pretty = serde_json::to_string_pretty(&value).unwrap();
    assert_eq!(
        bodies(&split(Format::JsonLd, &pretty)),
        ["{\"@id\":\"1\"}", "{\"@id\":\"2\"}"]
    );
}

#[test]
fn a_record_that_is_too_long_is_kept_by_its_beginning() {
    let file = format!(
        "BEGIN:VCARD\nNOTE:{}\nEND:VCARD\nBEGIN:VCARD\nFN:B\nEND:VCARD\n",
        "x".repeat(RECORD_BYTES_MAX)
    );
    let items = split(Format::Vcard, &file);
    assert_eq!(items.len(), 2);
    assert!(items[0].refused.is_some() && items[0].record.body.len() <= BEGINNING_BYTES);
    assert!(items[1].refused.is_none());
}

#[test]
fn each_waypoint_route_and_track_of_a_gpx_file_is_a_document_of_its_own() {
    let file = "<?xml version=\"1.0\"?>\n<!DOCTYPE gpx [<!ENTITY lol \"lol\">]>\n<gpx version=\"1.1\" creator=\"a &amp; b\" \
        xmlns=\"http://www.topografix.com/GPX/1/1\"><metadata><name>no record</name></metadata>\n<wpt lat=\"1\" lon=\"2\"/>\
        <wpt lat=\"3\" lon=\"4\"><name>&lt;B&gt;</name></wpt><extensions><x/></extensions><trk><trkseg><trkpt lat=\"1\" lon=\"2\"/>\
        </trkseg></trk></gpx>\n";
    let bodies = bodies(&split(Format::Gpx, file));
    assert_eq!(bodies.len(), 3);
    for body in &bodies {
        assert!(
            body.starts_with("<gpx version") && body.ends_with("</gpx>") && !body.contains("lol"),
            "{body}"
        );
    }
    assert!(
        bodies[1].contains("&lt;B&gt;") && !bodies[1].contains("lat=\"1\""),
        "{}",
        bodies[1]
    );
}

#[test]
fn what_is_no_gpx_or_cut_off_says_so_after_what_it_gave() {
    let path = std::env::temp_dir().join(format!("allod-etl-{}", uuid::Uuid::now_v7().simple()));
    for (file, whole, reason) in [
        ("<kml></kml>", 0, "no GPX"),
        ("<gpx><wpt lat=\"1\" lon=\"2\"></wpt><wpt lat=\"1\"", 1, "no XML"),
        ("<gpx><wpt lat=\"1\" lon=\"2\"></wpt><wpt>", 1, "cut off"),
        ("<gpx><wpt lat=\"1\" lon=\"2\"></wpt>", 1, "cut off"),
        ("<gpx><wpt></rte></gpx>", 0, "no XML"),
    ] {
        std::fs::write(&path, file).unwrap();
        let mut splitter = Splitter::open(&path, Format::Gpx).unwrap();
        for _ in 0..whole {
            assert_eq!(splitter.batch(0, 1, usize::MAX).unwrap().len(), 1, "{file}");
        }
        let error = splitter.batch(0, 1, usize::MAX).unwrap_err();
        assert!(error.to_string().contains(reason), "{file}: {error}");
    }
    // A text without an end is given up long before memory is.
    let endless = format!(
        "<gpx><wpt lat=\"1\" lon=\"2\"><name>{}",
        "a".repeat(RECORD_BYTES_MAX + 1_000_000)
    );
    std::fs::write(&path, endless).unwrap();
    let error = Splitter::open(&path, Format::Gpx)
        .unwrap()
        .batch(0, 1, usize::MAX)
        .unwrap_err();
    assert!(error.to_string().contains("longer than a record"), "{error}");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn features_stand_in_a_collection_or_alone() {
    let feature = r#"{"type":"Feature","geometry":null,"properties":{"name":"A"}}"#;
    let collection = format!("{{\"type\":\"FeatureCollection\",\"features\":[{feature},{feature}]}}");
    assert_eq!(split(Format::GeoJson, collection).len(), 2);
    assert_eq!(split(Format::GeoJson, feature).len(), 1);
}
