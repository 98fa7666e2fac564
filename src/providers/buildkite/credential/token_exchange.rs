//! Tokens from a token exchange (RFC 8693; reference, section 5.5): the connector authenticates as an OAuth application
//! with an assertion that its private key signed, and receives a token that is valid for a while.

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::header;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use tokio::time::Instant;
use uuid::Uuid;

use super::authorization::Authorization;
use super::exchange_response::{ExchangeError, Requested, decode};
use super::oauth_url::{OAuthSubject, OAuthUrl};
use super::renewed::{Held, ObtainFailure, Obtained, Renewed};
use super::secret_file::SecretFile;
use super::signing_key::SigningKey;
use super::token::ApiToken;
use super::upstream::Upstream;
use crate::providers::buildkite::api::client::transport::{RequestTimer, cause, read_body};
use crate::providers::buildkite::api::clock_skew::ClockSkew;
use crate::providers::buildkite::api::error::{ApiErrorKind, Unavailability};
use crate::providers::buildkite::api::ids::OrganizationSlug;
use crate::providers::buildkite::api::response_class::{BodyError, RawResponse};
use crate::providers::buildkite::api::scope::Scope;

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The name of the request in the metrics.
const TOKEN_EXCHANGE: &str = "token exchange";

/// How long an assertion is valid, in seconds. Buildkite accepts up to five minutes by its own clock, so that this is
/// accepted although the local clock is up to two minutes off.
const VALIDITY: i64 = 150;

/// A refused exchange is repeated once if its response shows that the clock was assumed wrong by more than this.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(5);

/// A larger body is no response of a token endpoint.
const MAX_BODY_BYTES: usize = 1 << 20;

/// What a token exchange requests.
#[derive(Debug, Clone)]
pub struct TokenExchangeOptions {
    /// The client id of the OAuth application.
    pub client_id: String,
    /// The user that tokens are for.
    pub subject: OAuthSubject,
    /// The token endpoint.
    pub url: OAuthUrl,
    /// The organization that tokens are for.
    pub organization: OrganizationSlug,
}

/// A credential that exchanges tokens.
#[derive(Debug)]
pub(super) struct TokenExchange {
    client: Arc<ExchangeClient>,
    renewed: Renewed<ApiToken, ExchangeError>,
}

#[derive(Debug)]
struct ExchangeClient {
    http: reqwest::Client,
    options: TokenExchangeOptions,
    /// The scopes that tokens are to have, separated by spaces.
    scopes: ArcSwap<String>,
    key: SecretFile<SigningKey>,
    /// The clock skew of the token endpoint.
    clock_skew: ClockSkew,
}

/// The claims of a client assertion.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
    jti: Uuid,
}

#[derive(Serialize)]
struct Form<'a> {
    grant_type: &'static str,
    client_assertion_type: &'static str,
    client_assertion: &'a str,
    subject_token: &'a str,
    subject_token_type: &'static str,
    audience: &'a str,
    scope: &'a str,
}

impl TokenExchange {
    pub(super) fn new(http: reqwest::Client, options: TokenExchangeOptions, key: SecretFile<SigningKey>) -> Self {
        Self {
            client: Arc::new(ExchangeClient {
                http,
                options,
                scopes: ArcSwap::default(),
                key,
                clock_skew: ClockSkew::default(),
            }),
            renewed: Renewed::new(),
        }
    }

    /// Requests these scopes from the next exchange on.
    pub(super) fn request_scopes(&self, scopes: &BTreeSet<Scope>) {
        let scopes: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
        self.client.scopes.store(Arc::new(scopes.join(" ")));
    }

    pub(super) fn key(&self) -> &SecretFile<SigningKey> {
        &self.client.key
    }

    /// A token that is valid now.
    ///
    /// # Errors
    /// The failure of the last exchange, if no token is valid any more.
    pub(super) async fn token(&self, upstream: &Upstream) -> Result<Arc<Held<ApiToken>>, ApiErrorKind> {
        let (client, upstream) = (Arc::clone(&self.client), upstream.clone());
        let held = self.renewed.current(|| async move { client.obtain(&upstream).await });
        held.await.map_err(error_kind)
    }

    /// The header with a token that is valid now.
    ///
    /// # Errors
    /// As for [`Self::token`].
    pub(super) async fn authorization(&self, upstream: &Upstream) -> Result<Arc<Authorization>, ApiErrorKind> {
        let held = self.token(upstream).await?;
        let authorization = Authorization::bearer(&held.value, held.version);
        authorization.map(Arc::new).ok_or(ApiErrorKind::TokenRejected)
    }

