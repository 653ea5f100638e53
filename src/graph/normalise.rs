//! Identifiers in the one spelling under which the graph knows them.
//!
//! `tel` becomes E.164 and must be a number that can exist; `tel.short` holds short codes, which are no numbers of
//! anybody and are never taken for one; `email` loses the case of its domain and of its mailbox. Other schemes stay
//! as they are.
//! Invariant: normalising twice gives the same as once. Pure. Begin with [`normalise`].

use spine::ports::Identifier;

const SCHEME_LEN_MAX: usize = 64;
const VALUE_LEN_MAX: usize = 512;
const SHORT_CODE_DIGITS: std::ops::RangeInclusive<usize> = 3..=8;

/// The identifier in its one spelling, or a sentence that says what is wrong and what would be right.
pub(crate) fn normalise(identifier: &Identifier) -> Result<Identifier, String> {
    let scheme = scheme(&identifier.scheme)?;
    let value = identifier.value.trim();
    if value.is_empty() {
        return Err(format!(
            "`{scheme}` is empty: give its value or leave the identifier out"
        ));
    }
    if value.len() > VALUE_LEN_MAX || value.chars().any(char::is_control) {
        return Err(format!(
            "`{scheme}` takes a printable value of at most {VALUE_LEN_MAX} bytes"
        ));
    }
    let value = match scheme.as_str() {
        "tel" => contracts::tel::normalise(value)?,
        "tel.short" => short_code(value)?,
        "email" => email(value)?,
        _ => value.to_owned(),
    };
    Ok(Identifier { scheme, value })
}

/// What is wrong with an identifier that isn't one, without a word of it.
pub(crate) fn refusal(identifier: &Identifier) -> String {
    match scheme(&identifier.scheme).as_deref() {
        Ok("tel") => "a `tel` is not a possible phone number".to_owned(),
        Ok("tel.short") => "a `tel.short` is not a short code".to_owned(),
        Ok("email") => "an `email` is not an address".to_owned(),
        _ => "an identifier has no possible scheme, or no printable value".to_owned(),
    }
}

/// True for what many share: by such an address alone nobody is recognised.
pub(crate) fn is_shared(identifier: &Identifier) -> bool {
    match identifier.scheme.as_str() {
        "tel.short" => true,
        "email" => contracts::mailbox::is_role(&identifier.value),
        _ => false,
    }
}

fn scheme(scheme: &str) -> Result<String, String> {
    let scheme = scheme.trim().to_ascii_lowercase();
    let fits = !scheme.is_empty()
        && scheme.len() <= SCHEME_LEN_MAX
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte));
    if fits {
        return Ok(scheme);
    }
    Err(format!(
        "an identifier's scheme is 1 to {SCHEME_LEN_MAX} letters, digits, dots or hyphens, such as `tel` or `twilio.call`"
    ))
}

fn short_code(text: &str) -> Result<String, String> {
    if SHORT_CODE_DIGITS.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "`tel.short` {text} is not a short code: one has {} to {} digits and nothing else",
        SHORT_CODE_DIGITS.start(),
        SHORT_CODE_DIGITS.end()
    ))
}

