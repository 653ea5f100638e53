//! Postal addresses that a table spreads over columns: `Business Street`, `Ort privat`, `Address 1 - City`.
//!
//! Invariant: what stands in parts counts before the same address in one piece. Begin with [`Postals::read`].

use super::columns::folded;
use super::{Postal, parts};

/// What a column holds of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// One of the parts that an address has, by its place.
    Is(usize),
    /// The address in one piece.
    Whole,
    /// Of what kind it is.
    Kind,
}

const PARTS: &[(Part, &[&str])] = &[
    (
        Part::Is(0),
        &[
            "pobox",
            "postofficebox",
            "postfach",
            "boitepostale",
            "apartado",
            "apartadopostal",
        ],
    ),
    (
        Part::Is(1),
        &[
            "extendedaddress",
            "adresszusatz",
            "erweiterteadresse",
            "adresseetendue",
            "direccionextendida",
        ],
    ),
    (
        Part::Is(Postal::STREET),
        &["street", "streetaddress", "straße", "strasse", "rue", "calle"],
    ),
    (
        Part::Is(3),
        &["city", "town", "locality", "ort", "stadt", "ville", "ciudad"],
    ),
    (
        Part::Is(4),
        &[
            "state",
            "region",
            "stateprovince",
            "province",
            "bundesland",
            "bundeslandkanton",
            "depregion",
            "departement",
            "provincia",
            "estado",
            "provinciaoestado",
            "estadooprovincia",
        ],
    ),
    (
        Part::Is(5),
        &[
            "postalcode",
            "zip",
            "zipcode",
            "postcode",
            "postleitzahl",
            "plz",
            "codepostal",
            "codigopostal",
        ],
    ),
    (
        Part::Is(6),
        &[
            "country",
            "countryregion",
            "land",
            "landregion",
            "pays",
            "paysregion",
            "pais",
            "paisoregion",
        ],
    ),
    (
        Part::Whole,
        &[
            "address",
            "adresse",
            "anschrift",
            "direccion",
            "domicilio",
            "privatadresse",
        ],
    ),
];

/// Whose address it is, as programs put it before or after the part.
const SIDES: &[(&str, &[&str])] = &[
    (
        "work",
        &[
            "business",
            "work",
            "geschaftlich",
            "bureau",
            "deltrabajo",
            "detrabajo",
            "trabajo",
        ],
    ),
    (
        "home",
        &[
            "home",
            "privat",
            "domicile",
            "deldomicilio",
            "dedomicilio",
            "domicilio",
            "particular",
        ],
    ),
    (
        "other",
        &[
            "other",
            "weitereser",
            "weiteresr",
            "weiterese",
            "weiteres",
            "weiterer",
            "weitere",
            "autre",
            "otra",
            "otro",
        ],
    ),
];

/// Google's numbered addresses: how the columns begin, and the ends that are no part.
const NUMBERED: [&str; 3] = ["address", "adresse", "direccion"];
const NUMBERED_ENDS: &[(Part, &[&str])] = &[
    (
        Part::Whole,
        &["formatted", "formatiert", "formatee", "formateada", "conformato"],
    ),
    (
        Part::Kind,
        &[
            "type",
            "label",
            "typ",
            "beschriftung",
            "etikett",
            "libelle",
            "tipo",
            "etiqueta",
        ],
    ),
];

/// Addresses in the making, each under the word or number that its columns share.
#[derive(Debug, Default)]
pub(super) struct Postals(Vec<(String, Postal, Option<String>)>);

impl Postals {
    /// Takes a cell, if its column is one of an address.
    pub(super) fn read(&mut self, heading: &str, value: &str) -> bool {
        let Some((key, part)) = column(&folded(heading)) else {
            return false;
        };
        if value.is_empty() {
            return true;
        }
        let at = self.0.iter().position(|(known, ..)| *known == key);
        let at = at.unwrap_or_else(|| {
            let is_side = SIDES.iter().any(|(side, _)| *side == key && key != "other");
            let kinds = is_side.then(|| key.clone()).into_iter().collect();
            self.0.push((
                key,
                Postal {
                    kinds,
                    ..Postal::default()
                },
                None,
            ));
            self.0.len() - 1
        });
        let Some((_, postal, whole)) = self.0.get_mut(at) else {
            return true;
        };
        match part {
            Part::Is(at) => {
                if let Some(slot) = postal.parts.get_mut(at) {
                    // `Business Street 2` goes on where the street ended.
                    let before = std::mem::take(slot);
                    *slot = if before.is_empty() {
                        value.to_owned()
                    } else {
                        format!("{before}, {value}")
                    };
                }
            }
            Part::Whole => drop(whole.get_or_insert_with(|| value.to_owned())),
            Part::Kind => {
                let kind = value.trim_start_matches('*').trim().to_lowercase();
                let side = SIDES
                    .iter()
                    .find(|(side, words)| *side == kind || words.contains(&kind.as_str()));
                postal.kinds.extend(side.map(|(side, _)| (*side).to_owned()));
            }
        }
        true
    }

