//! What a table's columns are called: by Google, by Outlook in English, German, French and Spanish, and by ourselves.
//!
//! Headings are compared by their letters and digits alone, in lower case and without accents. Invariant: a column is a
//! contact's own: an assistant's or a switchboard's number is others', too. Begin with [`Field::of`].

use super::headings::{COLUMNS, NUMBERED};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Uid,
    Kind,
    Name,
    Given,
    Family,
    Additional,
    Prefix,
    Suffix,
    Nickname,
    Birthday,
    Anniversary,
    Note,
    Organization,
    Department,
    JobTitle,
    Spouse,
    Children,
    Categories,
    Url,
    Email,
    Tel,
    /// When the row was written.
    Revised,
}

/// Names for the refusal of a table that has none of them.
pub(super) const EXAMPLES: &str = "Name, First Name, Last Name, Company, E-mail Address, Mobile Phone; Vorname, Nachname, Firma, \
    E-Mail-Adresse, Mobiltelefon; Prénom, Nom, Société, Adresse de messagerie; Nombre, Apellidos, Organización";

impl Field {
    /// What a column of this heading holds; `None`: nothing that is known.
    pub(super) fn of(heading: &str) -> Option<Self> {
        let heading = folded(heading);
        // A second number or mailbox of the same kind: `Business Phone 2`, `Adresse de messagerie 3`.
        let stem = heading.trim_end_matches(|c: char| c.is_ascii_digit());
        let listed = |name: &str| {
            COLUMNS
                .iter()
                .find(|(_, names)| names.contains(&name))
                .map(|(field, _)| *field)
        };
        let several = |field: &Self| matches!(field, Self::Email | Self::Tel);
        listed(&heading)
            .or_else(|| listed(stem).filter(several))
            .or_else(|| {
                NUMBERED
                    .iter()
                    .find(|one| is_numbered(&heading, one))
                    .map(|(field, ..)| *field)
            })
    }

    /// Whether whoever such a column names can be told by it.
    pub(super) fn names_somebody(self) -> bool {
        matches!(
            self,
            Self::Name | Self::Given | Self::Family | Self::Organization | Self::Email | Self::Tel
        )
    }
}

/// Never a label of Google's, such as `E-mail 1 - Type`.
fn is_numbered(heading: &str, (_, stems, ends): &(Field, &[&str], &[&str])) -> bool {
    stems.iter().any(|stem| {
        heading.strip_prefix(stem).is_some_and(|rest| {
            let end = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            end.len() < rest.len() && ends.contains(&end)
        })
    })
}

/// The letters and digits of a heading, in lower case and without the accents of the languages above.
pub(super) fn folded(heading: &str) -> String {
    let plain = |c: char| match c {
        'à' | 'á' | 'â' | 'ä' => 'a',
        'ç' => 'c',
        'è' | 'é' | 'ê' | 'ë' => 'e',
        'ì' | 'í' | 'î' | 'ï' => 'i',
        'ñ' => 'n',
        'ò' | 'ó' | 'ô' | 'ö' => 'o',
        'ù' | 'ú' | 'û' | 'ü' => 'u',
        c => c,
    };
    let letters = heading.chars().flat_map(char::to_lowercase);
    letters.filter(|c| c.is_alphanumeric()).map(plain).collect()
}

/// Whether days between strokes are written day first in the language of a heading.
pub(super) fn is_day_first(heading: &str) -> bool {
    !matches!(folded(heading).as_str(), "birthday" | "anniversary")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_of_four_languages_are_known_and_those_of_others_numbers_are_not() {
        for (heading, field) in [
            ("E-mail 1 - Value", Some(Field::Email)),
            ("E-Mail 2: Adresse", Some(Field::Email)),
            ("E-Mail-Adresse", Some(Field::Email)),
            ("Adresse de messagerie 3", Some(Field::Email)),
            ("Correo electrónico 2: dirección", Some(Field::Email)),
            ("Business Phone 2", Some(Field::Tel)),
            ("Telefon geschäftlich 2", Some(Field::Tel)),
            ("Telefon (privat)", Some(Field::Tel)),
            ("Téléphone (domicile)", Some(Field::Tel)),
            ("Teléfono del trabajo", Some(Field::Tel)),
            ("Vorname", Some(Field::Given)),
            ("Prénom", Some(Field::Given)),
            ("Nom", Some(Field::Family)),
            ("Apellidos", Some(Field::Family)),
            ("Société", Some(Field::Organization)),
            ("Geburtstag", Some(Field::Birthday)),
            ("Telefon Assistent", None),
            ("Assistant's Phone", None),
            ("Company Main Phone", None),
            ("Téléphone de l'assistant(e)", None),
            ("Telefon Firma", None),
            ("E-mail 1 - Type", None),
            ("E-Mail-Typ", None),
            ("id", None),
            ("Name 2", None),
        ] {
            assert_eq!(Field::of(heading), field, "{heading}");
        }
    }
}
