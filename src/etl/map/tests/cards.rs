//! Cards.

use super::*;

#[test]
fn a_card_is_a_person_with_addresses_in_their_one_spelling() {
    let meaning = meant(
        "text/vcard",
        "BEGIN:VCARD\nVERSION:3.0\nUID:u-1\nFN:Sam Example\nN:Example;Sam;;;\nTEL;TYPE=voice:030 901820\nTEL;TYPE=WORK,pref:12345\n\
         EMAIL;TYPE=INTERNET,HOME:Sam@Example.org\nBDAY:1990-05-01\nNOTE:likes\\, tea\\nand cake\nORG:Example Ltd;Sales\nTITLE:Clerk\n\
         ADR:;;Main St 1;Town;;12345;\nURL:https://example.org/sam\nEND:VCARD\n",
    );
    let person = &meaning.entities[0];
    assert_eq!(
        (person.kind.as_str(), person.title.as_deref()),
        ("Person", Some("Sam Example"))
    );
    assert_eq!(
        known_by(person),
        ["vcard.uid u-1", "tel +4930901820", "email sam@example.org"]
    );
    assert_eq!(
        Value::Object(person.props.clone()),
        json!({
            "name": "Sam Example", "given_name": "Sam", "family_name": "Example", "x_tel": ["12345"],
            "url": "https://example.org/sam", "birthday": "1990-05-01", "note": "likes, tea\nand cake",
            "organization": "Example Ltd", "department": "Sales", "job_title": "Clerk", "address": "Main St 1, Town, 12345",
            "addresses": [{"street": "Main St 1", "locality": "Town", "postal_code": "12345"}],
            "labels": [{"of": "12345", "is": ["work"]}, {"of": "sam@example.org", "is": ["home"]}],
        })
    );
    assert_eq!(meaning.entities[1].kind, "Organization");
    assert_eq!(known_by(&meaning.entities[1]), ["org.name example ltd"]);
    assert_eq!(meaning.relations, [(0, "member-of", 1)]);
}

#[test]
fn a_card_keeps_each_note_address_and_name_and_of_what_kind_a_number_is() {
    for (version, home_fax) in [
        ("3.0", "TYPE=HOME,FAX"),
        ("4.0", "TYPE=home;TYPE=fax"),
        ("2.1", "HOME;FAX"),
    ] {
        let card = format!(
            "BEGIN:VCARD\nVERSION:{version}\nUID:u\nFN:Dr. Sam Lee Example\nN:Example;Sam;Lee;Dr.;jr.\nNOTE:one\nNOTE:two\n\
             NOTE:one\nTEL;{home_fax}:030 901820\nTEL;TYPE=CELL:030 901821\nADR;TYPE=HOME:;;Main St 1;Town;;12345;\n\
             ADR;TYPE=WORK:7;;;City;North;;Land\nEND:VCARD\n"
        );
        let person = &meant("text/vcard", &card).entities[0];
        assert_eq!(
            Value::Object(person.props.clone()),
            json!({
                "name": "Dr. Sam Lee Example", "given_name": "Sam", "family_name": "Example", "additional_name": "Lee",
                "honorific_prefix": "Dr.", "honorific_suffix": "jr.", "note": "one\n\ntwo", "address": "Main St 1, Town, 12345",
                "addresses": [
                    {"is": ["home"], "street": "Main St 1", "locality": "Town", "postal_code": "12345"},
                    {"is": ["work"], "post_office_box": "7", "locality": "City", "region": "North", "country": "Land"},
                ],
                "labels": [{"of": "+4930901820", "is": ["home", "fax"]}, {"of": "+4930901821", "is": ["cell"]}],
            }),
            "{version}"
        );
    }
}

#[test]
fn a_card_without_an_id_is_the_same_after_its_note_changed_and_another_persons_is_not() {
    let card = |name: &str, note: &str| {
        let body =
            format!("BEGIN:VCARD\nVERSION:4.0\nFN:{name}\nEMAIL:a@example.org\nNOTE:{note}\nEND:VCARD\n");
        known_by(&meant("text/vcard", &body).entities[0])[0].clone()
    };
    assert_eq!(card("Sam", "one"), card("Sam", "two"));
    assert_ne!(card("Sam", "one"), card("Kim", "one"));
}

#[test]
fn a_card_of_an_organization_is_no_person() {
    for card in [
        "KIND:org\nFN:Example Ltd\n",
        "FN:Example Ltd\nORG:Example Ltd\n",
        "ORG:Example Ltd\n",
    ] {
        let meaning = meant(
            "text/vcard",
            &format!("BEGIN:VCARD\nVERSION:4.0\n{card}END:VCARD\n"),
        );
        assert_eq!(meaning.entities[0].kind, "Organization", "{card}");
        assert_eq!(meaning.entities[0].title.as_deref(), Some("Example Ltd"));
    }
}

#[test]
fn a_card_of_eight_bits_is_read_in_its_charset() {
    for (charset, name) in [
        (";CHARSET=ISO-8859-2", &b"Ji\xf8\xed"[..]),
        ("", &b"J\xfcrgen"[..]),
    ] {
        let mut card = b"BEGIN:VCARD\r\nVERSION:2.1\r\nFN".to_vec();
        card.extend([charset.as_bytes(), b":", name, b"\r\nEND:VCARD\r\n"].concat());
        let person = map(&record("text/vcard", card), &hints()).unwrap();
        let expected = if charset.is_empty() { "Jürgen" } else { "Jiří" };
        assert_eq!(person.entities[0].title.as_deref(), Some(expected));
    }
}

