//! The one classification: every outcome of a call falls into exactly one class.
//!
//! | outcome | class |
//! | --- | --- |
//! | a read's 200 with JSON of the expected shape | the answer |
//! | a read's other 2xx: it may be part of the answer, or an old one | `Unexpected` |
//! | a write's 2xx | accepted; [`echo`] says what of its body is believed |
//! | 2xx with well-formed JSON of another shape; 3xx (never followed); a body too large to be a page | `Unexpected` |
//! | 2xx with a content type other than JSON, an empty body, or one that is cut or no JSON, whatever it begins with | `Unavailable` |
//! | 401 | `TokenRejected` |
//! | 403 | `Forbidden` |
//! | 404 | `NotFound` |
//! | 408, 5xx | `Unavailable` |
//! | 429 | `RateLimited` |
//! | any other 4xx: 400, 409, 422 … | `Rejected` |
//! | no connection, a broken one, silence | `Unavailable` |
//!
//! A status of the 4xx family is believed whatever the body, because Buildkite documents bare and empty bodies for it. What
//! a 404 proves about somebody's access is another question, and [`crate::governance`] never answers it from one 404 alone.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;

use super::endpoint::Endpoint;
use super::error::{ApiErrorKind, Unavailability};
use crate::providers::buildkite::budget::LimitExceeded;
use crate::telemetry::redact::redact;

/// What came back from the network.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The body, or why there is none.
    pub(crate) body: Result<Bytes, BodyTrouble>,
}

/// Why a body could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BodyTrouble {
    /// The connection ended within the body.
    Cut,
    /// The body is larger than any page can be.
    TooLarge,
}

/// Sorts the answer to a call of `endpoint` into its class; `closed` is what the budget made of a 429.
///
/// # Errors
/// The class of trouble, for every status other than a write's 2xx and a read's 200.
pub(crate) fn classify(
    received: &Received,
    endpoint: Endpoint,
    closed: impl FnOnce() -> LimitExceeded,
) -> Result<(), ApiErrorKind> {
    let status = received.status;
    match status.as_u16() {
        200 => Ok(()),
        201..=299 if endpoint.is_write() => Ok(()),
        // Accepted and not done yet, changed by a proxy, a part: none of them is known to be the whole answer.
        201..=299 => Err(ApiErrorKind::Unexpected(format!(
            "status {status}, where a read is answered with 200: check the API base and the proxies in between"
        ))),
        300..=399 => Err(ApiErrorKind::Unexpected(format!(
            "a redirect ({status}), which is never followed: check the API base and the proxies in between"
        ))),
        401 => Err(ApiErrorKind::TokenRejected),
        403 => Err(ApiErrorKind::Forbidden),
        404 => Err(ApiErrorKind::NotFound),
        408 => Err(ApiErrorKind::Unavailable(Unavailability::Status(status))),
        429 => Err(ApiErrorKind::RateLimited(closed())),
        400..=499 => Err(ApiErrorKind::Rejected(status)),
        _ => Err(ApiErrorKind::Unavailable(Unavailability::Status(status))),
    }
}

/// Reads a 2xx answer's body as `T`.
///
/// # Errors
/// `Unavailable` where there is no whole JSON text or it is declared as something else, `Unexpected` where it is JSON of
/// another shape.
pub(crate) fn decode<T: DeserializeOwned>(received: &Received) -> Result<T, ApiErrorKind> {
    let body = match &received.body {
        Ok(body) => body,
        Err(BodyTrouble::Cut) => return Err(ApiErrorKind::Unavailable(Unavailability::TruncatedBody)),
        Err(BodyTrouble::TooLarge) => {
            return Err(ApiErrorKind::Unexpected(
                "a body larger than any page can be".to_owned(),
            ));
        }
    };
    if let Some(other) = other_content_type(&received.headers) {
        return Err(ApiErrorKind::Unavailable(if is_html(&received.headers, body) {
            Unavailability::HtmlBody
        } else {
            Unavailability::NotJson(other)
        }));
    }
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        // The reader stops at the first value of another shape: what follows may be cut all the same.
        Category::Data if is_json(body) => ApiErrorKind::Unexpected(redact(&error.to_string())),
        _ if is_html(&received.headers, body) => ApiErrorKind::Unavailable(Unavailability::HtmlBody),
        _ => ApiErrorKind::Unavailable(Unavailability::TruncatedBody),
    })
}

