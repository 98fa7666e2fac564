//! The response of the token endpoint (RFC 6749, section 5; RFC 8693, section 2.2).
//!
//! | response | outcome |
//! | --- | --- |
//! | 200 with a bearer token | the token, and for how long it is valid |
//! | 4xx with an `error` of RFC 6749 | refused, with that error; `temporarily_unavailable` and `server_error` are an outage |
//! | 408, 429, 5xx, HTML | an outage |
//! | any other 4xx | refused |
//! | 3xx (never followed), or a success without a token | refused as unexpected |

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::refusal::{CredentialRefusal, RefusalCause};
use super::renewed::ObtainError;
use super::token::ApiToken;
use crate::providers::buildkite::api::error::{ApiErrorKind, Unavailability};
use crate::providers::buildkite::api::response_class;
use crate::providers::buildkite::api::response_class::RawResponse;
use crate::telemetry::redact::redact;

/// How long a token is valid whose response does not say so: Buildkite's default.
const DEFAULT_LIFE: u64 = 3600;

/// The longest life of a token at Buildkite.
const MAX_LIFE: u64 = 86_400;

/// Why no token was received.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ExchangeError {
    /// The token endpoint refuses, until something is corrected.
    #[error("{0}: {remedy}", remedy = .0.remedy())]
    Refused(CredentialRefusal),
    /// The token endpoint could not respond.
    #[error("the token endpoint could not be used: {0}")]
    Unavailable(#[from] Unavailability),
}

impl ExchangeError {
    /// The key cannot sign.
    pub(super) fn signing() -> Self {
        Self::Refused(CredentialRefusal::new(RefusalCause::Signing))
    }

    fn unexpected(what: &str) -> Self {
        Self::Refused(CredentialRefusal::new(RefusalCause::Unexpected(what.to_owned())))
    }
}

impl ObtainError for ExchangeError {
    fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

/// What was requested; a refusal names it.
pub(super) struct Requested<'a> {
    pub(super) scopes: &'a str,
    pub(super) organization: &'a str,
}

#[derive(Deserialize)]
struct TokenResponse {
    access_token: SecretString,
    #[serde(default)]
    token_type: Option<String>,
    #[serde(default)]
    expires_in: Option<u64>,
}

#[derive(Deserialize)]
struct ErrorResponse {
    error: String,
    #[serde(default)]
    error_description: Option<String>,
}

/// The token in a response, and for how long it is valid.
pub(super) fn decode(response: &RawResponse, requested: &Requested<'_>) -> Result<(ApiToken, Duration), ExchangeError> {
    let status = response.status;
    match status.as_u16() {
        200 => {}
        300..=399 => {
            return Err(ExchangeError::unexpected(&format!(
                "a redirect ({status}), which is never followed"
            )));
        }
        408 | 429 | 500..=599 => return Err(Unavailability::Status(status).into()),
        400..=499 => return Err(refusal(response, requested)),
        _ => return Err(ExchangeError::unexpected(&format!("status {status}"))),
    }
    let read = response_class::decode::<TokenResponse>(response).map_err(|kind| match kind {
        ApiErrorKind::Unavailable(cause) => ExchangeError::Unavailable(cause),
        _ => ExchangeError::unexpected("a success without a token"),
    })?;
    if read.token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(ExchangeError::unexpected("a token that is not a bearer token"));
    }
    let token = read.access_token.expose_secret().parse();
    let token = token.map_err(|_| ExchangeError::unexpected("a token that no request can carry"))?;
    let life = read.expires_in.unwrap_or(DEFAULT_LIFE).min(MAX_LIFE);
    Ok((token, Duration::from_secs(life)))
}

