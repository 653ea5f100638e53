//! Signatures with a moment in them: Stripe's header `t=…,v1=…` (its documentation, "Verify webhook signatures
//! manually"), and an HMAC over a template such as `v0:{timestamp}:{body}` with the moment in a header of its own.

use http::HeaderName;
use sha2::Sha256;

use super::{Signed, only, same};
use hmac::Hmac;

static STRIPE: HeaderName = HeaderName::from_static("stripe-signature");
/// Signatures that one header may hold, while a key is rotated.
const SIGNATURES_MAX: usize = 8;

/// What Stripe's header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamp<'h> {
    pub(super) at: i64,
    pub(super) text: &'h str,
    pub(super) signatures: Vec<&'h str>,
}

/// True if one of the signatures is right and the moment is not far away.
pub(super) fn stripe(signed: &Signed<'_>, key: &[u8], tolerance_s: i64) -> bool {
    let Some(stamp) = only(signed.headers, &STRIPE).and_then(read) else {
        return false;
    };
    let message = [stamp.text.as_bytes(), b".", signed.body].concat();
    let expected = hex::encode(super::mac::<Hmac<Sha256>>(key, &message));
    let mut right = false;
    for given in stamp.signatures {
        right |= same(expected.as_bytes(), given.as_bytes());
    }
    right && is_near(signed, stamp.at, tolerance_s)
}

/// Reads `t=1492774577,v1=5257…,v0=…`. `None`: no moment, two, or no signature of scheme v1.
pub(super) fn read(header: &str) -> Option<Stamp<'_>> {
    let (mut moment, mut signatures) = (None, Vec::new());
    for part in header.split(',') {
        match part.trim().split_once('=')? {
            ("t", text) if moment.is_none() => moment = Some(text),
            ("v1", signature) if signatures.len() < SIGNATURES_MAX => signatures.push(signature),
            ("t" | "v1", _) => return None,
            _ => {} // another scheme
        }
    }
    let text = moment?;
    let at = seconds(text)?;
    (!signatures.is_empty()).then_some(Stamp { at, text, signatures })
}

/// Seconds since 1970, in digits alone.
pub(super) fn seconds(text: &str) -> Option<i64> {
    let is_plain = !text.is_empty() && text.len() <= 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}

/// True if the moment lies within the tolerance of now, before or after.
pub(super) fn is_near(signed: &Signed<'_>, at: i64, tolerance_s: i64) -> bool {
    (signed.now.timestamp() - at).abs() <= tolerance_s
}

/// What is signed: the template with moment and body in their places.
pub(super) fn message(template: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(template.len() + body.len() + timestamp.len());
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        message.extend_from_slice(before.as_bytes());
        rest = if let Some(after) = from.strip_prefix("{timestamp}") {
            message.extend_from_slice(timestamp.as_bytes());
            after
        } else if let Some(after) = from.strip_prefix("{body}") {
            message.extend_from_slice(body);
            after
        } else {
            message.push(b'{');
            &from[1..]
        };
    }
    message.extend_from_slice(rest.as_bytes());
    message
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stripes_header_is_read_with_all_signatures_of_its_scheme_and_one_moment() {
        let stamp = read("t=1492774577, v1=aa,v0=bb,v1=cc").unwrap();
        assert_eq!((stamp.at, stamp.text), (1_492_774_577, "1492774577"));
        assert_eq!(stamp.signatures, ["aa", "cc"]);
        for wrong in [
            "",
            "t=1",
            "v1=aa",
            "t=1,t=2,v1=aa",
            "t=x,v1=aa",
            "t=-1,v1=aa",
            "t=1,v0=aa",
            "t=1,v1",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_template_takes_the_bytes_of_the_body_as_they_are() {
        assert_eq!(
            message("v0:{timestamp}:{body}", "7", b"\xff{body}"),
            b"v0:7:\xff{body}"
        );
        assert_eq!(message("{x}{body}", "7", b"b"), b"{x}b");
    }

    proptest! {
        #[test]
        fn whatever_the_header_holds_reading_it_ends_and_what_is_read_stood_there(header in "[ tv01=,0-9a-f]{0,80}") {
            if let Some(stamp) = read(&header) {
                prop_assert!(stamp.at >= 0 && stamp.signatures.len() <= SIGNATURES_MAX);
                for signature in stamp.signatures {
                    let written = format!("v1={signature}");
                    prop_assert!(header.contains(&written));
                }
            }
        }

        #[test]
        fn a_template_of_timestamp_and_body_is_told_apart_from_any_other_moment(
            body in proptest::collection::vec(any::<u8>(), 0..40), one in 0_i64..1_000_000, other in 0_i64..1_000_000,
        ) {
            let said = |at: i64| message("{timestamp}.{body}", &at.to_string(), &body);
            prop_assert_eq!(said(one) == said(other), one == other);
        }
    }
}
