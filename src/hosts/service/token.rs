//! The access token: fetched with an assertion, and renewed before it expires; concurrent callers share one request.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tonic::metadata::AsciiMetadataValue;

use super::error::{PlatformError, is_untrusted};
use super::identity::{ClientId, ClientSecret};
use crate::telemetry::redact::redact;

const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A token is renewed a tenth of its lifetime before it expires, and at most this long before.
const MAX_RENEWAL_LEAD: Duration = Duration::from_secs(30);

/// A token, as a call sends it.
#[derive(Debug)]
pub(super) struct Token {
    header: AsciiMetadataValue,
    renewed_at: Instant,
    ends_at: Instant,
}

impl Token {
    pub(super) fn header(&self) -> AsciiMetadataValue {
        self.header.clone()
    }
}

#[derive(Deserialize)]
struct Answer {
    access_token: SecretString,
    token_type: String,
    expires_in: u64,
}

/// The source of tokens: the token endpoint, and the current token.
#[derive(Debug)]
pub(super) struct Tokens {
    http: reqwest::Client,
    url: String,
    id: ClientId,
    secret: ClientSecret,
    held: Mutex<Option<Arc<Token>>>,
}

impl Tokens {
    pub(super) fn new(http: reqwest::Client, host: &str, id: ClientId, secret: ClientSecret) -> Self {
        Self {
            http,
            url: format!("https://{host}/auth/v1/token"),
            id,
            secret,
            held: Mutex::default(),
        }
    }

    /// A valid token. Concurrent callers wait for the same request.
    pub(super) async fn current(&self) -> Result<Arc<Token>, PlatformError> {
        let mut held = self.held.lock().await;
        if let Some(token) = held.as_ref().filter(|token| Instant::now() < token.renewed_at) {
            return Ok(Arc::clone(token));
        }
        match self.fetch().await {
            Ok(token) => {
                let token = Arc::new(token);
                *held = Some(Arc::clone(&token));
                Ok(token)
            }
            // The old token is used until it expires.
            Err(error) => match held.as_ref().filter(|token| Instant::now() < token.ends_at) {
                Some(token) => {
                    tracing::warn!(%error, "the platform's token could not be renewed yet");
                    Ok(Arc::clone(token))
                }
                None => Err(error),
            },
        }
    }

    /// Drops a token that the platform did not accept, unless it was already replaced.
    pub(super) async fn discard(&self, token: &Arc<Token>) {
        let mut held = self.held.lock().await;
        if held.as_ref().is_some_and(|current| Arc::ptr_eq(current, token)) {
            *held = None;
        }
    }

    async fn fetch(&self) -> Result<Token, PlatformError> {
        let requested_at = Instant::now();
        let assertion = self.secret.assert(&self.id, Timestamp::now());
        let assertion = assertion.ok_or_else(|| PlatformError::transient("the system returned no random bytes"))?;
        let form = [
            ("client_id", self.id.as_str()),
            ("grant_type", "client_credentials"),
            ("client_assertion_type", ASSERTION),
            ("client_assertion", assertion.expose_secret()),
        ];
        let answer = self
            .http
            .post(&self.url)
            .form(&form)
            .send()
            .await
            .map_err(unreachable)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(unreachable)?;
        if status != StatusCode::OK {
            return Err(refused(status, &body));
        }
        let answer: Answer = serde_json::from_slice(&body)
            .map_err(|_| PlatformError::transient("the token endpoint answers something that is no token"))?;
        token(&answer, requested_at)
            .ok_or_else(|| PlatformError::transient("the token endpoint answers an unusable token"))
    }
}

fn token(answer: &Answer, requested_at: Instant) -> Option<Token> {
    let mut header: AsciiMetadataValue = format!("{} {}", answer.token_type, answer.access_token.expose_secret())
        .parse()
        .ok()?;
    header.set_sensitive(true);
    let life = Duration::from_secs(answer.expires_in);
    Some(Token {
        header,
        renewed_at: requested_at.checked_add(renewed_after(life))?,
        ends_at: requested_at.checked_add(life)?,
    })
}

/// How long a token with this lifetime is used before it is renewed.
fn renewed_after(life: Duration) -> Duration {
    life.saturating_sub((life / 10).min(MAX_RENEWAL_LEAD)).max(life / 2)
}

fn refused(status: StatusCode, body: &[u8]) -> PlatformError {
    #[derive(Deserialize)]
    struct Problem {
        error_description: Option<String>,
        error: Option<String>,
    }
    let problem = serde_json::from_slice::<Problem>(body).ok();
    let description = problem.and_then(|problem| problem.error_description.or(problem.error));
    let description = description
        .map(|text| format!(" (\"{}\")", redact(&text)))
        .unwrap_or_default();
    let message = format!("the token endpoint answers {status}{description}");
    let passing = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
    if status.is_client_error() && !passing.contains(&status) {
        PlatformError::Refused(message)
    } else {
        PlatformError::Transient(message)
    }
}

fn unreachable(error: reqwest::Error) -> PlatformError {
    // The URL is known from the settings.
    let error = error.without_url();
    if is_untrusted(&error) {
        return PlatformError::Untrusted;
    }
    let mut cause: &dyn Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    PlatformError::Transient(format!("the token endpoint cannot be reached ({cause})"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(3600, 3570)]
    #[case(100, 90)]
    #[case(10, 9)]
    #[case(0, 0)]
    fn a_token_is_renewed_a_tenth_of_its_life_before_its_end(#[case] life: u64, #[case] used: u64) {
        assert_eq!(renewed_after(Duration::from_secs(life)), Duration::from_secs(used));
    }

    #[rstest]
    #[case(401, true)]
    #[case(400, true)]
    #[case(408, false)]
    #[case(429, false)]
    #[case(503, false)]
    #[case(302, false)]
    fn only_a_refusal_of_the_client_is_for_good(#[case] status: u16, #[case] for_good: bool) {
        let error = refused(StatusCode::from_u16(status).unwrap(), b"<html>");
        assert_eq!(matches!(error, PlatformError::Refused(_)), for_good);
    }
}