/// No provider that people use tells two mailboxes apart by case, and senders write theirs as they like.
fn email(text: &str) -> Result<String, String> {
    let text = text.strip_prefix("mailto:").unwrap_or(text);
    let parts = text.rsplit_once('@').filter(|(mailbox, domain)| {
        !mailbox.is_empty()
            && mailbox.len() <= 64
            && !mailbox.contains(|c: char| c.is_whitespace() || c == '@')
            && domain.split('.').all(|label| {
                !label.is_empty()
                    && label.len() <= 63
                    && label.chars().all(|c| c.is_alphanumeric() || c == '-')
            })
    });
    match parts {
        Some((mailbox, domain)) => Ok(format!("{}@{}", mailbox.to_lowercase(), domain.to_lowercase())),
        None => Err(format!(
            "`email` {text} is not an address: write it as mailbox@domain, such as sam@example.org"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(scheme: &str, value: &str) -> Result<String, String> {
        normalise(&Identifier::new(scheme, value)).map(|identifier| identifier.value)
    }

    #[test]
    fn one_number_in_many_spellings_is_one_identifier() {
        for spelling in [
            "+49 30 901820",
            "+4930901820",
            "0049 30 901820",
            "tel:+49-30-901820",
            " +49 (0) 30 / 90 18 20 ",
            "+49\u{a0}30.901820",
        ] {
            assert_eq!(value("tel", spelling).as_deref(), Ok("+4930901820"), "{spelling}");
        }
        assert_eq!(value("TEL", "+1 (415) 555-2671").as_deref(), Ok("+14155552671"));
        assert_eq!(
            value("tel", "+39 06 698 12345").as_deref(),
            Ok("+390669812345"),
            "Italy keeps its zero"
        );
    }

    #[test]
    fn what_can_not_be_a_number_is_refused_with_what_would_be_right() {
        for (bad, hint) in [
            ("12345", "internationally"),
            ("030 901820", "internationally"),
            ("+4915", "7 to 15"),
            ("+1 415 555", "no numbers of this length"),
            ("+999 1234567", "no country"),
            ("+1 800 FLOWERS", "internationally"),
            ("anonymous", "internationally"),
            ("+", "7 to 15"),
            ("+49301234567890123", "7 to 15"),
        ] {
            let error = value("tel", bad).unwrap_err();
            assert!(error.contains(hint), "{bad}: {error}");
            assert!(
                error.starts_with(&format!("`tel` {bad} is not a possible phone number")),
                "{error}"
            );
        }
    }

    #[test]
    fn numbers_of_many_countries_come_out_with_the_digits_they_went_in_with() {
        for number in [
            "+14155552671",
            "+442079460958",
            "+33142685300",
            "+390669812345",
            "+78005553535",
            "+375172000000",
            "+3614411444",
            "+526561234567",
            "+819012345678",
            "+8613800138000",
            "+5511987654321",
            "+61293744000",
            "+41446681800",
            "+43158858",
            "+351213217000",
            "+37052333333",
            "+4915112345678",
            "+27215551234",
        ] {
            assert_eq!(value("tel", number).as_deref(), Ok(number));
        }
    }

    #[test]
    fn short_codes_have_a_scheme_of_their_own_and_name_no_person() {
        assert_eq!(value("tel.short", "12345").as_deref(), Ok("12345"));
        assert!(value("tel.short", "+12345").is_err());
        assert!(value("tel.short", "12").is_err());
        assert!(is_shared(&Identifier::new("tel.short", "12345")));
        assert!(is_shared(&Identifier::new("email", "info@example.org")));
        assert!(is_shared(&Identifier::new("email", "support+12@example.org")));
        assert!(!is_shared(&Identifier::new("email", "sam@example.org")));
        assert!(!is_shared(&Identifier::new("tel", "+4930901820")));
    }

    #[test]
    fn mail_addresses_are_one_whatever_their_case() {
        assert_eq!(
            value("email", " Sam@Example.ORG ").as_deref(),
            Ok("sam@example.org")
        );
        assert_eq!(
            value("email", "mailto:sam@münchen.example").as_deref(),
            Ok("sam@münchen.example")
        );
        for bad in ["sam", "sam@", "@example.org", "sam@ex ample", "sam@a..b", "a@b@c"] {
            assert!(value("email", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn other_schemes_stay_as_they_are_within_bounds() {
        assert_eq!(value("twilio.call", "CAaB1").as_deref(), Ok("CAaB1"));
        assert!(value("twilio call", "x").is_err());
        assert!(value("x", "").is_err());
        assert!(value("x", "a\u{0}b").is_err());
        assert!(value("x", &"a".repeat(513)).is_err());
        assert!(value(&"s".repeat(65), "a").is_err());
    }
}
