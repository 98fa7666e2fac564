//! Classification of responses: every outcome of a call has exactly one class.
//!
//! | outcome | class |
//! | --- | --- |
//! | any status but 401 and 429 to a path that is read as it is (`rest_path.rs`) | the response |
//! | a 200 to a read, with JSON of the expected shape | the response |
//! | another 2xx to a read: it may be partial or stale | `Unexpected` |
//! | a 2xx to a write | accepted; `echo` says which part of its body is trusted |
//! | 2xx with well-formed JSON of another shape; 3xx (never followed); a body too large to be a page | `Unexpected` |
//! | 2xx with a content type other than JSON, or a body that is empty, truncated or not JSON | `Unavailable` |
//! | 401 | `TokenRejected` |
//! | 403 | `Forbidden` |
//! | 404 | `NotFound` |
//! | 408, 5xx | `Unavailable` |
//! | 429 | `RateLimited` |
//! | any other 4xx: 400, 409, 422 … | `Rejected` |
//! | no connection, a connection reset, a timeout | `Unavailable` |
//!
//! A 4xx status is trusted whatever the body, because Buildkite documents bare and empty bodies for it. What a class
//! means for governance, a 403 for example, is decided in `error_meaning.rs`, and whether a 404 proves absence in `absence.rs`,
//! never from a single 404; both are in `src/providers/buildkite`.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;

use super::endpoint::Endpoint;
use super::error::{ApiErrorKind, Unavailability};
use crate::governance::rate_limit::LimitExceeded;
use crate::telemetry::redact::redact;

/// A response as received from the network.
#[derive(Debug)]
pub(crate) struct RawResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The body, or why it could not be read.
    pub(crate) body: Result<Bytes, BodyError>,
}

/// Why a body could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// The connection ended within the body.
    Truncated,
    /// The body is larger than any page can be.
    TooLarge,
}

/// Classifies the response to a call of `endpoint`; `limit` is the limit that a 429 reports.
///
/// # Errors
/// The error class, for every status except a 2xx to a write and a 200 to a read.
pub(crate) fn classify(
    response: &RawResponse,
    endpoint: Endpoint,
    limit: impl FnOnce() -> LimitExceeded,
) -> Result<(), ApiErrorKind> {
    let status = response.status;
    match status.as_u16() {
        // A path that is read as it is passes any other status on.
        code if endpoint == Endpoint::Rest && !matches!(code, 401 | 429) => Ok(()),
        200 => Ok(()),
        201..=299 if endpoint.is_write() => Ok(()),
        // Accepted but not completed, transformed by a proxy, or partial: none is known to be the complete response.
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
        429 => Err(ApiErrorKind::RateLimited(limit())),
        400..=499 => Err(ApiErrorKind::Rejected(status)),
        _ => Err(ApiErrorKind::Unavailable(Unavailability::Status(status))),
    }
}

/// Decodes the body of a 2xx response as `T`.
///
/// # Errors
/// `Unavailable` if the body is not complete JSON or declared as another type, `Unexpected` if it is JSON of another
/// shape.
pub(crate) fn decode<T: DeserializeOwned>(response: &RawResponse) -> Result<T, ApiErrorKind> {
    let body = match &response.body {
        Ok(body) => body,
        Err(BodyError::Truncated) => return Err(ApiErrorKind::Unavailable(Unavailability::TruncatedBody)),
        Err(BodyError::TooLarge) => {
            return Err(ApiErrorKind::Unexpected(
                "a body larger than any page can be".to_owned(),
            ));
        }
    };
    if let Some(other) = other_content_type(&response.headers) {
        return Err(ApiErrorKind::Unavailable(if is_html(&response.headers, body) {
            Unavailability::HtmlBody
        } else {
            Unavailability::NotJson(other)
        }));
    }
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        // The parser stops at the first value of another shape: the rest may still be truncated.
        Category::Data if is_json(body) => ApiErrorKind::Unexpected(redact(&error.to_string())),
        _ if is_html(&response.headers, body) => ApiErrorKind::Unavailable(Unavailability::HtmlBody),
        _ => ApiErrorKind::Unavailable(Unavailability::TruncatedBody),
    })
}

