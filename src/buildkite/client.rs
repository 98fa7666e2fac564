//! The HTTP client: one typed method an endpoint, every request through the one door.

use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::budget::{Admission, BudgetOptions, BudgetState, Closed, Door};
use super::call::{Call, Lane};
use super::clock::Clock;
use super::credential::{ApiToken, CredentialError};
use super::endpoint::Endpoint;
use super::error::{ApiError, Cause, Trouble};
use super::ids::{OrganizationSlug, Role, TeamId, UserId};
use super::origin::ApiOrigin;
use super::outcome::{self, BodyTrouble, Received};
use super::pages::{self, Answer, Batch, Position, Row, Window, Windows};
use super::rotation::Credential;
use super::types::{AccessToken, Organization, OrganizationMember, Owner, Team, TeamMember};

/// A body larger than this is no page of rows: 10,000 rows of the longest names that Buildkite allows stay below it.
const LARGEST_BODY: usize = 32 << 20;

/// The first pause before an attempt is repeated; each further one doubles, with jitter, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// An attempt that has less time than this is not made.
const LAST_ATTEMPT: Duration = Duration::from_millis(500);

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
    http: reqwest::Client,
    origin: ApiOrigin,
    organization: OrganizationSlug,
    credential: Arc<Credential>,
    options: ClientOptions,
    door: Door,
    clock: Clock,
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
            .referer(false);
        if origin.is_loopback() {
            // The system's proxy is for the way out, and would see the token of a stand-in on this machine.
            http = http.no_proxy();
        }
        let door = Door::new(options.budget);
        Ok(Self {
            http: http.build()?,
            origin,
            organization,
            credential,
            options,
            door,
            clock: Clock::default(),
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
        &self.organization
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
        self.clock.ahead()
    }

    /// When the last of so many requests of a lane is likely to have its turn; none where nothing is in the way.
    #[must_use]
    pub fn forecast(&self, lane: Lane, requests: u32) -> Option<Instant> {
        self.door.forecast(lane, requests)
    }

    /// The token's own record.
    ///
    /// # Errors
    /// As every call: [`ApiError`].
    pub async fn access_token(&self, call: &Call) -> Result<AccessToken, ApiError> {
        self.read(Endpoint::AccessToken, call).await
    }

    /// The token's owner.
    ///
    /// # Errors
    /// As every call: [`ApiError`].
    pub async fn user(&self, call: &Call) -> Result<Owner, ApiError> {
        self.read(Endpoint::User, call).await
    }

    /// The organization.
    ///
    /// # Errors
    /// As every call: [`ApiError`].
    pub async fn organization(&self, call: &Call) -> Result<Organization, ApiError> {
        self.read(Endpoint::Organization, call).await
    }

    /// The first of the organizations that the token reaches; today's tokens reach one at most.
    ///
    /// # Errors
    /// As every call: [`ApiError`].
    pub async fn organizations(&self, call: &Call) -> Result<Vec<Organization>, ApiError> {
        self.read(Endpoint::Organizations, call).await
    }

    /// One person of the organization.
    ///
    /// # Errors
    /// As every call: [`ApiError`].
    pub async fn person(&self, user: UserId, call: &Call) -> Result<OrganizationMember, ApiError> {
        self.read(Endpoint::Person(user), call).await
    }

    /// One team.
    ///
    /// # Errors
    /// As every call: [`ApiError`].
    pub async fn team(&self, team: TeamId, call: &Call) -> Result<Team, ApiError> {
        self.read(Endpoint::Team(team), call).await
    }

    /// One member of a team.
    ///
    /// # Errors
    /// As every call: [`ApiError`].
    pub async fn member(&self, team: TeamId, user: UserId, call: &Call) -> Result<TeamMember, ApiError> {
        self.read(Endpoint::Member(team, user), call).await
    }

    /// The organization's people from `position` on, `enough` rows or a little more.
    ///
    /// # Errors
    /// As every call: [`ApiError`].
    pub async fn people(
        &self,
        position: Position,
        enough: usize,
        call: &Call,
    ) -> Result<Batch<OrganizationMember>, ApiError> {
        self.list(Endpoint::People, position, enough, call).await
    }

    /// The organization's teams from `position` on, `enough` rows or a little more.
    ///
    /// # Errors
    /// As every call: [`ApiError`].
    pub async fn teams(&self, position: Position, enough: usize, call: &Call) -> Result<Batch<Team>, ApiError> {
        self.list(Endpoint::Teams, position, enough, call).await
    }

    /// A team's members from `position` on, `enough` rows or a little more.
    ///
    /// # Errors
    /// As every call: [`ApiError`].
    pub async fn members(
        &self,
        team: TeamId,
        position: Position,
        enough: usize,
        call: &Call,
    ) -> Result<Batch<TeamMember>, ApiError> {
        self.list(Endpoint::Members(team), position, enough, call).await
    }

    /// Puts a person into a team. The role is always sent: what Buildkite takes for a missing one is documented nowhere.
    ///
    /// # Errors
    /// As every call: [`ApiError`]. The write is sent once; whether it was applied is for the caller to find out.
    pub async fn add_member(
        &self,
        team: TeamId,
        user: UserId,
        role: Role,
        call: &Call,
    ) -> Result<Option<TeamMember>, ApiError> {
        let body = serde_json::json!({ "user_id": user.to_string(), "role": role });
        self.write(Endpoint::AddMember(team), Some(body), call).await
    }

    /// Changes a member's role.
    ///
    /// # Errors
    /// As every call: [`ApiError`]. The write is sent once; whether it was applied is for the caller to find out.
    pub async fn change_role(
        &self,
        team: TeamId,
        user: UserId,
        role: Role,
        call: &Call,
    ) -> Result<Option<TeamMember>, ApiError> {
        let body = serde_json::json!({ "role": role });
        self.write(Endpoint::ChangeRole(team, user), Some(body), call).await
    }

    /// Takes a person out of a team.
    ///
    /// # Errors
    /// As every call: [`ApiError`]. The write is sent once; whether it was applied is for the caller to find out.
    pub async fn remove_member(&self, team: TeamId, user: UserId, call: &Call) -> Result<(), ApiError> {
        self.write(Endpoint::RemoveMember(team, user), None, call)
            .await
            .map(|_: Option<serde::de::IgnoredAny>| ())
    }

    async fn list<R: Row + DeserializeOwned>(
        &self,
        endpoint: Endpoint,
        position: Position,
        enough: usize,
        call: &Call,
    ) -> Result<Batch<R>, ApiError> {
        pages::read(
            &Listing {
                client: self,
                endpoint,
                call,
            },
            position,
            enough,
        )
        .await
    }

    /// A read: transient trouble is ridden out, since asking twice changes nothing.
    async fn read<T: DeserializeOwned>(&self, endpoint: Endpoint, call: &Call) -> Result<T, ApiError> {
        self.patiently(call, || async {
            self.attempt(endpoint, None, None, call).await?.decode(endpoint)
        })
        .await
    }

    /// A write, sent once. What Buildkite echoes is believed where it is a member row; any other 2xx is an unread echo.
    async fn write<T: DeserializeOwned>(
        &self,
        endpoint: Endpoint,
        body: Option<serde_json::Value>,
        call: &Call,
    ) -> Result<Option<T>, ApiError> {
        let answered = self.attempt(endpoint, None, body.as_ref(), call).await?;
        Ok(answered.decode(endpoint).ok())
    }

    async fn patiently<T, F: Future<Output = Result<T, ApiError>>>(
        &self,
        call: &Call,
        attempt: impl FnMut() -> F,
    ) -> Result<T, ApiError> {
        let patience = Instant::now() + self.options.retry_for;
        let until = call.deadline().map_or(patience, |deadline| deadline.min(patience));
        let pauses = ExponentialBuilder::new()
            .with_jitter()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .without_max_times();
        attempt
            .retry(pauses)
            .when(ApiError::is_transient)
            .adjust(|_, pause| within(pause?, until.saturating_duration_since(Instant::now())))
            .await
    }

    /// One request, sent again only where it was certainly not executed: a 429 is refused beforehand, and so is a token that
    /// was replaced meanwhile.
    async fn attempt(
        &self,
        endpoint: Endpoint,
        window: Option<Window>,
        body: Option<&serde_json::Value>,
        call: &Call,
    ) -> Result<Answered, ApiError> {
        // A request that was refused and comes again is not given a new patience.
        let patience = Instant::now() + self.options.budget.patience(call.lane());
        let turn = call.clone().until(Some(
            call.deadline().map_or(patience, |deadline| deadline.min(patience)),
        ));
        loop {
            // What the door says is final; what Buildkite says is asked again, through the door.
            let admission = tokio::select! {
                biased;
                // A write that nobody waits for any more leaves the queue: it was not begun.
                () = call.given_up(), if endpoint.is_write() => Err(Trouble::Abandoned),
                admission = self.door.enter(&turn) => admission.map_err(|closed| beyond_patience(closed, call)),
            }
            .map_err(|trouble| ApiError::new(endpoint, trouble))?;
            let token = self.credential.current();
            let refused = match self.send(admission, endpoint, window, body, call, &token).await {
                Err(ApiError {
                    trouble: Trouble::RateLimited(closed),
                    ..
                }) => closed,
                Err(ApiError {
                    trouble: Trouble::TokenRejected,
                    ..
                }) if self.credential.has_another_than(&token) => continue,
                other => return other,
            };
            // The bucket is closed now, so the door either waits for its reset or says that it is too far.
            tracing::info!(
                call = endpoint.name(),
                bucket = refused.bucket.map(super::budget::Bucket::as_str),
                "rate limited"
            );
        }
    }

    async fn send(
        &self,
        admission: Admission<'_>,
        endpoint: Endpoint,
        window: Option<Window>,
        body: Option<&serde_json::Value>,
        call: &Call,
        token: &ApiToken,
    ) -> Result<Answered, ApiError> {
        let fail = |trouble| ApiError::new(endpoint, trouble);
        let timeout = match call.deadline() {
            // A write that was begun is waited for: cut off, nobody would know what became of it.
            _ if endpoint.is_write() && call.is_abandoned() => {
                admission.never_sent();
                return Err(fail(Trouble::Abandoned));
            }
            Some(deadline) if !endpoint.is_write() => deadline
                .saturating_duration_since(Instant::now())
                .min(self.options.attempt_timeout),
            _ => self.options.attempt_timeout,
        };
        let exchange = tokio::time::timeout(timeout, self.exchange(endpoint, window, body, token));
        let received = match exchange.await {
            Ok(Ok(received)) => received,
            Ok(Err(cause)) => {
                if cause.is_before_sending() {
                    admission.never_sent();
                }
                call.record(endpoint, None);
                return Err(fail(Trouble::Unavailable(cause)));
            }
            Err(_) if timeout < self.options.attempt_timeout && call.is_overdue() => {
                call.record(endpoint, None);
                return Err(fail(Trouble::DeadlineExceeded));
            }
            Err(_) => {
                call.record(endpoint, None);
                return Err(fail(Trouble::Unavailable(Cause::Silent(timeout))));
            }
        };
        call.record(endpoint, Some(received.status));
        self.clock.compare(&received.headers, Timestamp::now());
        let body = received.body.as_deref().unwrap_or_default();
        let closed = admission.answered(received.status, &received.headers, body);
        match outcome::classify(&received, || closed.unwrap_or_else(Closed::unknown)) {
            Ok(()) => Ok(Answered(received)),
            Err(trouble) => Err(ApiError {
                endpoint,
                trouble,
                message: outcome::message(&received),
            }),
        }
    }

    async fn exchange(
        &self,
        endpoint: Endpoint,
        window: Option<Window>,
        body: Option<&serde_json::Value>,
        token: &ApiToken,
    ) -> Result<Received, Cause> {
        let path = endpoint.path(&self.organization);
        let mut request = self
            .http
            .request(endpoint.method(), self.origin.url(path.iter().map(String::as_str)));
        if let Ok(authorization) = token.authorization() {
            request = request.header(http::header::AUTHORIZATION, authorization);
        }
        request = request.header(http::header::ACCEPT, "application/json");
        if let Some(window) = window {
            request = request.query(&[("page", window.page), ("per_page", window.per_page)]);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| cause(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Received {
            status,
            headers,
            body: read_body(response).await,
        })
    }
}

/// A limit that opens too late is the caller's deadline only where Buildkite was never the reason.
fn beyond_patience(closed: Closed, call: &Call) -> Trouble {
    if call.is_overdue() {
        Trouble::DeadlineExceeded
    } else {
        Trouble::RateLimited(closed)
    }
}

/// The pause before the next attempt in what is `left` of the patience. The last attempt comes just before its end, and has
/// time to be answered; past it, the trouble itself is told rather than that time ran out.
fn within(pause: Duration, left: Duration) -> Option<Duration> {
    match left.checked_sub(LAST_ATTEMPT) {
        Some(before) => Some(pause.min(before)).filter(|pause| *pause >= FIRST_PAUSE),
        None => None,
    }
}

/// The transport's failure without its URL: a query is nobody's business, and the call names itself.
fn cause(error: &reqwest::Error) -> Cause {
    if !error.is_connect() {
        return Cause::Broken;
    }
    let chain = || {
        std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |error| {
            error.source()
        })
    };
    let text = super::redact(&chain().last().map(ToString::to_string).unwrap_or_default());
    if chain().any(|error| error.to_string() == "dns error") {
        return Cause::Resolve(text);
    }
    if chain().any(is_tls) {
        return Cause::Tls(text);
    }
    Cause::Connect(text)
}