    /// The addresses, in the order in which their columns came.
    pub(super) fn all(self) -> Vec<Postal> {
        let mut all = Vec::new();
        for (_, postal, whole) in self.0 {
            if postal.parts.iter().any(|part| !part.is_empty()) {
                all.push(postal);
                continue;
            }
            for text in whole.iter().flat_map(|whole| parts(whole)) {
                let mut one = postal.clone();
                one.parts[Postal::STREET] = text;
                all.push(one);
            }
        }
        all
    }
}

/// Of which address a column is, and what it holds of it.
fn column(heading: &str) -> Option<(String, Part)> {
    let listed = |list: &[(Part, &[&str])], name: &str| {
        let found = list.iter().find(|(_, names)| names.contains(&name));
        found.map(|(part, _)| *part)
    };
    for stem in NUMBERED {
        let rest = heading.strip_prefix(stem).unwrap_or_default();
        let end = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let number = &rest[..rest.len() - end.len()];
        if !number.is_empty() && !end.is_empty() {
            return Some((
                number.to_owned(),
                listed(PARTS, end).or_else(|| listed(NUMBERED_ENDS, end))?,
            ));
        }
    }
    let heading = heading.trim_end_matches(|c: char| c.is_ascii_digit());
    let of_side = |word: &str| {
        let part = heading
            .strip_prefix(word)
            .or_else(|| heading.strip_suffix(word))?;
        listed(PARTS, part)
    };
    let sided = SIDES
        .iter()
        .find_map(|(side, words)| Some(((*side).to_owned(), words.iter().find_map(|word| of_side(word))?)));
    sided.or_else(|| Some((String::new(), listed(PARTS, heading)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_addresses_are_known_in_four_languages_and_others_are_not_taken_for_one() {
        for (heading, side, part) in [
            ("Business Street", "work", Part::Is(2)),
            ("Business Street 2", "work", Part::Is(2)),
            ("Home Postal Code", "home", Part::Is(5)),
            ("Other Country/Region", "other", Part::Is(6)),
            ("Straße geschäftlich", "work", Part::Is(2)),
            ("Ort privat", "home", Part::Is(3)),
            ("Bundesland/Kanton privat", "home", Part::Is(4)),
            ("Postleitzahl geschäftlich", "work", Part::Is(5)),
            ("Land/Region privat", "home", Part::Is(6)),
            ("Postfach geschäftlich", "work", Part::Is(0)),
            ("Weitere Straße", "other", Part::Is(2)),
            ("Weiterer Ort", "other", Part::Is(3)),
            ("Weiteres/e Land/Region", "other", Part::Is(6)),
            ("Rue (bureau)", "work", Part::Is(2)),
            ("Dép/Région (domicile)", "home", Part::Is(4)),
            ("Calle del trabajo", "work", Part::Is(2)),
            ("Ciudad del domicilio", "home", Part::Is(3)),
            ("Otro código postal", "other", Part::Is(5)),
            ("Address 1 - Street", "1", Part::Is(2)),
            ("Adresse 2 - Ort", "2", Part::Is(3)),
            ("Address 1 - Formatted", "1", Part::Whole),
            ("Address 1 - Label", "1", Part::Kind),
            ("Home Address", "home", Part::Whole),
            ("Adresse privat", "home", Part::Whole),
            ("Address", "", Part::Whole),
            ("City", "", Part::Is(3)),
        ] {
            assert_eq!(
                column(&folded(heading)),
                Some((side.to_owned(), part)),
                "{heading}"
            );
        }
        for heading in [
            "E-Mail-Adresse",
            "Adresse de messagerie",
            "E-mail Address",
            "Home Phone",
            "Dirección de correo electrónico",
            "Telefon privat",
            "Adresse de messagerie 2",
            "Particular",
            "Notes",
        ] {
            assert_eq!(column(&folded(heading)), None, "{heading}");
        }
    }
}