/// The row that an accepted write echoes, if it can be trusted: `None` if the status is not documented with a body (a
/// 202 means that the write is not completed), or if the body is not a `T`.
pub(crate) fn echo<T: DeserializeOwned>(response: &RawResponse) -> Option<T> {
    matches!(response.status, StatusCode::OK | StatusCode::CREATED)
        .then(|| decode(response).ok())
        .flatten()
}

/// The message of an error response: its `message`, or a short plain text. The body of a 2xx response is not a
/// message.
pub(crate) fn message(response: &RawResponse) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct ErrorBody {
        message: String,
    }
    if response.status.is_success() {
        return None;
    }
    let body = response.body.as_ref().ok()?;
    let text = match serde_json::from_slice::<ErrorBody>(body) {
        Ok(error) => error.message,
        Err(_) if is_html(&response.headers, body) => return Some("(an HTML page: is a proxy in between?)".to_owned()),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let clean = redact(&text);
    (!clean.is_empty()).then_some(clean)
}

/// Whether the body is one complete JSON text of any shape.
fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(body).is_ok()
}

/// The first declared content type that is not JSON.
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

/// Whether the body is an HTML page, as a proxy or a login page sends it.
pub(crate) fn is_html(headers: &HeaderMap, body: &[u8]) -> bool {
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

    use super::*;

    fn response(status: u16, body: &'static str) -> RawResponse {
        RawResponse {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Ok(Bytes::from_static(body.as_bytes())),
        }
    }

    fn declared(content_type: &'static str, body: &'static str) -> RawResponse {
        let mut declared = response(200, body);
        let value = HeaderValue::from_static(content_type);
        declared.headers.insert(header::CONTENT_TYPE, value);
        declared
    }

    fn class(response: &RawResponse) -> Result<Vec<u8>, ApiErrorKind> {
        classify(response, Endpoint::Teams, LimitExceeded::unknown).and_then(|()| decode(response))
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
        assert_eq!(class(&response(status, body)), expected);
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
            class(&response(status, body)),
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
    fn json_is_trusted_only_if_it_is_not_declared_as_another_type(
        #[case] content_type: &'static str,
        #[case] trusted: bool,
    ) {
        match class(&declared(content_type, "[]")) {
            Ok(rows) => assert!(trusted && rows.is_empty()),
            Err(ApiErrorKind::Unavailable(Unavailability::HtmlBody | Unavailability::NotJson(_))) => assert!(!trusted),
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
    fn an_accepted_write_succeeds_and_its_echo_is_trusted_where_one_is_documented(
        #[case] status: u16,
        #[case] body: &'static str,
        #[case] expected: Option<Vec<u8>>,
    ) {
        let response = response(status, body);
        assert_eq!(classify(&response, Endpoint::AddMember, LimitExceeded::unknown), Ok(()));
        assert_eq!(echo::<Vec<u8>>(&response), expected);
    }

    #[test]
    fn the_message_of_an_error_is_redacted() {
        let quoted = response(403, r#"{"message":"token bkua_0123456789abcdef0123 is not allowed"}"#);
        assert_eq!(message(&quoted).unwrap(), "token [redacted] is not allowed");
        assert_eq!(message(&response(403, "Forbidden")).unwrap(), "Forbidden");
        assert_eq!(message(&response(403, "")), None);
        assert_eq!(message(&response(206, r#"[{"email":"ada@example.com"}]"#)), None);
        assert!(
            !message(&response(403, "<html>secret</html>"))
                .unwrap()
                .contains("secret")
        );
    }

    proptest! {
        #[test]
        fn every_status_and_body_has_a_class_and_a_read_needs_a_200(
            status in 100u16..=999, body in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let response = RawResponse {
                status: StatusCode::from_u16(status).unwrap(),
                headers: HeaderMap::new(),
                body: Ok(Bytes::from(body)),
            };
            if class(&response).is_ok() {
                prop_assert_eq!(response.status, StatusCode::OK);
            }
            let _ = message(&response);
        }
    }
}
