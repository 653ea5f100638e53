//! What an account and a token are, and what is accepted from outside.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use contracts::{AccountId, TokenId};
use serde::{Deserialize, Serialize};
use spine::access::TokenKind;
use utoipa::ToSchema;

const HANDLE_CHARS_MAX: usize = 30;
/// Names the hub itself where the operator names an account.
const RESERVED: &str = "instance";
const NAME_CHARS_MAX: usize = 100;
const LOCALE_CHARS_MAX: usize = 35;
/// NIST SP 800-63B section 3.1.1.2: at least 15 characters for a password alone would be its advice for new systems;
/// 10 is the least we take, without rules on what they are.
const PASSWORD_CHARS_MIN: usize = 10;
/// Argon2 reads all of it, so there is an end.
const PASSWORD_BYTES_MAX: usize = 1024;
/// Ten years, in seconds: the longest that a token with an end lives.
const TOKEN_LIFE_S_MAX: i64 = 10 * 366 * 24 * 3600;

/// Why something was not accepted. The text is for the person who sent it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Refused {
    #[error(
        "a handle has 1 to {HANDLE_CHARS_MAX} letters, digits, dots, hyphens or underscores, and begins and ends with a letter, digit or underscore; {RESERVED} is no handle"
    )]
    Handle,
    #[error(
        "the {0} has 1 to {NAME_CHARS_MAX} characters, none of them a control character or one that turns the direction of text"
    )]
    Name(&'static str),
    #[error("{0:?} is not a time zone; zones are named as in the IANA database, such as Europe/Vienna")]
    Zone(String),
    #[error("a locale is a language tag such as en or de-AT")]
    Locale,
    #[error("a password has at least {PASSWORD_CHARS_MIN} characters and at most {PASSWORD_BYTES_MAX} bytes")]
    Password,
    #[error("the two passwords differ")]
    PasswordsDiffer,
    #[error("expires_in is a number of seconds between 1 and {TOKEN_LIFE_S_MAX}")]
    TokenLife,
}

/// The name by which an account signs in: kept as typed, compared without case (the alphabet is ASCII).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Handle(String);

impl Handle {
    pub(crate) fn parse(text: &str) -> Result<Self, Refused> {
        let text = text.trim();
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let good = (1..=HANDLE_CHARS_MAX).contains(&text.len())
            && text.chars().all(|c| word(c) || c == '.' || c == '-')
            && text.starts_with(word)
            && text.ends_with(word)
            && !text.eq_ignore_ascii_case(RESERVED);
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(Refused::Handle)
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name for people: trimmed, not empty, not endless.
pub(crate) fn name(what: &'static str, text: &str) -> Result<String, Refused> {
    let text = text.trim();
    let good = (1..=NAME_CHARS_MAX).contains(&text.chars().count()) && !text.chars().any(misleads);
    if good {
        Ok(text.to_owned())
    } else {
        Err(Refused::Name(what))
    }
}

/// Control characters, and those with which text shows itself in another order or hides (Unicode TR 36, 2.5).
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// An IANA time zone by its name.
pub(crate) fn zone(text: &str) -> Result<String, Refused> {
    let zone: chrono_tz::Tz = text.trim().parse().map_err(|_| Refused::Zone(text.to_owned()))?;
    Ok(zone.name().to_owned())
}

/// A language tag, by its alphabet and length (BCP 47).
pub(crate) fn locale(text: &str) -> Result<String, Refused> {
    let good = text.len() <= LOCALE_CHARS_MAX
        && text
            .split('-')
            .all(|part| (1..=8).contains(&part.len()) && part.chars().all(|c| c.is_ascii_alphanumeric()))
        && text.starts_with(|c: char| c.is_ascii_alphabetic());
    if good {
        Ok(text.to_owned())
    } else {
        Err(Refused::Locale)
    }
}

/// Long enough to be worth hashing.
pub(crate) fn password(text: &str) -> Result<&str, Refused> {
    let good = text.chars().count() >= PASSWORD_CHARS_MIN && text.len() <= PASSWORD_BYTES_MAX;
    if good { Ok(text) } else { Err(Refused::Password) }
}

/// When a token that lives so many seconds ends.
pub(crate) fn expiry(
    now: DateTime<Utc>,
    expires_in_s: Option<i64>,
) -> Result<Option<DateTime<Utc>>, Refused> {
    let Some(seconds) = expires_in_s else {
        return Ok(None);
    };
    if !(1..=TOKEN_LIFE_S_MAX).contains(&seconds) {
        return Err(Refused::TokenLife);
    }
    Ok(Some(now + chrono::Duration::seconds(seconds)))
}

/// A secret of 256 random bits. The prefix tells people and leak scanners what they found.
pub(crate) fn secret(what: &str) -> String {
    format!(
        "allod_{what}_{}",
        URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
    )
}

/// A secret for a token of this kind.
pub(crate) fn token_secret(kind: TokenKind) -> String {
    secret(match kind {
        TokenKind::Device => "dev",
        TokenKind::Api => "api",
        TokenKind::Session => "ses",
    })
}

/// An account. Whether it has a password is nobody else's business.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Account {
    /// Its id.
    pub(crate) id: AccountId,
    /// The name by which it signs in, unique on this hub without regard to case.
    pub(crate) handle: String,
    /// The name for people.
    pub(crate) display_name: String,
    /// Its time zone, by IANA name.
    pub(crate) zone: String,
    /// Its language tag.
    pub(crate) locale: String,
    /// True for the hub's owner, who may make further accounts.
    pub(crate) is_owner: bool,
    /// When it was made.
    pub(crate) created_at: DateTime<Utc>,
}

/// A token, without its secret.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Token {
    /// Its id.
    pub(crate) id: TokenId,
    /// `device`, `api` or `session`.
    pub(crate) kind: String,
    /// What its owner calls it.
    pub(crate) name: String,
    /// When it was issued.
    pub(crate) created_at: DateTime<Utc>,
    /// When it ends; null: never.
    pub(crate) expires_at: Option<DateTime<Utc>>,
    /// When it was revoked; null: it was not.
    pub(crate) revoked_at: Option<DateTime<Utc>>,
}

