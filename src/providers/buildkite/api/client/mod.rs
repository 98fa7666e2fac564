//! The HTTP client: `endpoints` has one typed method per endpoint, `execute` acquires a permit for each request
//! and retries it, `coalescing` coalesces identical reads, `transport` sends the request. An `observer` sees the
//! response to each call.

pub(crate) mod access;
mod builds;
pub(crate) mod coalescing;
mod endpoints;
pub(crate) mod execute;
mod objects;
pub(crate) mod observer;
mod people;
pub(crate) mod pool;
mod routing;
mod tls;
pub(crate) mod transport;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use jiff::SignedDuration;
use tokio::time::Instant;

use super::clock_skew::ClockSkew;
use super::ids::OrganizationSlug;
use super::origin::ApiOrigin;
use crate::governance::Lane;
use crate::governance::rate_limit::BudgetState;
use crate::providers::buildkite::budget::{BudgetOptions, Budgets, RateLimiter};
use crate::providers::buildkite::credential::Credential;
use crate::providers::buildkite::credential::token::ApiToken;
use crate::providers::buildkite::credential::upstream::Upstream;
use crate::telemetry::metrics::ConnectionTag;
use coalescing::SingleFlight;
use observer::Observer;
use pool::{CredentialSpec, Pool};
pub use tls::SharedTls;
use transport::Transport;

/// A connection carries one request over HTTP/1.1, where a response is matched to its request by order alone, so a
/// surplus response would be taken for the response to the next request. `hyper` detects one on an idle connection,
/// but not one that arrives just as the next request is sent. With this header it never reuses a connection, whatever
/// the server does. HTTP/2 numbers its streams, and `hyper` omits the header there.
const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// Options of the client; see the settings of the same names.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Timeout of one attempt, from connecting to the last byte of the body.
    pub attempt_timeout: Duration,
    /// How long transient failures of a read are retried.
    pub retry_for: Duration,
    /// Options of the rate limiter.
    pub budget: BudgetOptions,
    /// The TLS configuration, which several clients may share.
    pub tls: SharedTls,
    /// The label of the client's metrics.
    pub tag: ConnectionTag,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            attempt_timeout: Duration::from_secs(15),
            retry_for: Duration::from_secs(30),
            budget: BudgetOptions::default(),
            tls: SharedTls::default(),
            tag: ConnectionTag::default(),
        }
    }
}

/// Why a client cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The platform has no certificate store that can be used.
    #[error("TLS could not be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The HTTP library could not start.
    #[error("the HTTP client could not be set up: {0}")]
    Http(#[from] reqwest::Error),
    /// No credential may list.
    #[error(
        "every credential of the connection is for provisioning, so none may list: set the `use` of one to `any` or `sync`"
    )]
    NoneLists,
    /// Two credentials have one name.
    #[error("two credentials of the connection have the name `{0}`: give each a name of its own")]
    SameName(String),
}

/// The HTTP client of every request to Buildkite. No redirect is followed, because it could lead a credential
/// elsewhere.
///
/// # Errors
/// If the HTTP library cannot start, or the system has no certificate authorities.
pub(crate) fn http_client(is_loopback: bool, tls: &SharedTls) -> Result<reqwest::Client, ClientError> {
    let mut http = reqwest::Client::builder()
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .tls_backend_preconfigured(tls.config()?)
        .gzip(true)
        .referer(false)
        .default_headers(HeaderMap::from_iter([(header::CONNECTION, CLOSE)]));
    if is_loopback {
        // The system proxy is for outbound traffic, and would see the token of a test server on this machine.
        http = http.no_proxy();
    }
    Ok(http.build()?)
}

/// Buildkite's REST API for one organization, with one credential or several. Clones share connections, the request budget, and
/// reads in flight.
#[derive(Debug, Clone)]
pub struct Client {
    transport: Arc<Transport>,
    pool: Arc<Pool>,
    /// The credential of every request, if it is not chosen for each.
    only: Option<usize>,
    upstream: Upstream,
    options: ClientOptions,
    limiter: RateLimiter,
    reads: Arc<SingleFlight>,
    observer: Option<Arc<dyn Observer>>,
}

impl Client {
    /// Creates a client that sends `token` to `origin` only.
    ///
    /// # Errors
    /// If the HTTP library cannot start.
    pub fn new(
        origin: ApiOrigin,
        organization: OrganizationSlug,
        token: ApiToken,
        options: ClientOptions,
    ) -> Result<Self, ClientError> {
        Self::with_credential(origin, organization, token.into(), options)
    }

