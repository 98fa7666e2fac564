//! A stand-in for Buildkite's REST API: a real HTTP server on this machine that serves a made-up organization. The
//! demo, the tests and the benches use it, and so can anyone who develops against the connector.
//!
//! It follows Buildkite's documentation and does not depend on the connector. Where the documentation is silent, a
//! field of [`Behaviors`] decides; a [`Fault`] makes chosen requests fail.
//!
//! ```
//! use buildkite_connector::sandbox::{Options, Sandbox};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let sandbox = Sandbox::start(Options::default()).await?;
//! assert!(sandbox.url().starts_with("http://127.0.0.1:"));
//! sandbox.stop().await;
//! # Ok(())
//! # }
//! ```

mod agents;
mod auth;
mod behaviors;
mod clock;
mod clusters;
mod connection;
mod cursor_pages;
mod endpoint;
mod faults;
mod indexed_list;
mod invitations;
mod json;
mod limits;
mod oauth;
mod object_json;
mod objects;
mod options;
mod organization;
mod pages;
mod pipeline_json;
mod pipelines;
pub mod platform;
mod request_log;
mod response;
mod routes;
mod seed;
mod service;
mod stale_reads;
mod target;
mod team;

use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use agents::{Agent, AuditEvent};
pub use auth::{ALL_SCOPES, TEAM_SCOPES, TokenSpec};
pub use behaviors::{
    Behavior, Behaviors, BuildErrorBody, CreatedLevel, CursorBody, DeleteAbsent, Echo, ExpiresAt, FeatureAccess,
    InviteAgain, LastMaintainer, Link, MemberRoleField, MetaDataFilter, Order, OrganizationHeaders, Paging,
    PatchAbsent, PostExisting, PostOutsider, RateLimitAccess, ResetRounding, SingleSignOn, SuiteLevels, SuitePostPath,
    TeamEcho, TeamsDisabled, UnknownBehavior, WriteLag,
};
pub use clusters::{Cluster, ClusterMaintainer, Maintainer};
pub use endpoint::{Endpoint, UnknownEndpoint};
pub use faults::{
    BodyStyle, Edit, FAULT_KINDS, Fault, FaultHandle, FaultKind, FaultSpecError, Faults, Gate, HeaderChange,
    LinkChange, RateLimitStyle, Times,
};
pub use invitations::{Invitation, InvitationState, InvitationTeam};
pub use limits::{Bucket, LimitOptions};
pub use oauth::{ApplicationSpec, KeyFormatError, KeyGenerationError, KeyPair};
pub use objects::{Registry, Suite};
pub use options::Options;
pub use organization::{MemberRows, Organization, OrganizationRole, Person, SsoMode};
pub use pipelines::{Build, Job, JobKind, Pipeline, PipelineVisibility, SECRET_MARKER};
pub use request_log::{LoggedRequest, RequestLog};
pub use seed::{Seed, Size};
pub use team::{
    Membership, PipelineLevel, Privacy, SuiteLevel, Team, TeamAccess, TeamPermissions, TeamPipeline, TeamRole,
    TeamSuite,
};

use auth::Tokens;
use service::Service;

/// A running sandbox. It ends when it is stopped or dropped.
#[derive(Debug)]
pub struct Sandbox {
    service: Arc<Service>,
    slug: String,
    owner: Uuid,
    token: SecretString,
    stopped: CancellationToken,
    accept_task: Option<JoinHandle<()>>,
}

