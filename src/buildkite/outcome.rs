//! The one classification: every outcome of a call falls into exactly one class.
//!
//! | outcome | class |
//! | --- | --- |
//! | 2xx with JSON of the expected shape | the answer |
//! | 2xx with well-formed JSON of another shape; 3xx (never followed); a body too large to be a page | `Unexpected` |
//! | 2xx with HTML, an empty body, or one that is no JSON | `Unavailable` |
//! | 401 | `TokenRejected` |
//! | 403 | `Forbidden` |
//! | 404 | `NotFound` |
//! | 408, 5xx | `Unavailable` |
//! | 429 | `RateLimited` |
//! | any other 4xx: 400, 409, 422 … | `Rejected` |
//! | no connection, a broken one, silence | `Unavailable` |
//!
//! A status of the 4xx family is believed whatever the body, because Buildkite documents bare and empty bodies for it. What
//! a 404 proves about somebody's access is another question, and [`crate::access`] never answers it from one 404 alone.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::budget::Closed;
use super::error::{Cause, Trouble};
use super::redact::redact;

/// What came back from the network.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// The body, or why there is none.
    pub(super) body: Result<Bytes, BodyTrouble>,
}

/// Why a body could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BodyTrouble {
    /// The connection ended within the body.
    Cut,
    /// The body is larger than any page can be.
    TooLarge,
}

/// Sorts an answer into its class; `closed` is what the budget made of a 429.
///
/// # Errors
/// The class of trouble, for everything that is no 2xx with a body.
pub(super) fn classify(received: &Received, closed: impl FnOnce() -> Closed) -> Result<(), Trouble> {
    let status = received.status;
    match status.as_u16() {
        200..=299 => Ok(()),
        300..=399 => Err(Trouble::Unexpected(format!(
            "a redirect ({status}), which is never followed: check the API base and the proxies in between"
        ))),
        401 => Err(Trouble::TokenRejected),
        403 => Err(Trouble::Forbidden),
        404 => Err(Trouble::NotFound),
        408 => Err(Trouble::Unavailable(Cause::Status(status))),
        429 => Err(Trouble::RateLimited(closed())),
        400..=499 => Err(Trouble::Rejected(status)),
        _ => Err(Trouble::Unavailable(Cause::Status(status))),
    }
}

/// Reads a 2xx answer's body as `T`.
///
/// # Errors
/// `Unavailable` where there is no whole JSON text, `Unexpected` where it is JSON of another shape.
pub(super) fn decode<T: DeserializeOwned>(received: &Received) -> Result<T, Trouble> {
    let body = match &received.body {
        Ok(body) => body,
        Err(BodyTrouble::Cut) => return Err(Trouble::Unavailable(Cause::CutShort)),
        Err(BodyTrouble::TooLarge) => {
            return Err(Trouble::Unexpected("a body larger than any page can be".to_owned()));
        }
    };
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Data => Trouble::Unexpected(redact(&error.to_string())),
        _ if is_html(&received.headers, body) => Trouble::Unavailable(Cause::Html),
        Category::Io | Category::Syntax | Category::Eof => Trouble::Unavailable(Cause::CutShort),
    })
}

/// What Buildkite said about a refusal: its `message`, or a short plain text.
pub(super) fn message(received: &Received) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Refusal {
        message: String,
    }
    let body = received.body.as_ref().ok()?;
    let text = match serde_json::from_slice::<Refusal>(body) {
        Ok(refusal) => refusal.message,
        Err(_) if is_html(&received.headers, body) => return Some("(an HTML page: is a proxy in between?)".to_owned()),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let clean = redact(&text);
    (!clean.is_empty()).then_some(clean)
}

fn is_html(headers: &HeaderMap, body: &[u8]) -> bool {
    let declared = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.to_ascii_lowercase().contains("html"));
    declared || body.trim_ascii_start().starts_with(b"<")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn received(status: u16, body: &'static str) -> Received {
        Received {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Ok(Bytes::from_static(body.as_bytes())),
        }
    }

    fn class(received: &Received) -> Result<Vec<u8>, Trouble> {
        classify(received, Closed::unknown).and_then(|()| decode(received))
    }

    #[rstest]
    #[case(200, "[1]", Ok(vec![1]))]
    #[case(201, "[]", Ok(vec![]))]
    #[case(401, "", Err(Trouble::TokenRejected))]
    #[case(403, "<html>", Err(Trouble::Forbidden))]
    #[case(404, "", Err(Trouble::NotFound))]
    #[case(408, "", Err(Trouble::Unavailable(Cause::Status(StatusCode::REQUEST_TIMEOUT))))]
    #[case(409, "{}", Err(Trouble::Rejected(StatusCode::CONFLICT)))]
    #[case(422, "{}", Err(Trouble::Rejected(StatusCode::UNPROCESSABLE_ENTITY)))]
    #[case(429, "", Err(Trouble::RateLimited(Closed::unknown())))]
    #[case(500, "", Err(Trouble::Unavailable(Cause::Status(StatusCode::INTERNAL_SERVER_ERROR))))]
    #[case(502, "<html>", Err(Trouble::Unavailable(Cause::Status(StatusCode::BAD_GATEWAY))))]
    #[case(200, "<html>", Err(Trouble::Unavailable(Cause::Html)))]
    #[case(200, "", Err(Trouble::Unavailable(Cause::CutShort)))]
    #[case(200, "[1,", Err(Trouble::Unavailable(Cause::CutShort)))]
    #[case(200, "ok", Err(Trouble::Unavailable(Cause::CutShort)))]
    fn each_row_of_the_table_holds(
        #[case] status: u16,
        #[case] body: &'static str,
        #[case] expected: Result<Vec<u8>, Trouble>,
    ) {
        assert_eq!(class(&received(status, body)), expected);
    }

    #[rstest]
    #[case(200, "null")]
    #[case(200, "{}")]
    #[case(200, "[\"a\"]")]
    #[case(302, "")]
    fn another_shape_is_unexpected(#[case] status: u16, #[case] body: &'static str) {
        assert!(matches!(class(&received(status, body)), Err(Trouble::Unexpected(_))));
    }

    #[test]
    fn a_message_is_buildkites_own_and_redacted() {
        let quoted = received(403, r#"{"message":"token bkua_0123456789abcdef0123 is not allowed"}"#);
        assert_eq!(message(&quoted).unwrap(), "token [redacted] is not allowed");
        assert_eq!(message(&received(403, "Forbidden")).unwrap(), "Forbidden");
        assert_eq!(message(&received(403, "")), None);
        assert!(
            !message(&received(403, "<html>secret</html>"))
                .unwrap()
                .contains("secret")
        );
    }

    proptest! {
        #[test]
        fn every_status_and_body_has_a_class_and_only_2xx_is_an_answer(
            status in 100u16..=999, body in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let received = Received {
                status: StatusCode::from_u16(status).unwrap(),
                headers: HeaderMap::new(),
                body: Ok(Bytes::from(body)),
            };
            if class(&received).is_ok() {
                prop_assert!(received.status.is_success());
            }
            let _ = message(&received);
        }
    }
}
