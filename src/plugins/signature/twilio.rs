//! Twilio's signature (its security documentation, "Validating Signatures"): the configured address with the form
//! fields sorted by name and appended, then HMAC in base64. SHA-1 with the account's token; where the header
//! `X-Twilio-Webhooks-Signature-Settings: key=…,algorithm=HMAC_SHA256` says so, SHA-256 with the shared key.
//! A body that is no form is covered by its SHA-256 in the query's `bodySHA256`.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderName;
use sha2::{Digest, Sha256};
use url::{Url, form_urlencoded};

use super::{Algorithm, Signed, only, same};

static SIGNATURE: HeaderName = HeaderName::from_static("x-twilio-signature");
static SETTINGS: HeaderName = HeaderName::from_static("x-twilio-webhooks-signature-settings");

/// `shared_key`: what signs, if the request says that a shared key signed it; without one the token is tried.
pub(super) fn verify(signed: &Signed<'_>, token: &[u8], shared_key: Option<&[u8]>) -> bool {
    let Some(given) = only(signed.headers, &SIGNATURE) else {
        return false;
    };
    let Some((algorithm, by_shared_key)) = settings(signed) else {
        return false;
    };
    let key = if by_shared_key {
        shared_key.unwrap_or(token)
    } else {
        token
    };
    if key.is_empty() || !body_is_covered(signed) {
        return false;
    }
    let mut right = false;
    for address in addresses(signed) {
        let expected = STANDARD.encode(algorithm.mac(key, message(&address, signed.form).as_bytes()));
        right |= same(expected.as_bytes(), given.as_bytes());
    }
    right
}

/// The algorithm, and whether a shared key signed. `None`: the request asks for one that nobody knows.
fn settings(signed: &Signed<'_>) -> Option<(Algorithm, bool)> {
    if !signed.headers.contains_key(&SETTINGS) {
        return Some((Algorithm::Sha1, false));
    }
    let header = only(signed.headers, &SETTINGS)?;
    let named = header
        .split(',')
        .filter_map(|part| part.split_once('='))
        .map(|(name, value)| (name.trim(), value.trim()));
    let named: BTreeMap<&str, &str> = named.filter(|(_, value)| !value.is_empty()).collect();
    let algorithm = match named
        .get("algorithm")
        .map(|name| name.to_ascii_uppercase())
        .as_deref()
    {
        None | Some("HMAC_SHA1") => Algorithm::Sha1,
        Some("HMAC_SHA256") => Algorithm::Sha256,
        Some(_) => return None,
    };
    Some((algorithm, named.contains_key("key")))
}

/// A form is part of what is signed; anything else must be the one whose hash stands in the signed query.
fn body_is_covered(signed: &Signed<'_>) -> bool {
    if signed.form.is_some() {
        return true;
    }
    let query = signed
        .path_and_query
        .split_once('?')
        .map_or("", |(_, query)| query);
    let hash = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "bodySHA256");
    match hash {
        Some((_, hash)) => same(
            hex::encode(Sha256::digest(signed.body)).as_bytes(),
            hash.to_ascii_lowercase().as_bytes(),
        ),
        None => signed.body.is_empty(),
    }
}

/// The address as requested, without and with the port: Twilio's documentation leaves open which of the two it signs.
fn addresses(signed: &Signed<'_>) -> Vec<String> {
    let Ok(url) = Url::parse(signed.public_url) else {
        return Vec::new();
    };
    let Some((scheme, rest)) = signed.public_url.split_once("://") else {
        return Vec::new();
    };
    let (authority, prefix) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let Some(port) = explicit_port(authority).or_else(|| url.port_or_known_default()) else {
        return Vec::new();
    };
    let path = signed.path_and_query;
    vec![
        format!("{scheme}://{host}{prefix}{path}"),
        format!("{scheme}://{host}:{port}{prefix}{path}"),
    ]
}

/// The port as written, also where it is the scheme's own, which `Url` leaves out.
fn explicit_port(authority: &str) -> Option<u16> {
    authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok())
}