    /// Describes why no token was available.
    pub(super) fn unavailable(&self, cause: Unavailability) -> Unavailability {
        Unavailability::TokenExchange {
            cause: Box::new(cause),
            has_ended: self.renewed.has_ended(),
        }
    }

    /// Discards a token that was rejected. Returns false if another one would not help.
    pub(super) async fn discard(&self, rejected: &Authorization) -> bool {
        self.reload().await;
        self.renewed.reject(rejected.version())
    }

    /// Reads the key's file. A new key ends the memory of a refusal.
    pub(super) async fn reload(&self) {
        let before = self.client.key.current().number;
        if self.client.key.refresh_if_changed(before).await {
            self.renewed.forget_failure();
        }
    }
}

impl ExchangeClient {
    /// Exchanges a token. After a refusal whose response shows that the clock was assumed wrong, it is tried once more.
    async fn obtain(&self, upstream: &Upstream) -> Result<Obtained<ApiToken>, ExchangeError> {
        let assumed = self.server_ahead(upstream);
        let outcome = self.exchange(assumed, upstream).await;
        let shown = self.server_ahead(upstream);
        let outcome = match outcome {
            Err(ExchangeError::Refused(_)) if (shown - assumed).abs() > CLOCK_TOLERANCE => {
                self.exchange(shown, upstream).await
            }
            outcome => outcome,
        };
        match &outcome {
            Ok(_) => tracing::info!("a token was exchanged"),
            Err(error) => tracing::warn!(%error, "no token was exchanged"),
        }
        outcome
    }

    /// How far the clock of the token endpoint is ahead, as far as it is known.
    fn server_ahead(&self, upstream: &Upstream) -> SignedDuration {
        let own = self.clock_skew.server_ahead();
        own.or_else(|| upstream.clock_skew.server_ahead()).unwrap_or_default()
    }

    async fn exchange(&self, ahead: SignedDuration, upstream: &Upstream) -> Result<Obtained<ApiToken>, ExchangeError> {
        let requested_at = Instant::now();
        let assertion = self.assertion(ahead)?;
        let timer = RequestTimer::start(TOKEN_EXCHANGE, upstream.tag.clone());
        let response = tokio::time::timeout(upstream.timeout, self.send(&assertion)).await;
        let response = response.unwrap_or(Err(Unavailability::Timeout(upstream.timeout)))?;
        timer.stop(response.status);
        self.clock_skew.observe(&response.headers, Timestamp::now());
        let requested = Requested {
            scopes: &self.scopes.load(),
            organization: self.options.organization.as_str(),
        };
        let (value, life) = decode(&response, &requested)?;
        Ok(Obtained {
            value,
            requested_at,
            life,
        })
    }

    fn assertion(&self, ahead: SignedDuration) -> Result<SecretString, ExchangeError> {
        let now = Timestamp::now().checked_add(ahead).unwrap_or_else(|_| Timestamp::now());
        let claims = Claims {
            iss: &self.options.client_id,
            sub: &self.options.client_id,
            aud: self.options.url.as_str(),
            iat: now.as_second(),
            exp: now.as_second() + VALIDITY,
            jti: Uuid::new_v4(),
        };
        self.key
            .current()
            .secret
            .sign(&claims)
            .ok_or_else(ExchangeError::signing)
    }

    async fn send(&self, assertion: &SecretString) -> Result<RawResponse, Unavailability> {
        let (subject_token, subject_token_type) = self.options.subject.parameters();
        let form = Form {
            grant_type: GRANT_TYPE,
            client_assertion_type: ASSERTION_TYPE,
            client_assertion: assertion.expose_secret(),
            subject_token: &subject_token,
            subject_token_type,
            audience: self.options.organization.as_str(),
            scope: &self.scopes.load(),
        };
        let request = self.http.post(self.options.url.as_str());
        let request = request.header(header::ACCEPT, "application/json").form(&form);
        let response = request.send().await.map_err(|error| cause(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        match read_body(response, MAX_BODY_BYTES).await {
            Err(BodyError::Truncated) => Err(Unavailability::TruncatedBody),
            body => Ok(RawResponse { status, headers, body }),
        }
    }
}

fn error_kind(failure: ObtainFailure<ExchangeError>) -> ApiErrorKind {
    match failure.error {
        ExchangeError::Refused(refusal) => ApiErrorKind::CredentialRefused(refusal),
        ExchangeError::Unavailable(cause) => ApiErrorKind::Unavailable(Unavailability::TokenExchange {
            cause: Box::new(cause),
            has_ended: failure.has_ended,
        }),
    }
}
