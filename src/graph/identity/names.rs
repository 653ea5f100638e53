//! Whether two names can be one person's, and how alike they are.
//!
//! Names are compared as sets of words without accents and case; "Miller, Sam" is "Sam Miller".
//! Invariant: neither order of the two nor of their words matters. Pure. Begin with [`compatible`].

use rphonetic::{DoubleMetaphone, Encoder};

/// From here on two names count as alike (Jaro-Winkler).
pub(super) const ALIKE: f64 = 0.90;
/// A name's beginning stands for it from this length on: Sam for Samantha, not Al for everybody.
const SHORT_FORM_CHARS_MIN: usize = 3;

/// Whether two names don't contradict each other: one is missing, they share their words, or the words of one are
/// short forms or initials of the other's.
pub(crate) fn compatible(one: Option<&str>, other: Option<&str>) -> bool {
    let (one, other) = (words(one.unwrap_or_default()), words(other.unwrap_or_default()));
    if one.is_empty() || other.is_empty() {
        return true;
    }
    let (fewer, more) = if one.len() <= other.len() {
        (&one, &other)
    } else {
        (&other, &one)
    };
    let mut free: Vec<&String> = more.iter().collect();
    let mut whole = false;
    for word in fewer {
        let Some(at) = free.iter().position(|other| agree(word, other)) else {
            return false;
        };
        whole |= word.len() > 1 && free[at].len() > 1;
        free.remove(at);
    }
    whole
}

fn agree(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() <= other.len() {
        (one, other)
    } else {
        (other, one)
    };
    short == long || (long.starts_with(short) && (short.len() == 1 || short.len() >= SHORT_FORM_CHARS_MIN))
}

/// How alike two names are, 0 to 1 (Jaro-Winkler over their words in order of the alphabet). Whose numbers differ is
/// another: Room 12 is not Room 21.
pub(super) fn similarity(one: &str, other: &str) -> f64 {
    let (one, other) = (words(one).join(" "), words(other).join(" "));
    if numbers(&one) != numbers(&other) {
        return 0.0;
    }
    strsim::jaro_winkler(&one, &other)
}

fn numbers(words: &str) -> Vec<&str> {
    let numbers = words.split(|c: char| !c.is_ascii_digit());
    numbers.filter(|number| !number.is_empty()).collect()
}

/// As [`compatible`], of two who both have a name, and with the same numbers in it.
pub(super) fn agreeing(one: &str, other: &str) -> bool {
    let (a, b) = (words(one), words(other));
    let is_named = !a.is_empty() && !b.is_empty();
    is_named && numbers(&a.join(" ")) == numbers(&b.join(" ")) && compatible(Some(one), Some(other))
}

/// How a name sounds (double metaphone of its words in order of the alphabet); `None` for what has no letters.
pub(super) fn sound(name: &str) -> Option<String> {
    let metaphone = DoubleMetaphone::default();
    let sounds: Vec<String> = words(name)
        .iter()
        .map(|word| metaphone.encode(word))
        .filter(|sound| !sound.is_empty())
        .collect();
    (!sounds.is_empty()).then(|| sounds.join(" "))
}

/// The words of a name, without accents and case, in order of the alphabet. An address is no name.
fn words(name: &str) -> Vec<String> {
    if name.contains('@') || !name.chars().any(char::is_alphabetic) {
        return Vec::new();
    }
    let mut words: Vec<String> = deunicode::deunicode(name)
        .to_lowercase()
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    words.sort();
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_one_person_may_bear_are_compatible_in_both_directions() {
        for (one, other) in [
            ("Sam Miller", "Miller, Sam"),
            ("Sam", "Sam Miller"),
            ("Samantha Miller", "Sam Miller"),
            ("S. Miller", "Sam Miller"),
            ("Zoë Müller", "Zoe Muller"),
            ("sam@example.org", "Anything At All"),
            ("", "Sam"),
        ] {
            assert!(compatible(Some(one), Some(other)), "{one} / {other}");
            assert!(compatible(Some(other), Some(one)), "{other} / {one}");
        }
        assert!(compatible(None, Some("Sam")));
    }

    #[test]
    fn a_shared_phone_does_not_make_two_members_of_a_household_one() {
        for (one, other) in [
            ("Sam Miller", "Ann Miller"),
            ("Sam", "Ann"),
            ("S", "Sam Miller"),
            ("Al Miller", "Albert Miller"),
        ] {
            assert!(!compatible(Some(one), Some(other)), "{one} / {other}");
            assert!(!compatible(Some(other), Some(one)), "{other} / {one}");
        }
    }

    #[test]
    fn names_that_sound_the_same_share_a_sound_whatever_the_order() {
        assert_eq!(sound("Stephen Smith"), sound("Smith, Steven"));
        assert_ne!(sound("Stephen Smith"), sound("Susan Smith"));
        assert_eq!(sound("+1 415 555 2671"), None);
        assert!(similarity("Jon Smith", "Smith John") > ALIKE);
        assert!(similarity("Jon Smith", "Ann Miller") < ALIKE);
    }

    #[test]
    fn names_that_differ_only_in_numbers_are_others() {
        for (one, other) in [
            ("Room 12", "Room 21"),
            ("Kim7", "Kim8"),
            ("Player One 1", "Player One"),
        ] {
            assert!(similarity(one, other) < ALIKE, "{one} / {other}");
            assert!(!agreeing(one, other), "{one} / {other}");
        }
        assert!(similarity("Room 12", "Rooms 12") > ALIKE);
        assert!(agreeing("S. Miller", "Sam Miller"));
        assert!(!agreeing("", "Sam Miller") && !agreeing("sam@example.org", "Sam"));
    }
}