/// What an accepted write echoes, where that can be believed: none where the status is none that is documented with a body
/// (a 202 says that it is not done yet), or where the body is no `T`.
pub(crate) fn echo<T: DeserializeOwned>(received: &Received) -> Option<T> {
    matches!(received.status, StatusCode::OK | StatusCode::CREATED)
        .then(|| decode(received).ok())
        .flatten()
}

/// What Buildkite said about a refusal: its `message`, or a short plain text. An answer's rows are no message.
pub(crate) fn message(received: &Received) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Refusal {
        message: String,
    }
    if received.status.is_success() {
        return None;
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

/// Whether the body is one whole JSON text, of any shape.
fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(body).is_ok()
}

/// The first content type that is not JSON's, if any is declared.
fn other_content_type(headers: &HeaderMap) -> Option<String> {
    let mut declared = headers
        .get_all(header::CONTENT_TYPE)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase());
    declared.find_map(|value| {
        let essence = value.split(';').next().unwrap_or_default().trim();
        (essence != "application/json" && !essence.ends_with("+json")).then(|| redact(essence))
    })
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
    use http::HeaderValue;
    use proptest::prelude::*;
    use rstest::rstest;
    use uuid::Uuid;

    use super::*;

    fn received(status: u16, body: &'static str) -> Received {
        Received {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Ok(Bytes::from_static(body.as_bytes())),
        }
    }

    fn declared(content_type: &'static str, body: &'static str) -> Received {
        let mut received = received(200, body);
        let value = HeaderValue::from_static(content_type);
        received.headers.insert(header::CONTENT_TYPE, value);
        received
    }

    fn class(received: &Received) -> Result<Vec<u8>, ApiErrorKind> {
        classify(received, Endpoint::Teams, LimitExceeded::unknown).and_then(|()| decode(received))
    }

    #[rstest]
    #[case(200, "[1]", Ok(vec![1]))]
    #[case(401, "", Err(ApiErrorKind::TokenRejected))]
    #[case(403, "<html>", Err(ApiErrorKind::Forbidden))]
    #[case(404, "", Err(ApiErrorKind::NotFound))]
    #[case(
        408,
        "",
        Err(ApiErrorKind::Unavailable(Unavailability::Status(StatusCode::REQUEST_TIMEOUT)))
    )]
    #[case(409, "{}", Err(ApiErrorKind::Rejected(StatusCode::CONFLICT)))]
    #[case(422, "{}", Err(ApiErrorKind::Rejected(StatusCode::UNPROCESSABLE_ENTITY)))]
    #[case(429, "", Err(ApiErrorKind::RateLimited(LimitExceeded::unknown())))]
    #[case(
        500,
        "",
        Err(ApiErrorKind::Unavailable(Unavailability::Status(StatusCode::INTERNAL_SERVER_ERROR)))
    )]
    #[case(
        502,
        "<html>",
        Err(ApiErrorKind::Unavailable(Unavailability::Status(StatusCode::BAD_GATEWAY)))
    )]
    #[case(200, "<html>", Err(ApiErrorKind::Unavailable(Unavailability::HtmlBody)))]
    #[case(200, "", Err(ApiErrorKind::Unavailable(Unavailability::TruncatedBody)))]
    #[case(200, "[1,", Err(ApiErrorKind::Unavailable(Unavailability::TruncatedBody)))]
    #[case(200, "[\"a\",", Err(ApiErrorKind::Unavailable(Unavailability::TruncatedBody)))]
    #[case(
        200,
        "{\"role\": \"mai",
        Err(ApiErrorKind::Unavailable(Unavailability::TruncatedBody))
    )]
    #[case(
        200,
        "{} <!-- cached -->",
        Err(ApiErrorKind::Unavailable(Unavailability::TruncatedBody))
    )]
    #[case(200, "ok", Err(ApiErrorKind::Unavailable(Unavailability::TruncatedBody)))]
    fn each_row_of_the_table_holds(
        #[case] status: u16,
        #[case] body: &'static str,
        #[case] expected: Result<Vec<u8>, ApiErrorKind>,
    ) {
        assert_eq!(class(&received(status, body)), expected);
    }

    #[rstest]
    #[case(200, "null")]
    #[case(200, "{}")]
    #[case(200, "[\"a\"]")]
    #[case(201, "[1]")]
    #[case(202, "[1]")]
    #[case(203, "[1]")]
    #[case(204, "")]
    #[case(206, "[1]")]
    #[case(302, "")]
    fn another_shape_or_success_is_unexpected(#[case] status: u16, #[case] body: &'static str) {
        assert!(matches!(
            class(&received(status, body)),
            Err(ApiErrorKind::Unexpected(_))
        ));
    }

    #[rstest]
    #[case("application/json", true)]
    #[case("Application/JSON; charset=UTF-8", true)]
    #[case("application/json;charset=utf-8", true)]
    #[case("application/vnd.api+json", true)]
    #[case("text/html; charset=utf-8", false)]
    #[case("text/plain", false)]
    #[case("application/jsonp", false)]
    #[case("", false)]
    fn json_is_believed_only_where_it_is_declared_as_nothing_else(
        #[case] content_type: &'static str,
        #[case] believed: bool,
    ) {
        match class(&declared(content_type, "[]")) {
            Ok(rows) => assert!(believed && rows.is_empty()),
            Err(ApiErrorKind::Unavailable(Unavailability::HtmlBody | Unavailability::NotJson(_))) => assert!(!believed),
            Err(other) => panic!("{other}"),
        }
    }

    #[rstest]
    #[case(200, "[1]", Some(vec![1]))]
    #[case(201, "[1]", Some(vec![1]))]
    #[case(202, "[1]", None)]
    #[case(204, "", None)]
    #[case(206, "[1]", None)]
    #[case(201, "[1,", None)]
    fn an_accepted_write_is_no_failure_and_its_echo_counts_where_one_is_documented(
        #[case] status: u16,
        #[case] body: &'static str,
        #[case] expected: Option<Vec<u8>>,
    ) {
        let received = received(status, body);
        assert_eq!(
            classify(
                &received,
                Endpoint::AddMember(Uuid::nil().into()),
                LimitExceeded::unknown
            ),
            Ok(())
        );
        assert_eq!(echo::<Vec<u8>>(&received), expected);
    }

    #[test]
    fn a_message_is_buildkites_own_and_redacted() {
        let quoted = received(403, r#"{"message":"token bkua_0123456789abcdef0123 is not allowed"}"#);
        assert_eq!(message(&quoted).unwrap(), "token [redacted] is not allowed");
        assert_eq!(message(&received(403, "Forbidden")).unwrap(), "Forbidden");
        assert_eq!(message(&received(403, "")), None);
        assert_eq!(message(&received(206, r#"[{"email":"ada@example.com"}]"#)), None);
        assert!(
            !message(&received(403, "<html>secret</html>"))
                .unwrap()
                .contains("secret")
        );
    }

    proptest! {
        #[test]
        fn every_status_and_body_has_a_class_and_only_a_200_answers_a_read(
            status in 100u16..=999, body in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let received = Received {
                status: StatusCode::from_u16(status).unwrap(),
                headers: HeaderMap::new(),
                body: Ok(Bytes::from(body)),
            };
            if class(&received).is_ok() {
                prop_assert_eq!(received.status, StatusCode::OK);
            }
            let _ = message(&received);
        }
    }
}