    /// Creates a client whose credential may be replaced or renewed while it is in use.
    ///
    /// # Errors
    /// As for [`Client::new`].
    pub fn with_credential(
        origin: ApiOrigin,
        organization: OrganizationSlug,
        credential: Credential,
        options: ClientOptions,
    ) -> Result<Self, ClientError> {
        let specs = vec![CredentialSpec::only(credential)];
        Self::with_credentials(origin, organization, specs, options, &Budgets::default())
    }

    /// Creates a client with a credential of each of `specs`. The first is the one that [`Self::credential`] returns. The limits of
    /// the organization and of users are shared with the other clients of `budgets` that have the same origin.
    ///
    /// # Errors
    /// If no credential may list, if two have one name, or if the HTTP library cannot start.
    pub fn with_credentials(
        origin: ApiOrigin,
        organization: OrganizationSlug,
        specs: Vec<CredentialSpec>,
        options: ClientOptions,
        budgets: &Budgets,
    ) -> Result<Self, ClientError> {
        let pool = Pool::new(specs)?;
        let name = organization_key(&origin, &organization);
        let limiter = budgets.limiter(Some(&name), &pool.uses(), options.budget);
        let limiter = limiter.tagged(options.tag.clone());
        if !pool.is_single() {
            (0..pool.members().len()).for_each(|position| limiter.set_usable(position, false));
        }
        let http = http_client(origin.is_loopback(), &options.tls)?;
        let clock_skew = Arc::new(ClockSkew::default());
        let upstream = Upstream {
            http: http.clone(),
            origin: origin.clone(),
            clock_skew: Arc::clone(&clock_skew),
            timeout: options.attempt_timeout,
            tag: options.tag.clone(),
        };
        let transport = Transport {
            http,
            origin,
            organization,
            timeout: options.attempt_timeout,
            clock_skew,
            tag: options.tag.clone(),
        };
        Ok(Self {
            transport: Arc::new(transport),
            pool: Arc::new(pool),
            only: None,
            upstream,
            limiter,
            reads: Arc::default(),
            options,
            observer: None,
        })
    }

    /// The same client, whose calls `observer` is notified of.
    pub(crate) fn observed_by(self, observer: Arc<dyn Observer>) -> Self {
        Self {
            observer: Some(observer),
            ..self
        }
    }

    /// The credential of this client, or the first one of several.
    #[must_use]
    pub fn credential(&self) -> Arc<Credential> {
        Arc::clone(self.pool.credential(self.only.unwrap_or_default()))
    }

    /// All credentials, in the order in which they were given.
    #[must_use]
    pub fn credentials(&self) -> Vec<Arc<Credential>> {
        let members = self.pool.members().iter();
        members.map(|member| Arc::clone(&member.credential)).collect()
    }

    /// The slug of the organization.
    #[must_use]
    pub fn organization_slug(&self) -> &OrganizationSlug {
        &self.transport.organization
    }

    /// Identifies the organization within the process: it differs for another server.
    pub(crate) fn organization_key(&self) -> String {
        organization_key(&self.transport.origin, &self.transport.organization)
    }

    /// The rate limiter of this client: the state of the rate limits, and when requests can be sent.
    #[must_use]
    pub fn limiter(&self) -> &RateLimiter {
        &self.limiter
    }

    /// The state of the request budget.
    #[must_use]
    pub fn budget(&self) -> BudgetState {
        self.limiter.state()
    }

    /// How far the clock of Buildkite is ahead of the local clock; `None` before the first response.
    #[must_use]
    pub fn clock_ahead(&self) -> Option<SignedDuration> {
        self.transport.clock_skew.server_ahead()
    }

    /// When the last of `requests` requests of a lane will probably be sent; `None` if nothing delays them.
    #[must_use]
    pub fn forecast(&self, lane: Lane, requests: u32) -> Option<Instant> {
        self.limiter.forecast(lane, requests)
    }

    /// The longest time that a request of this lane waits for the rate limit.
    #[must_use]
    pub fn max_wait(&self, lane: Lane) -> Duration {
        self.options.budget.max_wait(lane)
    }
}

fn organization_key(origin: &ApiOrigin, organization: &OrganizationSlug) -> String {
    // A slug is the same in upper and lower case.
    format!("{origin} {}", organization.as_str().to_ascii_lowercase())
}