impl Sandbox {
    /// Starts a sandbox.
    ///
    /// # Errors
    ///
    /// Fails if the address cannot be bound, or if the given organization has no people.
    pub async fn start(options: Options) -> io::Result<Self> {
        let organization = options.seed.build();
        let no_people = || {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "the organization has no people, so no token can be created for it",
            )
        };
        let owner = organization.owner().ok_or_else(no_people)?.id;
        let slug = organization.slug.clone();
        let listener = TcpListener::bind(options.listen).await?;
        let service = Arc::new(Service {
            origin: format!("http://{}", listener.local_addr()?),
            organization: RwLock::new(organization),
            behaviors: RwLock::new(options.behaviors),
            tokens: Tokens::default(),
            applications: oauth::Applications::default(),
            clock: clock::Clock::new(options.clock_offset),
            limits: limits::Limits::new(options.limits),
            faults: Faults::default(),
            request_log: RequestLog::default(),
            stale_reads: stale_reads::StaleReads::default(),
            latency: options.latency,
        });
        for fault in options.faults {
            service.faults.add(fault);
        }
        let token = service
            .tokens
            .mint(TokenSpec::owned_by(owner).with_description("sandbox admin"));
        let stopped = CancellationToken::new();
        let accept_task = tokio::spawn(connection::accept(listener, Arc::clone(&service), stopped.clone()));
        Ok(Self {
            service,
            slug,
            owner,
            token,
            stopped,
            accept_task: Some(accept_task),
        })
    }

    /// The origin, without `/v2`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.service.origin
    }

    /// The organization's slug at the start.
    #[must_use]
    pub fn slug(&self) -> &str {
        &self.slug
    }

    /// The default token: it belongs to an admin and has the scopes of [`TEAM_SCOPES`].
    #[must_use]
    pub fn token(&self) -> &SecretString {
        &self.token
    }

    /// The user who owns the default token.
    #[must_use]
    pub fn owner(&self) -> Uuid {
        self.owner
    }

    /// Creates another token.
    #[must_use]
    pub fn mint(&self, spec: TokenSpec) -> SecretString {
        self.service.tokens.mint(spec)
    }

    /// Revokes a token.
    pub fn revoke(&self, token: &SecretString) {
        self.service.tokens.revoke(token);
    }

    /// Creates an access token with a public key in PEM form, and returns its UUID. Requests are signed by the private key.
    ///
    /// # Errors
    /// If the key is neither RSA nor EC.
    pub fn mint_with_key(&self, spec: TokenSpec, public_pem: &str) -> Result<Uuid, KeyFormatError> {
        self.service.tokens.mint_with_key(spec, public_pem)
    }

    /// Replaces the public key of an access token.
    ///
    /// # Errors
    /// If the key is neither RSA nor EC.
    pub fn replace_key(&self, access_token: Uuid, public_pem: &str) -> Result<(), KeyFormatError> {
        self.service.tokens.replace_key(access_token, public_pem)
    }

    /// Registers an OAuth application that may exchange tokens, and returns its client id.
    ///
    /// # Errors
    /// If the key is neither RSA nor EC.
    pub fn register_application(&self, spec: ApplicationSpec, public_pem: &str) -> Result<String, KeyFormatError> {
        self.service.applications.register(spec, public_pem)
    }

    /// Replaces the public key of an OAuth application.
    ///
    /// # Errors
    /// If the key is neither RSA nor EC.
    pub fn replace_application_key(&self, client_id: &str, public_pem: &str) -> Result<(), KeyFormatError> {
        self.service.applications.replace_key(client_id, public_pem)
    }

    /// Changes the properties of an OAuth application.
    pub fn change_application(&self, client_id: &str, change: impl FnOnce(&mut ApplicationSpec)) {
        self.service.applications.change(client_id, change);
    }

    /// The token endpoint that exchanges tokens.
    #[must_use]
    pub fn oauth_url(&self) -> String {
        format!("{}/oauth/token", self.url())
    }

    /// Revokes all tokens that were exchanged.
    pub fn revoke_exchanged_tokens(&self) {
        self.service.tokens.revoke_exchanged();
    }

    /// Sets how far the sandbox's clock is ahead of this machine's, in seconds.
    pub fn set_clock_offset(&self, seconds: i64) {
        self.service.clock.set(seconds);
    }

    /// A copy of the organization's current state.
    #[must_use]
    pub fn organization(&self) -> Organization {
        self.service.organization().clone()
    }

    /// Reads the organization's current state without copying it.
    pub fn with_organization<T>(&self, read: impl FnOnce(&Organization) -> T) -> T {
        read(&self.service.organization())
    }

    /// Changes the organization without an API request. Reads show the change at once, unless the write lag still hides
    /// an earlier write to the same membership.
    pub fn edit<T>(&self, change: impl FnOnce(&mut Organization) -> T) -> T {
        change(&mut self.service.organization_mut())
    }

    /// The current behaviors.
    #[must_use]
    pub fn behaviors(&self) -> Behaviors {
        self.service.behaviors()
    }

    /// Changes behaviors from the next request on.
    pub fn change_behaviors(&self, change: impl FnOnce(&mut Behaviors)) {
        change(&mut self.service.behaviors.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// The faults.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.service.faults
    }

    /// The log of requests.
    #[must_use]
    pub fn request_log(&self) -> &RequestLog {
        &self.service.request_log
    }

    /// The latest requests, as in [`RequestLog::requests`].
    #[must_use]
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.service.request_log.requests()
    }

    /// Consumes a rate limit as another client would. [`Bucket::User`] means the limit of the default token's owner.
    pub fn consume(&self, bucket: Bucket, requests: u64) {
        match bucket {
            Bucket::Organization => {
                self.service.limits.consume_organization(requests);
            }
            Bucket::User => self.consume_user(self.owner, requests),
        }
    }

    /// Consumes the rate limit of a user as another client of theirs would.
    pub fn consume_user(&self, user: Uuid, requests: u64) {
        self.service.limits.consume_user(user, requests);
    }

    /// Gives a user a rate limit of their own, in requests per window, as Buildkite may give a machine user.
    pub fn set_user_limit(&self, user: Uuid, limit: u32) {
        self.service.limits.set_user_limit(user, limit);
    }

    /// The number of requests that this limit has rejected with 429.
    #[must_use]
    pub fn refused(&self, bucket: Bucket) -> u64 {
        self.service.limits.refused(bucket)
    }

    /// Stops the sandbox and closes open connections, even in the middle of a request.
    pub async fn stop(mut self) {
        self.stopped.cancel();
        if let Some(accept_task) = self.accept_task.take() {
            // The task fails only if it panics, and a panic has already been reported.
            let _ = accept_task.await;
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stopped.cancel();
    }
}
