//! A stand-in for Buildkite's REST API: a real HTTP server on this machine, with an organization behind it that is made
//! up. It is for the demo, for tests and benches, and for people who build against the connector.
//!
//! It behaves as Buildkite documents, and knows nothing of the connector. Where the documentation is silent, a
//! [`Habits`] field chooses; where things go wrong, a [`Fault`] makes them.
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

mod answers;
mod auth;
mod connection;
mod documents;
mod endpoint;
mod faults;
mod habits;
mod journal;
mod lag;
mod limits;
mod options;
mod organization;
mod pages;
pub mod platform;
mod routes;
mod rows;
mod seed;
mod service;

use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use auth::{ALL_SCOPES, TokenSpec};
pub use endpoint::{Endpoint, UnknownEndpoint};
pub use faults::{
    BodyStyle, Edit, FAULT_KINDS, Fault, FaultHandle, FaultKind, FaultSpecError, Faults, Gate, HeaderChange,
    LinkChange, RefusalStyle, Times,
};
pub use habits::{
    DeleteAbsent, Echo, ExpiresAt, Habit, Habits, LastMaintainer, Link, MemberRoleField, Order, OrganizationHeaders,
    Paging, PatchAbsent, PostExisting, PostOutsider, RateLimitAccess, ResetRounding, TeamsDisabled, UnknownHabit,
    WriteLag,
};
pub use journal::{Journal, Request};
pub use limits::{Bucket, LimitOptions};
pub use options::Options;
pub use organization::{
    MemberRows, Membership, Organization, OrganizationRole, Person, Privacy, SsoMode, Team, TeamRole,
};
pub use seed::{Seed, Size};

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
    accepting: Option<JoinHandle<()>>,
}

impl Sandbox {
    /// Starts one.
    ///
    /// # Errors
    ///
    /// When the address cannot be listened on, or nobody is in the organization that was given.
    pub async fn start(options: Options) -> io::Result<Self> {
        let organization = options.seed.grow();
        let nobody = || {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "an organization without people has no token",
            )
        };
        let owner = organization.owner().ok_or_else(nobody)?.id;
        let slug = organization.slug.clone();
        let listener = TcpListener::bind(options.listen).await?;
        let service = Arc::new(Service {
            origin: format!("http://{}", listener.local_addr()?),
            organization: RwLock::new(organization),
            habits: RwLock::new(options.habits),
            tokens: Tokens::default(),
            limits: limits::Limits::new(options.limits),
            faults: Faults::default(),
            journal: Journal::default(),
            shadows: lag::Shadows::default(),
            latency: options.latency,
        });
        for fault in options.faults {
            service.faults.add(fault);
        }
        let token = service
            .tokens
            .mint(TokenSpec::owned_by(owner).described("sandbox admin"));
        let stopped = CancellationToken::new();
        let accepting = tokio::spawn(connection::accept(listener, Arc::clone(&service), stopped.clone()));
        Ok(Self {
            service,
            slug,
            owner,
            token,
            stopped,
            accepting: Some(accepting),
        })
    }

    /// Its origin, without `/v2`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.service.origin
    }

    /// The organization's slug at the start.
    #[must_use]
    pub fn slug(&self) -> &str {
        &self.slug
    }

    /// The default token: an admin's, with the four scopes.
    #[must_use]
    pub fn token(&self) -> &SecretString {
        &self.token
    }

    /// The user whom the default token belongs to.
    #[must_use]
    pub fn owner(&self) -> Uuid {
        self.owner
    }

    /// Makes another token.
    #[must_use]
    pub fn mint(&self, spec: TokenSpec) -> SecretString {
        self.service.tokens.mint(spec)
    }

    /// Makes a token worthless.
    pub fn revoke(&self, token: &SecretString) {
        self.service.tokens.revoke(token);
    }

    /// The truth as it is now.
    #[must_use]
    pub fn organization(&self) -> Organization {
        self.service.organization().clone()
    }

    /// Looks at the truth without copying it.
    pub fn look<T>(&self, at: impl FnOnce(&Organization) -> T) -> T {
        at(&self.service.organization())
    }

    /// Changes the truth behind everybody's back. Shows at once, except where a write of the same
    /// pair is still hidden by the write lag.
    pub fn edit<T>(&self, change: impl FnOnce(&mut Organization) -> T) -> T {
        change(&mut self.service.organization_mut())
    }

    /// The habits as they are now.
    #[must_use]
    pub fn habits(&self) -> Habits {
        self.service.habits()
    }

    /// Changes habits from the next request on.
    pub fn change_habits(&self, change: impl FnOnce(&mut Habits)) {
        change(&mut self.service.habits.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// The faults.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.service.faults
    }

    /// The log of requests.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.service.journal
    }

    /// The latest requests; short for the journal's.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.service.journal.requests()
    }

    /// Spends of a rate limit as another consumer would: for the user's, the default token's owner.
    pub fn spend(&self, bucket: Bucket, requests: u64) {
        match bucket {
            Bucket::Organization => self.service.limits.spend_organization(requests),
            Bucket::User => self.service.limits.spend_user(self.owner, requests),
        };
    }

    /// How many requests this bucket has refused with 429.
    #[must_use]
    pub fn refused(&self, bucket: Bucket) -> u64 {
        self.service.limits.refused(bucket)
    }

    /// Ends it: open connections are closed, whatever they are at.
    pub async fn stop(mut self) {
        self.stopped.cancel();
        if let Some(accepting) = self.accepting.take() {
            // It only fails by a panic, which has been reported already.
            let _ = accepting.await;
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stopped.cancel();
    }
}