/// Whether the handshake failed: the TLS library says so inside an I/O error, which may be inside another.
fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    while let Some(error) = inner {
        if error.is::<rustls::Error>() || error.to_string().starts_with("tls handshake") {
            return true;
        }
        inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    }
    false
}

async fn read_body(mut response: reqwest::Response) -> Result<Bytes, BodyTrouble> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| BodyTrouble::Cut)? {
        if body.len() + chunk.len() > LARGEST_BODY {
            return Err(BodyTrouble::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// A 2xx answer whose body is still to be read.
struct Answered(Received);

impl Answered {
    fn decode<T: DeserializeOwned>(&self, endpoint: Endpoint) -> Result<T, ApiError> {
        outcome::decode(&self.0).map_err(|trouble| ApiError::new(endpoint, trouble))
    }

    fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }
}

/// A list endpoint, as something that windows can be read from.
struct Listing<'a> {
    client: &'a Client,
    endpoint: Endpoint,
    call: &'a Call,
}

impl<R: Row + DeserializeOwned> Windows<R> for Listing<'_> {
    async fn window(&self, window: Window) -> Result<Answer<R>, ApiError> {
        let ask = || async {
            let answered = self
                .client
                .attempt(self.endpoint, Some(window), None, self.call)
                .await?;
            Ok(Answer {
                link: pages::Link::read(answered.headers()),
                rows: answered.decode(self.endpoint)?,
            })
        };
        self.client.patiently(self.call, ask).await
    }

    fn trouble(&self, trouble: Trouble) -> ApiError {
        ApiError::new(self.endpoint, trouble)
    }
}
