//! The HTTP client: [`endpoints`] has one typed method an endpoint, [`execute`] gives each request its turn at the one door,
//! [`single_flight`] makes one of those that ask the same, [`transport`] sends it.

mod endpoints;
pub(crate) mod execute;
pub(crate) mod request_timer;
pub(crate) mod single_flight;
pub(crate) mod transport;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use jiff::SignedDuration;
use tokio::time::Instant;

use super::clock_skew::Clock;
use super::ids::OrganizationSlug;
use super::origin::ApiOrigin;
use crate::providers::buildkite::budget::{BudgetOptions, BudgetState, Door};
use crate::providers::buildkite::call::Lane;
use crate::providers::buildkite::credential::token::{ApiToken, CredentialError};
use crate::providers::buildkite::credential::token_file::Credential;
use single_flight::SharedReads;
use transport::Wire;

/// Over HTTP/1.1 a connection carries one request. Nothing in HTTP/1.1 tells which request an answer belongs to but their order, so
/// that an answer too many would be taken for that of the next request: `hyper` looks for one while a connection is idle,
/// and cannot see one that comes at the moment of the next request. With this header it uses a connection for no second
/// request, whatever the other side makes of it. HTTP/2 numbers its streams; there `hyper` leaves the header out.
const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// How the client behaves; see the settings of the same names.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Time for one attempt, from connecting to the body's last byte.
    pub attempt_timeout: Duration,
    /// For how long transient trouble of a read is ridden out.
    pub retry_for: Duration,
    /// How the rate limits are spent.
    pub budget: BudgetOptions,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            attempt_timeout: Duration::from_secs(15),
            retry_for: Duration::from_secs(30),
            budget: BudgetOptions::default(),
        }
    }
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The token cannot be sent.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The HTTP library could not start, for instance because the platform has no certificate store.
    #[error("the HTTP client could not be set up: {0}")]
    Http(#[from] reqwest::Error),
}

/// Buildkite's REST API for one organization, with one token.
#[derive(Debug)]
pub struct Client {
    wire: Arc<Wire>,
    credential: Arc<Credential>,
    options: ClientOptions,
    door: Door,
    reads: SharedReads,
}

impl Client {
    /// A client that sends `token` to `origin` and to nowhere else.
    ///
    /// # Errors
    /// When the token cannot be put into a header or the HTTP library cannot start.
    pub fn new(
        origin: ApiOrigin,
        organization: OrganizationSlug,
        token: ApiToken,
        options: ClientOptions,
    ) -> Result<Self, ClientError> {
        Self::with_credential(origin, organization, token.into(), options)
    }

    /// A client whose token may be replaced while it is in use.
    ///
    /// # Errors
    /// As for a token that stays.
    pub fn with_credential(
        origin: ApiOrigin,
        organization: OrganizationSlug,
        credential: Credential,
        options: ClientOptions,
    ) -> Result<Self, ClientError> {
        let credential = Arc::new(credential);
        credential.current().authorization()?;
        let mut http = reqwest::Client::builder()
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .tls_version_min(reqwest::tls::Version::TLS_1_2)
            .gzip(true)
            .referer(false)
            .default_headers(HeaderMap::from_iter([(header::CONNECTION, CLOSE)]));
        if origin.is_loopback() {
            // The system's proxy is for the way out, and would see the token of a stand-in on this machine.
            http = http.no_proxy();
        }
        let wire = Wire {
            http: http.build()?,
            origin,
            organization,
            timeout: options.attempt_timeout,
            clock: Clock::default(),
        };
        Ok(Self {
            wire: Arc::new(wire),
            credential,
            door: Door::new(options.budget),
            reads: SharedReads::default(),
            options,
        })
    }

    /// The credential in use.
    #[must_use]
    pub fn credential(&self) -> Arc<Credential> {
        Arc::clone(&self.credential)
    }

    /// The organization that is governed.
    #[must_use]
    pub fn organization_slug(&self) -> &OrganizationSlug {
        &self.wire.organization
    }

    /// The door that every request of this client passes: how the rate limits stand, and when there will be room.
    #[must_use]
    pub fn door(&self) -> &Door {
        &self.door
    }

    /// How the request budget stands.
    #[must_use]
    pub fn budget(&self) -> BudgetState {
        self.door.state()
    }

    /// How far Buildkite's clock is ahead of this machine's; none before its first answer.
    #[must_use]
    pub fn clock_ahead(&self) -> Option<SignedDuration> {
        self.wire.clock.ahead()
    }

    /// When the last of so many requests of a lane is likely to have its turn; none where nothing is in the way.
    #[must_use]
    pub fn forecast(&self, lane: Lane, requests: u32) -> Option<Instant> {
        self.door.forecast(lane, requests)
    }
}