/// A token with its secret, which is shown here and never again.
#[derive(Serialize, ToSchema)]
pub(crate) struct IssuedToken {
    /// The token.
    #[serde(flatten)]
    pub(crate) token: Token,
    /// The secret. The hub keeps its hash only.
    pub(crate) secret: String,
}

/// Which tokens people may ask for; sessions come from signing in.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum IssuedKind {
    /// For a device that reports readings.
    Device,
    /// For a program that uses the API.
    Api,
}

impl From<IssuedKind> for TokenKind {
    fn from(kind: IssuedKind) -> Self {
        match kind {
            IssuedKind::Device => Self::Device,
            IssuedKind::Api => Self::Api,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_what_other_servers_understand() {
        for good in ["alice", "Alice_1", "a", "a.b-c", &"x".repeat(30)] {
            assert!(Handle::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            " ",
            ".alice",
            "alice-",
            "älice",
            "a b",
            "a@b",
            "instance",
            "Instance",
            "a\0b",
            &"x".repeat(31),
        ] {
            assert_eq!(Handle::parse(bad), Err(Refused::Handle), "{bad}");
        }
        assert_eq!(Handle::parse(" alice ").unwrap().as_str(), "alice");
    }

    #[test]
    fn a_short_password_is_refused_and_a_long_one_is_not_cut() {
        assert!(password("123456789").is_err());
        assert!(password("1234567890").is_ok());
        assert!(password(&"x".repeat(1024)).is_ok());
        assert!(password(&"x".repeat(1025)).is_err());
    }

    #[test]
    fn zones_are_names_of_the_iana_database() {
        assert_eq!(zone("Europe/Vienna").unwrap(), "Europe/Vienna");
        assert!(zone("CEST+3").is_err());
        assert!(zone("").is_err());
    }

    #[test]
    fn names_hold_no_control_characters() {
        assert_eq!(name("name", " Älice Ø ").unwrap(), "Älice Ø");
        assert!(name("name", "a\nb").is_err());
        assert!(name("name", "  ").is_err());
        assert!(name("name", "evil\u{202e}ecila").is_err());
        assert!(name("name", "a\u{200b}b").is_err());
        assert!(locale("de-AT").is_ok());
        assert!(locale("de_AT").is_err());
        assert!(locale("").is_err());
    }

    #[test]
    fn every_secret_is_another_and_tells_its_kind() {
        let (one, two) = (token_secret(TokenKind::Api), token_secret(TokenKind::Api));
        assert_ne!(one, two);
        assert!(one.starts_with("allod_api_"));
        assert_eq!(one.len(), "allod_api_".len() + 43, "256 bits in base64url");
        assert!(token_secret(TokenKind::Device).starts_with("allod_dev_"));
    }

    #[test]
    fn a_life_of_no_length_or_of_centuries_is_refused() {
        let now = DateTime::UNIX_EPOCH;
        assert_eq!(expiry(now, None), Ok(None));
        assert_eq!(expiry(now, Some(60)).unwrap().unwrap().timestamp(), 60);
        for bad in [0, -1, i64::MAX] {
            assert_eq!(expiry(now, Some(bad)), Err(Refused::TokenLife));
        }
    }
}
