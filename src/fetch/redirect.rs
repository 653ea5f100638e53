//! What a redirect asks for, and what of the request goes along.
//!
//! Pure decisions; whether the new address is allowed at all is `guard.rs`'s to say, at the next hop.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use url::Url;

use crate::error::Failure;
use crate::request::Request;

/// Secrets whether or not the caller marked them.
const SECRET_HEADERS: [HeaderName; 3] = [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION];

/// Headers that describe a body; they go when it goes.
const BODY_HEADERS: [HeaderName; 4] = [
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LOCATION,
];

/// The request that the answer redirects to; none if the answer is no redirect.
///
/// 301, 302 and 303 turn every method but GET and HEAD into a GET; 307 and 308 keep method and body, and are refused
/// when that would carry them to another origin (RFC 9110 section 15.4 leaves the rest to the client).
pub(crate) fn next(
    request: &Request,
    status: StatusCode,
    answer: &HeaderMap,
) -> Result<Option<Request>, Failure> {
    let keeps_method = match status.as_u16() {
        301..=303 => matches!(request.method, Method::GET | Method::HEAD),
        307 | 308 => true,
        _ => return Ok(None),
    };
    let Some(location) = answer.get(header::LOCATION) else {
        return Ok(None);
    };
    let url = location
        .to_str()
        .ok()
        .and_then(|text| request.url.join(text).ok())
        .ok_or(Failure::BadRedirect)?;
    if request.url.scheme() == "https" && url.scheme() == "http" {
        return Err(Failure::DowngradeDenied);
    }
    let mut next = request.clone();
    if !keeps_method {
        next.method = Method::GET;
        next.body = Bytes::new();
        BODY_HEADERS
            .iter()
            .for_each(|name| drop(next.headers.remove(name)));
    }
    if is_cross_origin(&request.url, &url) {
        if !matches!(next.method, Method::GET | Method::HEAD) || !next.body.is_empty() {
            return Err(Failure::BodyRedirectDenied);
        }
        next.headers = without_secrets(&next.headers);
    }
    next.url = url;
    Ok(Some(next))
}

fn is_cross_origin(from: &Url, to: &Url) -> bool {
    from.origin() != to.origin()
}

fn without_secrets(headers: &HeaderMap) -> HeaderMap {
    headers
        .iter()
        .filter(|(name, value)| !value.is_sensitive() && !SECRET_HEADERS.contains(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn redirected(request: &Request, status: u16, location: &str) -> Result<Option<Request>, Failure> {
        let answer = HeaderMap::from_iter([(header::LOCATION, HeaderValue::from_str(location).unwrap())]);
        next(request, StatusCode::from_u16(status).unwrap(), &answer)
    }

    fn post() -> Request {
        Request::post_json("https://a.example/x", &1)
            .unwrap()
            .basic_auth("alice", "pw")
            .unwrap()
    }

    #[test]
    fn a_post_becomes_a_get_without_body_on_301_302_and_303() {
        for status in [301, 302, 303] {
            let next = redirected(&post(), status, "/y").unwrap().unwrap();
            assert_eq!(
                (next.method, next.url.as_str()),
                (Method::GET, "https://a.example/y")
            );
            assert!(next.body.is_empty());
            assert!(!next.headers.contains_key(header::CONTENT_TYPE));
            assert!(
                next.headers.contains_key(header::AUTHORIZATION),
                "the same origin keeps its credentials"
            );
        }
    }

    #[test]
    fn a_post_is_repeated_on_307_and_308_at_the_same_origin_only() {
        for status in [307, 308] {
            let next = redirected(&post(), status, "/y").unwrap().unwrap();
            assert_eq!((next.method, next.body), (Method::POST, Bytes::from_static(b"1")));
            for elsewhere in ["https://b.example/y", "https://a.example:8443/y"] {
                let refused = redirected(&post(), status, elsewhere);
                assert_eq!(refused.unwrap_err(), Failure::BodyRedirectDenied);
            }
        }
    }

    #[test]
    fn another_origin_gets_no_secret_and_keeps_the_rest() {
        let mut request = post()
            .secret_header("x-api-key", "s")
            .unwrap()
            .header("accept", "text/plain")
            .unwrap();
        request
            .headers
            .insert(header::COOKIE, HeaderValue::from_static("s=1"));
        for elsewhere in ["https://b.example/", "https://a.example:8443/", "//b.example/"] {
            let next = redirected(&request, 303, elsewhere).unwrap().unwrap();
            let kept: Vec<_> = next.headers.keys().map(HeaderName::as_str).collect();
            assert_eq!(kept, ["accept"]);
        }
    }

    #[test]
    fn https_never_becomes_http_and_http_may_become_https_without_secrets() {
        assert_eq!(
            redirected(&post(), 302, "http://a.example/x").unwrap_err(),
            Failure::DowngradeDenied
        );
        let plain = Request::get("http://a.example/")
            .unwrap()
            .bearer_auth("t")
            .unwrap();
        let next = redirected(&plain, 302, "https://a.example/").unwrap().unwrap();
        assert!(!next.headers.contains_key(header::AUTHORIZATION));
    }

    #[test]
    fn an_answer_without_location_is_no_redirect_and_a_broken_location_is_an_error() {
        assert!(
            next(&post(), StatusCode::FOUND, &HeaderMap::new())
                .unwrap()
                .is_none()
        );
        assert!(redirected(&post(), 200, "/y").unwrap().is_none());
        assert!(redirected(&post(), 304, "/y").unwrap().is_none());
        assert_eq!(
            redirected(&post(), 302, "https://[").unwrap_err(),
            Failure::BadRedirect
        );
    }
}
