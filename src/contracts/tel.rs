//! Phone numbers, and what a text to one may be.
//!
//! Invariant: there is one notion of a possible number; who takes one in, keeps it, looks it up or texts it asks here.
//! Normalising twice gives the same as once. Pure. Begin with [`normalise`].

use phonenumber::Type;

/// Characters of an SMS: what providers take for one message of several parts.
pub const SMS_CHARS_MAX: usize = 1_600;
/// E.164 allows 15 digits; fewer than 7 are no subscriber anywhere.
const TEL_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;
/// The kinds of numbers that `is_valid` knows.
const SUBSCRIBER_KINDS: [Type; 10] = [
    Type::FixedLine,
    Type::Mobile,
    Type::TollFree,
    Type::PremiumRate,
    Type::SharedCost,
    Type::PersonalNumber,
    Type::Voip,
    Type::Pager,
    Type::Uan,
    Type::Voicemail,
];

/// True for the spelling that [`normalise`] gives, whether or not a country has such numbers: a plus sign and 7 to 15
/// digits, of which the first is not 0.
pub fn is_e164(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        TEL_DIGITS.contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0')
    })
}

/// A phone number in its one spelling, E.164; or a sentence that says why it can be nobody's. Only digits reach the
/// parser: it was written for people's input and reads letters and extensions, too.
///
/// # Errors
/// What is wrong, and what would be right.
pub fn normalise(text: &str) -> Result<String, String> {
    let Some(digits) = international_digits(text) else {
        return Err(format!(
            "`tel` {text} is not a possible phone number: write it internationally, with + and the country's code, \
             such as +49 30 901820"
        ));
    };
    if !TEL_DIGITS.contains(&digits.len()) {
        return Err(format!(
            "`tel` {text} is not a possible phone number: it has {} digits, and a number with its country's code has \
             {} to {}",
            digits.len(),
            TEL_DIGITS.start(),
            TEL_DIGITS.end()
        ));
    }
    let number = phonenumber::parse(None, format!("+{digits}"))
        .map_err(|_| format!("`tel` {text} is not a possible phone number: no country has this code"))?;
    valid(&number, &digits).or_else(|| valid_as_given(number.country().code(), &digits)).ok_or_else(|| {
        format!(
            "`tel` {text} is not a possible phone number: country code {} has no numbers of this length and \
             beginning; check it digit by digit",
            number.country().code()
        )
    })
}

/// The number in E.164, if it can exist and has the digits that were given (but for a trunk zero, which many write).
fn valid(number: &phonenumber::PhoneNumber, digits: &str) -> Option<String> {
    let e164 = number.format().mode(phonenumber::Mode::E164).to_string();
    let given = e164.strip_prefix('+').is_some_and(|read| {
        let code = number.country().code().to_string();
        read == digits
            || read
                .strip_prefix(&code)
                .is_some_and(|rest| digits == format!("{code}0{rest}"))
    });
    (given && phonenumber::is_valid(number)).then_some(e164)
}

/// The digits as they are, if a region with this code has such numbers. The parser takes leading digits that look like
/// a country's national prefix away, also where none belongs: +7 800 … loses its 8 and is no number any more.
fn valid_as_given(code: u16, digits: &str) -> Option<String> {
    let national = digits.strip_prefix(&code.to_string())?;
    let regions = phonenumber::metadata::DATABASE.by_code(&code)?;
    let exists = regions.iter().map(|region| region.descriptors()).any(|kinds| {
        let of_kind = |kind| kinds.get(kind).is_some_and(|pattern| pattern.is_match(national));
        kinds.general().is_match(national) && SUBSCRIBER_KINDS.into_iter().any(of_kind)
    });
    exists.then(|| format!("+{digits}"))
}

/// The digits after + (or 00, or `tel:+`), without separators and without the trunk zero in `(0)`.
fn international_digits(text: &str) -> Option<String> {
    let text = text.strip_prefix("tel:").unwrap_or(text).trim();
    let rest = text
        .strip_prefix('+')
        .or_else(|| text.strip_prefix("00"))?
        .replace("(0)", "");
    let separator = |c: char| {
        matches!(
            c,
            ' ' | '-' | '.' | '/' | '(' | ')' | '\u{a0}' | '\u{2010}' | '\u{2011}' | '\u{202f}'
        )
    };
    let digits: String = rest.chars().filter(|c| !separator(*c)).collect();
    digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_a_possible_number_has_one_spelling() {
        for text in ["+78005553535", "00 7 800 555 35 35", "tel:+7-800-555-35-35"] {
            let number = normalise(text).unwrap();
            assert_eq!(number, "+78005553535", "{text}");
            assert!(is_e164(&number));
            assert_eq!(normalise(&number).as_deref(), Ok(number.as_str()));
        }
        for text in [
            "",
            "12345",
            "+12",
            "+999123456789",
            "+1 CALL ME NOW",
            "+0155501000",
        ] {
            assert!(normalise(text).is_err(), "{text}");
        }
        for text in [
            "+0155501000",
            "15550100",
            "+123456",
            "+1234567890123456",
            "+1 5550100",
        ] {
            assert!(!is_e164(text), "{text}");
        }
    }
}