fn refusal(response: &RawResponse, requested: &Requested<'_>) -> ExchangeError {
    let status = response.status;
    let body = response.body.as_deref().unwrap_or_default();
    let Ok(error) = serde_json::from_slice::<ErrorResponse>(body) else {
        if response_class::is_html(&response.headers, body) {
            return Unavailability::HtmlBody.into();
        }
        let cause = RefusalCause::Other(status.to_string());
        let message = response_class::message(response);
        return ExchangeError::Refused(CredentialRefusal { cause, message });
    };
    let cause = match error.error.as_str() {
        "invalid_client" | "unauthorized_client" => RefusalCause::InvalidClient,
        "invalid_request" | "invalid_grant" => RefusalCause::InvalidRequest,
        "invalid_scope" => RefusalCause::InvalidScope(requested.scopes.to_owned()),
        "invalid_target" => RefusalCause::InvalidTarget(requested.organization.to_owned()),
        "temporarily_unavailable" | "server_error" => return Unavailability::Status(status).into(),
        other => RefusalCause::Other(redact(other)),
    };
    let message = error.error_description.map(|text| redact(&text));
    ExchangeError::Refused(CredentialRefusal {
        cause,
        message: message.filter(|message| !message.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue, StatusCode, header};
    use rstest::rstest;

    use super::*;

    const REQUESTED: Requested<'_> = Requested {
        scopes: "read_teams",
        organization: "acme",
    };

    fn response(status: u16, content_type: &'static str, body: &'static str) -> RawResponse {
        let content_type = HeaderValue::from_static(content_type);
        RawResponse {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::from_iter([(header::CONTENT_TYPE, content_type)]),
            body: Ok(Bytes::from_static(body.as_bytes())),
        }
    }

    fn outcome(status: u16, body: &'static str) -> Result<u64, ExchangeError> {
        let read = decode(&response(status, "application/json", body), &REQUESTED);
        read.map(|(_, life)| life.as_secs())
    }

    #[rstest]
    #[case(
        r#"{"access_token":"bktx_0123456789abcdef","token_type":"Bearer","expires_in":30}"#,
        30
    )]
    #[case(r#"{"access_token":"bktx_0123456789abcdef","token_type":"bearer"}"#, 3600)]
    #[case(
        r#"{"access_token":"bktx_0123456789abcdef","expires_in":18446744073709551615}"#,
        86_400
    )]
    fn a_token_is_valid_for_as_long_as_the_response_says(#[case] body: &'static str, #[case] life: u64) {
        assert_eq!(outcome(200, body), Ok(life));
    }

    #[rstest]
    #[case(401, r#"{"error":"invalid_client"}"#, RefusalCause::InvalidClient)]
    #[case(400, r#"{"error":"invalid_request"}"#, RefusalCause::InvalidRequest)]
    #[case(400, r#"{"error":"invalid_grant"}"#, RefusalCause::InvalidRequest)]
    #[case(400, r#"{"error":"invalid_scope"}"#, RefusalCause::InvalidScope("read_teams".to_owned()))]
    #[case(400, r#"{"error":"invalid_target"}"#, RefusalCause::InvalidTarget("acme".to_owned()))]
    #[case(
        400,
        r#"{"error":"unsupported_grant_type"}"#,
        RefusalCause::Other("unsupported_grant_type".to_owned())
    )]
    #[case(404, "{}", RefusalCause::Other("404 Not Found".to_owned()))]
    #[case(
        302,
        "",
        RefusalCause::Unexpected("a redirect (302 Found), which is never followed".to_owned())
    )]
    #[case(200, "{}", RefusalCause::Unexpected("a success without a token".to_owned()))]
    #[case(
        200,
        r#"{"access_token":"bkct_0123456789abcdef"}"#,
        RefusalCause::Unexpected("a token that no request can carry".to_owned())
    )]
    #[case(
        200,
        r#"{"access_token":"bktx_0123456789abcdef","token_type":"mac"}"#,
        RefusalCause::Unexpected("a token that is not a bearer token".to_owned())
    )]
    fn each_refusal_has_its_cause(#[case] status: u16, #[case] body: &'static str, #[case] cause: RefusalCause) {
        let Err(ExchangeError::Refused(refusal)) = outcome(status, body) else {
            panic!("{status} {body} is not refused");
        };
        assert_eq!(refusal.cause, cause);
    }

    #[test]
    fn the_description_of_a_refusal_is_quoted_without_secrets() {
        let body = r#"{"error":"invalid_client","error_description":"no eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln"}"#;
        let error = outcome(401, body).unwrap_err().to_string();
        assert!(
            error.contains("\"no [redacted]\"") && error.contains("--oauth-client-id"),
            "{error}"
        );
    }

    #[rstest]
    #[case(502, "text/html", "<html>")]
    #[case(503, "application/json", r#"{"error":"invalid_client"}"#)]
    #[case(429, "application/json", "{}")]
    #[case(400, "application/json", r#"{"error":"temporarily_unavailable"}"#)]
    #[case(403, "text/html", "<html>blocked</html>")]
    #[case(200, "text/html", "<html>log in</html>")]
    #[case(200, "application/json", r#"{"access_token":"#)]
    fn an_outage_or_a_proxy_is_no_refusal(
        #[case] status: u16,
        #[case] content_type: &'static str,
        #[case] body: &'static str,
    ) {
        let read = decode(&response(status, content_type, body), &REQUESTED);
        assert!(matches!(read, Err(ExchangeError::Unavailable(_))), "{read:?}");
    }
}