#[test]
fn a_group_of_contacts_is_a_group_with_the_cards_that_it_names() {
    for (kind, member) in [
        ("KIND", "MEMBER"),
        ("X-ADDRESSBOOKSERVER-KIND", "X-ADDRESSBOOKSERVER-MEMBER"),
    ] {
        let card = format!(
            "BEGIN:VCARD\nVERSION:3.0\nUID:g-1\nFN:Choir\nN:Choir;;;;\n{kind}:group\n{member}:urn:uuid:u-1\n\
             {member}:urn:uuid:u-2\nEND:VCARD\n"
        );
        let meaning = meant("text/vcard", &card);
        let group = &meaning.entities[0];
        assert_eq!(
            (group.kind.as_str(), group.title.as_deref()),
            ("Group", Some("Choir")),
            "{kind}"
        );
        assert_eq!(known_by(group), ["vcard.uid g-1"]);
        assert_eq!(meaning.members, ["urn:uuid:u-1", "urn:uuid:u-2"]);
        assert_eq!(group.props["members"], json!(meaning.members));
    }
}

#[test]
fn a_birthday_without_a_year_has_none_whatever_stands_for_it() {
    let born = |line: &str| {
        let card = format!("BEGIN:VCARD\nVERSION:3.0\nUID:u\nFN:Sam\n{line}\nEND:VCARD\n");
        let person = meant("text/vcard", &card).entities.remove(0);
        (
            person.props.get("birthday").cloned(),
            person.props.get("x_birthday").cloned(),
        )
    };
    for line in [
        "BDAY;X-APPLE-OMIT-YEAR=1604:1604-02-28",
        "BDAY;X-APPLE-OMIT-YEAR=1604;VALUE=date:1604-02-28",
        "BDAY:1604-02-28",
        "BDAY:--0228",
    ] {
        assert_eq!(born(line), (Some(json!("--02-28")), None), "{line}");
    }
    assert_eq!(born("BDAY:1990-02-28"), (Some(json!("1990-02-28")), None));
    assert_eq!(
        born("BDAY;VALUE=text:circa 1800"),
        (None, Some(json!("circa 1800")))
    );
}

#[test]
fn a_card_keeps_categories_days_messengers_and_who_is_who() {
    let meaning = meant(
        "text/vcard",
        "BEGIN:VCARD\nVERSION:4.0\nUID:u\nFN:Sam\nTEL;VALUE=uri:tel:12345\nCATEGORIES:Family,Choir\nANNIVERSARY:20120620\n\
         IMPP:xmpp:Sam@Example.org\nIMPP:matrix:u/sam:example.org\nIMPP:skype:sam.example\n\
         RELATED;TYPE=spouse:urn:uuid:u-2\nitem1.X-ABRELATEDNAMES:Kim Example\nitem1.X-ABLABEL:_$!<Child>!$_\n\
         REV:20260501T100000Z\nEND:VCARD\n",
    );
    let person = &meaning.entities[0];
    assert_eq!(
        known_by(person)[1..],
        ["xmpp sam@example.org", "matrix @sam:example.org"]
    );
    assert_eq!(
        Value::Object(person.props.clone()),
        json!({
            "name": "Sam", "x_tel": ["12345"], "categories": ["Family", "Choir"], "anniversary": "2012-06-20",
            "impp": ["skype:sam.example"],
            "related": [{"is": "spouse", "who": "urn:uuid:u-2"}, {"is": "child", "who": "Kim Example"}],
        })
    );
    let stamp = meaning.stamp.unwrap().at.unwrap();
    assert_eq!(stamp.to_rfc3339(), "2026-05-01T10:00:00+00:00");
}

#[test]
fn a_birthday_is_read_in_every_form_that_programs_write_and_what_is_no_day_is_kept() {
    let days = |version: &str, lines: &str| {
        let card = format!("BEGIN:VCARD\nVERSION:{version}\nFN:Sam\n{lines}\nEND:VCARD\n");
        let person = &meant("text/vcard", &card).entities[0];
        ["birthday", "x_birthday", "anniversary"].map(|name| {
            let said = person.props.get(name).and_then(Value::as_str);
            said.unwrap_or_default().to_owned()
        })
    };
    for version in ["3.0", "4.0"] {
        for (line, birthday, odd) in [
            ("BDAY:1985-03-15", "1985-03-15", ""),
            ("BDAY;VALUE=date:1985-03-15", "1985-03-15", ""),
            ("item1.BDAY:19850315", "1985-03-15", ""),
            ("BDAY:1985-03-15T00:00:00Z", "1985-03-15", ""),
            ("BDAY:15.03.1985", "1985-03-15", ""),
            ("BDAY:--05-01", "--05-01", ""),
            ("BDAY;VALUE=date-and-or-time:--0501", "--05-01", ""),
            ("BDAY;X-APPLE-OMIT-YEAR=1604:1604-02-29", "--02-29", ""),
            ("BDAY:1985-03", "", "1985-03"),
            ("BDAY:circa 1800", "", "circa 1800"),
        ] {
            assert_eq!(
                days(version, line),
                [birthday, odd, ""],
                "{line} in a card of version {version}"
            );
        }
        assert_eq!(days(version, "ANNIVERSARY:2010-06-01"), ["", "", "2010-06-01"]);
    }
}
