//! Tables.

use super::*;

#[test]
fn contacts_of_google_and_outlook_are_known_by_their_columns_names() {
    let google = "Name,Given Name,Family Name,E-mail 1 - Type,E-mail 1 - Value,Phone 1 - Value,Organization 1 - Name\n\
        Sam Example,Sam,Example,* Home,sam@example.org,+49 30 901820 ::: 12345,Example Ltd\n";
    let outlook = "First Name,Last Name,E-mail Address,Mobile Phone,Company\n\
        Sam,Example,sam@example.org,030/901820,Example Ltd\n";
    for table in [google, outlook] {
        let meaning = meant("text/csv", table);
        let person = &meaning.entities[0];
        assert_eq!(person.title.as_deref(), Some("Sam Example"), "{table}");
        assert_eq!(
            known_by(person)[1..],
            ["tel +4930901820", "email sam@example.org"],
            "{table}"
        );
        assert_eq!(meaning.entities[1].title.as_deref(), Some("Example Ltd"));
    }
    assert!(
        map(&record("text/csv", "a,b\n1,2\n"), &hints())
            .unwrap_err()
            .contains("names nobody")
    );
}

#[test]
fn numbers_of_others_and_ids_of_one_table_are_not_the_contacts_own() {
    let outlook = "id,First Name,Last Name,Assistant's Phone,Company Main Phone,Business Phone 2,Home Fax,Pager\n\
        7,Sam,Example,030 901821,030 901822,030 901820,030 901823,030 901824\n";
    let person = &meant("text/csv", outlook).entities[0];
    assert_eq!(known_by(person)[1..], ["tel +4930901820"]);
    assert!(!known_by(person)[0].ends_with(" 7"), "{:?}", known_by(person));
    let own = &meant("text/csv", "UID,Name\nurn:uuid:1,Sam\n").entities[0];
    assert_eq!(known_by(own), ["vcard.uid urn:uuid:1"]);
}

#[test]
fn outlooks_columns_are_known_in_german_french_and_spanish() {
    for table in [
        "Anrede,Vorname,Nachname,Firma,E-Mail-Adresse,Mobiltelefon,Telefon Assistent,Geburtstag\n\
         Frau,Sam,Example,Example Ltd,sam@example.org,030 901820,030 1,01.05.1990\n",
        "Titre,Prénom,Nom,Société,Adresse de messagerie,Tél. mobile,Téléphone de l'assistant(e),Anniversaire\n\
         Mme,Sam,Example,Example Ltd,sam@example.org,030 901820,030 1,01/05/1990\n",
        "Tratamiento,Nombre,Apellidos,Organización,Dirección de correo electrónico,Número de móvil,Cumpleaños\n\
         Sra,Sam,Example,Example Ltd,sam@example.org,030 901820,01/05/1990\n",
    ] {
        let meaning = meant("text/csv", table);
        let person = &meaning.entities[0];
        assert_eq!(person.title.as_deref(), Some("Sam Example"), "{table}");
        assert_eq!(
            known_by(person)[1..],
            ["tel +4930901820", "email sam@example.org"],
            "{table}"
        );
        assert_eq!(person.props["birthday"], "1990-05-01", "{table}");
        assert_eq!(meaning.entities[1].title.as_deref(), Some("Example Ltd"));
    }
}

#[test]
fn a_german_table_keeps_addresses_the_department_and_who_is_the_partner() {
    let table = "Vorname,Weitere Vornamen,Nachname,Firma,Abteilung,Straße geschäftlich,Ort geschäftlich,\
        Postleitzahl geschäftlich,Land/Region geschäftlich,Straße privat,Ort privat,E-Mail-Adresse,Ehepartner/Partner\n\
        Sam,Lee,Example,Example Ltd,Verkauf,Marktweg 1,Wien,1010,Österreich,Seegasse 2,Graz,sam@example.org,Kim Example\n";
    let person = &meant("text/csv", table).entities[0];
    assert_eq!(
        Value::Object(person.props.clone()),
        json!({
            "name": "Sam Example", "given_name": "Sam", "additional_name": "Lee", "family_name": "Example",
            "organization": "Example Ltd", "department": "Verkauf", "address": "Marktweg 1, Wien, 1010, Österreich",
            "addresses": [
                {"is": ["work"], "street": "Marktweg 1", "locality": "Wien", "postal_code": "1010", "country": "Österreich"},
                {"is": ["home"], "street": "Seegasse 2", "locality": "Graz"},
            ],
            "related": [{"is": "spouse", "who": "Kim Example"}],
        })
    );
    let google = "Name,Address 1 - Label,Address 1 - Formatted,Address 1 - Street,Address 1 - City,Address 2 - Formatted\n\
        Sam,* Home,\"Seegasse 2\nGraz\",Seegasse 2,Graz,Marktweg 1\n";
    let person = &meant("text/csv", google).entities[0];
    assert_eq!(person.props["address"], "Seegasse 2, Graz");
    assert_eq!(
        person.props["addresses"],
        json!([{"is": ["home"], "street": "Seegasse 2", "locality": "Graz"}, {"street": "Marktweg 1"}])
    );
}

#[test]
fn a_table_of_which_no_column_is_known_says_what_it_has_and_what_is_known() {
    let refused = |header: &[&str]| csv_refusal(&::csv::ByteRecord::from(header.to_vec()));
    let reason = refused(&["Etunimi", "Sukunimi", "\u{1b}[31m"]).unwrap();
    assert!(
        reason.contains("It has: Etunimi, Sukunimi") && reason.contains("Vorname"),
        "{reason}"
    );
    assert!(!reason.contains('\u{1b}'));
    let data = refused(&["Sam", "sam@example.org"]).unwrap();
    assert!(
        !data.contains("Sam") && data.contains("names its columns"),
        "{data}"
    );
    assert_eq!(refused(&["Etunimi", "E-Mail-Adresse"]), None);
}