/// A field that comes twice counts once for each different value, in order, as Twilio's own libraries have it.
fn message(address: &str, form: Option<&[(String, String)]>) -> String {
    let fields: BTreeSet<&(String, String)> = form.unwrap_or_default().iter().collect();
    let mut message = address.to_owned();
    for (name, value) in fields {
        message.push_str(name);
        message.push_str(value);
    }
    message
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use proptest::prelude::*;

    use super::*;

    const TOKEN: &[u8] = b"12345";

    fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn documented() -> Vec<(String, String)> {
        fields(&[
            ("CallSid", "CA1234567890ABCDE"),
            ("Caller", "+14158675309"),
            ("Digits", "1234"),
            ("From", "+14158675309"),
            ("To", "+18005551212"),
        ])
    }

    fn headers(signature: &str, settings: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(&SIGNATURE, signature.parse().unwrap());
        if let Some(settings) = settings {
            headers.insert(&SETTINGS, settings.parse().unwrap());
        }
        headers
    }

    const URL: (&str, &str) = ("https://mycompany.com", "/myapp.php?foo=1&bar=2");
    const SHA1: &str = "RSOYDt4T1cUTdK1PDd93/VVr8B8=";
    const SHA256: &str = "033hgUJA9M/hXIZsYjwkerEP/DBm35nEri5FhCYjA5s=";
    const SETTINGS_256: &str = "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256";

    fn check(
        url: (&str, &str),
        headers: &HeaderMap,
        form: &[(String, String)],
        shared: Option<&[u8]>,
    ) -> bool {
        let (public_url, path_and_query) = url;
        let signed = Signed {
            public_url,
            path_and_query,
            headers,
            body: b"any",
            now: chrono::DateTime::UNIX_EPOCH,
            form: Some(form),
        };
        verify(&signed, TOKEN, shared)
    }

    #[test]
    fn the_documented_request_is_taken_by_sha1_and_by_sha256() {
        let form = documented();
        assert!(check(URL, &headers(SHA1, None), &form, None));
        assert!(check(URL, &headers(SHA256, Some(SETTINGS_256)), &form, None));
        assert!(check(
            URL,
            &headers(SHA256, Some(SETTINGS_256)),
            &form,
            Some(TOKEN)
        ));
        assert!(!check(
            URL,
            &headers(SHA256, Some(SETTINGS_256)),
            &form,
            Some(b"another")
        ));
        assert!(
            !check(URL, &headers(SHA256, None), &form, None),
            "SHA-256 must be asked for"
        );
        assert!(
            !check(URL, &headers(SHA1, Some(SETTINGS_256)), &form, None),
            "SHA-1 where SHA-256 was announced"
        );
        assert!(!check(
            URL,
            &headers(SHA1, Some("key=a,algorithm=HMAC_MD5")),
            &form,
            None
        ));
    }

    #[test]
    fn order_of_the_fields_does_not_matter_and_the_port_may_be_named_or_not() {
        let mut form = documented();
        form.reverse();
        for public_url in [
            "https://mycompany.com",
            "https://mycompany.com:443",
            "https://mycompany.com:8443",
        ] {
            assert!(
                check((public_url, URL.1), &headers(SHA1, None), &form, None),
                "{public_url}"
            );
        }
    }

    #[test]
    fn another_host_path_query_field_or_scheme_is_refused() {
        let form = documented();
        for url in [
            ("https://mallory.example", URL.1),
            ("http://mycompany.com", URL.1),
            ("https://mycompany.com", "/myapp.php?foo=1&bar=3"),
            ("https://mycompany.com", "/other.php?foo=1&bar=2"),
            ("https://mycompany.com", "/myapp.php"),
        ] {
            assert!(!check(url, &headers(SHA1, None), &form, None), "{url:?}");
        }
        let mut changed = form.clone();
        changed[3].1 = "+14158675310".to_owned();
        assert!(!check(URL, &headers(SHA1, None), &changed, None));
        assert!(!check(URL, &headers("", None), &form, None));
        let mut twice = headers(SHA1, None);
        twice.append(&SIGNATURE, SHA1.parse().unwrap());
        assert!(!check(URL, &twice, &form, None), "two signatures are none");
    }

    #[test]
    fn an_empty_token_proves_nothing() {
        let headers = headers(SHA1, None);
        let signed = Signed {
            public_url: URL.0,
            path_and_query: URL.1,
            headers: &headers,
            body: b"",
            now: chrono::DateTime::UNIX_EPOCH,
            form: Some(&[]),
        };
        assert!(!verify(&signed, b"", None));
    }

    #[test]
    fn a_json_body_is_covered_by_its_hash_in_the_signed_query() {
        let body = br#"{"property": "value", "boolean": true}"#;
        let hash = hex::encode(Sha256::digest(body));
        let path = format!("/myapp.php?bodySHA256={hash}");
        let signature =
            STANDARD.encode(Algorithm::Sha1.mac(TOKEN, format!("https://mycompany.com{path}").as_bytes()));
        let headers = headers(&signature, None);
        let signed = |body: &'static [u8]| Signed {
            public_url: URL.0,
            path_and_query: Box::leak(path.clone().into_boxed_str()),
            headers: Box::leak(Box::new(headers.clone())),
            body,
            now: chrono::DateTime::UNIX_EPOCH,
            form: None,
        };
        assert!(verify(
            &signed(br#"{"property": "value", "boolean": true}"#),
            TOKEN,
            None
        ));
        assert!(!verify(
            &signed(br#"{"property": "other", "boolean": true}"#),
            TOKEN,
            None
        ));
    }

    #[test]
    fn a_body_that_nothing_covers_is_refused_although_the_address_is_signed() {
        let signature = STANDARD.encode(Algorithm::Sha1.mac(TOKEN, b"https://mycompany.com/a"));
        let headers = headers(&signature, None);
        let signed = |body| Signed {
            public_url: URL.0,
            path_and_query: "/a",
            headers: &headers,
            body,
            now: chrono::DateTime::UNIX_EPOCH,
            form: None,
        };
        assert!(verify(&signed(b""), TOKEN, None), "a GET has no body");
        assert!(!verify(&signed(b"{}"), TOKEN, None));
    }

    proptest! {
        #[test]
        fn what_was_signed_is_taken_and_no_other_signature_is(
            path in "/[ -~]{0,40}",
            form in prop::collection::vec(("\\PC{0,12}", "\\PC{0,12}"), 0..6),
            noise in "[A-Za-z0-9+/=]{0,44}",
        ) {
            let message = message(&format!("https://hub.example{path}"), Some(&form));
            let signature = STANDARD.encode(Algorithm::Sha1.mac(TOKEN, message.as_bytes()));
            prop_assert!(check(("https://hub.example", &path), &headers(&signature, None), &form, None));
            prop_assert_eq!(
                check(("https://hub.example", &path), &headers(&noise, None), &form, None),
                noise == signature
            );
        }

        #[test]
        fn malformed_requests_are_refused_and_never_panic(
            public_url in "\\PC{0,30}", path in "\\PC{0,30}", settings in "[ -~]{0,30}", body in any::<Vec<u8>>(),
        ) {
            let headers = headers(SHA1, Some(&settings));
            let signed =
                Signed { public_url: &public_url, path_and_query: &path, headers: &headers, body: &body, now: chrono::DateTime::UNIX_EPOCH, form: None };
            prop_assert!(!verify(&signed, TOKEN, None));
        }
    }
}
