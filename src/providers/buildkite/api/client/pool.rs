//! The credentials of a connection: which of them serve a request, which are left out, and whose they are.
//!
//! A connection with one credential uses it for everything. Of several, each is introduced before its first use: its owner is read,
//! because the limit of a user is that of all their credentials. One that Buildkite rejects is left out, and what it was to do
//! goes to another. It is introduced again when its secret changes, and it is in use again when a probe is accepted.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::observer::Completed;
use super::{Client, ClientError};
use crate::governance::{CallContext, Lane};
use crate::providers::buildkite::api::endpoint::Endpoint;
use crate::providers::buildkite::api::error::{ApiError, ApiErrorKind, Unavailability};
use crate::providers::buildkite::api::scope::Scope;
use crate::providers::buildkite::budget::{CredentialUse, Route, serving};
use crate::providers::buildkite::credential::Credential;

/// After a failure to read the owner of a credential, the next attempt is made this much later at the earliest.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// One of the credentials of a connection.
#[derive(Debug)]
pub struct CredentialSpec {
    /// The name by which health reports it.
    pub name: String,
    /// What it is used for.
    pub usage: CredentialUse,
    /// The credential.
    pub credential: Credential,
}

impl CredentialSpec {
    /// The only credential of a connection.
    #[must_use]
    pub fn only(credential: Credential) -> Self {
        Self {
            name: "1".to_owned(),
            usage: CredentialUse::Any,
            credential,
        }
    }

    /// The same with the secret in use now, as by [`Credential::pinned`].
    #[must_use]
    pub fn pinned(self) -> Self {
        Self {
            credential: self.credential.pinned(),
            ..self
        }
    }

    /// Requests tokens with those of the `scopes` that the use needs, if tokens are exchanged.
    pub fn request_scopes(&self, scopes: &BTreeSet<Scope>) {
        let needed = scopes.iter().copied().filter(|scope| self.usage.needs(*scope));
        self.credential.request_scopes(&needed.collect());
    }
}

/// The credentials of a client.
#[derive(Debug)]
pub(crate) struct Pool {
    first: Arc<Credential>,
    members: Vec<Member>,
    /// Changes when a credential was introduced, left out or taken back.
    changed: watch::Sender<()>,
}

/// One credential of a client.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) usage: CredentialUse,
    pub(crate) credential: Arc<Credential>,
    standing: Mutex<Standing>,
    is_being_introduced: AtomicBool,
}

/// What is known of a credential.
#[derive(Debug)]
struct Standing {
    /// The secret whose owner was read last.
    introduced: Option<u64>,
    state: MemberState,
    /// When its owner could not be read.
    failed_at: Option<Instant>,
    /// When it was left out last.
    left_out_at: Option<Instant>,
}

/// Whether a credential is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MemberState {
    /// Its owner was not read yet.
    Pending,
    /// It is used.
    InUse,
    /// Buildkite rejects it, or no authorization can be obtained for it.
    LeftOut,
}

impl Member {
    fn standing(&self) -> MutexGuard<'_, Standing> {
        // Each change is complete in itself.
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state(&self) -> MemberState {
        self.standing().state
    }
}

impl Pool {
    /// Creates a pool of `specs`.
    ///
    /// # Errors
    /// If there is none, if none may list, or if two have one name.
    pub(super) fn new(specs: Vec<CredentialSpec>) -> Result<Self, ClientError> {
        if specs.iter().all(|spec| spec.usage == CredentialUse::Provisioning) {
            return Err(ClientError::NoneLists);
        }
        let mut names = HashSet::new();
        if let Some(twice) = specs.iter().find(|spec| !names.insert(spec.name.as_str())) {
            return Err(ClientError::SameName(twice.name.clone()));
        }
        let is_single = specs.len() == 1;
        let member = |spec: CredentialSpec| Member {
            name: spec.name,
            usage: spec.usage,
            credential: Arc::new(spec.credential),
            standing: Mutex::new(Standing {
                introduced: None,
                state: if is_single {
                    MemberState::InUse
                } else {
                    MemberState::Pending
                },
                failed_at: None,
                left_out_at: None,
            }),
            is_being_introduced: AtomicBool::new(false),
        };
        let members: Vec<Member> = specs.into_iter().map(member).collect();
        let first = members.first().ok_or(ClientError::NoneLists)?;
        Ok(Self {
            first: Arc::clone(&first.credential),
            members,
            changed: watch::Sender::new(()),
        })
    }

    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    /// The credential at a position.
    pub(super) fn credential(&self, position: usize) -> &Arc<Credential> {
        self.members
            .get(position)
            .map_or(&self.first, |member| &member.credential)
    }

    /// Whether there is one credential, which serves everything.
    pub(crate) fn is_single(&self) -> bool {
        self.members.len() == 1
    }

    pub(super) fn uses(&self) -> Vec<CredentialUse> {
        self.members.iter().map(|member| member.usage).collect()
    }

    /// The positions of the credentials that are used for a route, or may be soon: those of the first group of
    /// [`serving`] that are not left out, if there are any.
    pub(crate) fn in_use(&self, route: Route) -> Vec<usize> {
        let mut groups = serving(&self.uses(), route).into_iter();
        let in_use = groups.find_map(|mut group| {
            group.retain(|position| self.state(*position) != MemberState::LeftOut);
            (!group.is_empty()).then_some(group)
        });
        in_use.unwrap_or_default()
    }

    /// The credential that an answer about a route is given for: the first one that is used for it, or else the first that
    /// would be.
    pub(crate) fn first(&self, route: Route) -> usize {
        let used = self.in_use(route).into_iter().next();
        let would_be = || serving(&self.uses(), route).into_iter().flatten().next();
        used.or_else(would_be).unwrap_or(0)
    }

    pub(crate) fn state(&self, position: usize) -> MemberState {
        let member = self.members.get(position);
        member.map_or(MemberState::LeftOut, Member::state)
    }

    /// Whether a credential is used, or was at `since`.
    pub(super) fn is_or_was_used(&self, position: usize, since: Instant) -> bool {
        let standing = self.members.get(position).map(Member::standing);
        standing.is_some_and(|standing| {
            standing.state != MemberState::LeftOut || standing.left_out_at.is_some_and(|at| at >= since)
        })
    }

    /// Whether a credential is used for the route, or none of them is going to be.
    fn is_settled(&self, route: Route) -> bool {
        let in_use = self.in_use(route);
        in_use.is_empty()
            || in_use
                .iter()
                .any(|position| self.state(*position) == MemberState::InUse)
    }
}

impl Client {
    /// Sets whether a credential is used.
    pub(super) fn settle(&self, position: usize, state: MemberState) {
        let Some(member) = self.pool.members.get(position) else {
            return;
        };
        if self.pool.is_single() {
            return;
        }
        {
            let mut standing = member.standing();
            if std::mem::replace(&mut standing.state, state) == state {
                return;
            }
            if state == MemberState::LeftOut {
                standing.left_out_at = Some(Instant::now());
            }
        }
        self.limiter.set_usable(position, state == MemberState::InUse);
        match state {
            MemberState::LeftOut => {
                tracing::error!(
                    credential = member.name,
                    "the credential cannot be used, and is left out"
                );
            }
            MemberState::InUse => tracing::info!(credential = member.name, "the credential is in use"),
            MemberState::Pending => {}
        }
        self.pool.changed.send_replace(());
    }

    /// Waits until a credential that serves the route is used or all of them are left out, until the deadline of the call. Begins to
    /// introduce those that were not introduced with their current secret.
    pub(super) async fn introduced(&self, route: Route, call: &CallContext) -> Result<(), ApiErrorKind> {
        if self.pool.is_single() || matches!(route, Route::Credential(_)) {
            return Ok(());
        }
        let mut changed = self.pool.changed.subscribe();
        self.introduce_due();
        let settled = async {
            while !self.pool.is_settled(route) {
                if changed.changed().await.is_err() {
                    return;
                }
            }
        };
        let Some(deadline) = call.deadline() else {
            settled.await;
            return Ok(());
        };
        let begun = Instant::now();
        match tokio::time::timeout_at(deadline, settled).await {
            Ok(()) => Ok(()),
            Err(_) if call.is_overdue() => Err(ApiErrorKind::DeadlineExceeded),
            Err(_) => Err(ApiErrorKind::Unavailable(Unavailability::Timeout(begun.elapsed()))),
        }
    }

    /// A request with a credential was not executed, because the credential is rejected or cannot be used now: leaves it
    /// out, and returns whether another one may be given the request.
    pub(super) fn is_reassigned(&self, position: usize, error: &ApiError, route: Route, call: &CallContext) -> bool {
        let Some(member) = self.pool.members.get(position).filter(|_| !self.pool.is_single()) else {
            return false;
        };
        if !error.kind.is_credential_rejected() {
            let mut standing = member.standing();
            standing.introduced = None;
            standing.failed_at = Some(Instant::now());
        }
        self.settle(position, MemberState::LeftOut);
        if self.only.is_some() {
            return false;
        }
        if let Some(observer) = &self.observer {
            let error = Err(ApiError::new(Endpoint::AccessToken, error.kind.clone()));
            observer.observe(Some(position), call, Instant::now(), Completed::AccessToken(&error));
        }
        !self.pool.in_use(route).is_empty()
    }

    /// A credential that is left out was accepted: by a probe, or because no other one is left.
    pub(super) fn accepted(&self, position: usize, route: Route) {
        let is_left_out = |member: &Member| member.state() == MemberState::LeftOut;
        if !self.pool.is_single()
            && self.pool.members.get(position).is_some_and(is_left_out)
            && (self.only.is_some() || self.pool.in_use(route).is_empty())
        {
            self.settle(position, MemberState::InUse);
        }
    }

    fn introduce_due(&self) {
        for (position, member) in self.pool.members.iter().enumerate() {
            let is_due = {
                let standing = member.standing();
                let is_new = standing.introduced != Some(member.credential.secret_number());
                is_new && standing.failed_at.is_none_or(|at| at.elapsed() >= RETRY_AFTER)
            };
            if is_due && !member.is_being_introduced.swap(true, Ordering::AcqRel) {
                let client = self.as_credential(position);
                tokio::spawn(async move { client.introduce(position).await });
            }
        }
    }

    /// Reads the owner of a credential. A credential whose owner cannot be read now is used all the same, so that a request reports
    /// the actual error.
    async fn introduce(&self, position: usize) {
        let Some(member) = self.pool.members.get(position) else {
            return;
        };
        let number = member.credential.secret_number();
        let timeout = Instant::now() + self.options.attempt_timeout;
        let call = CallContext::new(Lane::Interactive).with_probe_timeout(timeout);
        let owner = match self.user(&call).await {
            Err(ApiError {
                kind: ApiErrorKind::Forbidden,
                ..
            }) => self.access_token(&call).await.map(drop),
            read => read.map(drop),
        };
        let is_conclusive = owner
            .as_ref()
            .map_or_else(|error| error.kind.is_credential_rejected(), |()| true);
        {
            let mut standing = member.standing();
            standing.introduced = is_conclusive.then_some(number);
            standing.failed_at = (!is_conclusive).then(Instant::now);
        }
        member.is_being_introduced.store(false, Ordering::Release);
        match owner {
            Err(error) if error.kind.is_credential_rejected() => self.settle(position, MemberState::LeftOut),
            // It was left out because it could not be used, which did not change.
            Err(_) if member.state() == MemberState::LeftOut => {}
            _ => self.settle(position, MemberState::InUse),
        }
        self.pool.changed.send_replace(());
    }

    /// Tells the limiter whose credential it is, if a response shows it.
    pub(super) fn learn_owner(&self, position: usize, completed: Completed<'_>) {
        let (id, email) = match completed {
            Completed::User(Ok(owner)) => (Some(owner.id), owner.email.as_deref()),
            Completed::AccessToken(Ok(token)) => (None, token.user.as_ref().and_then(|user| user.email.as_deref())),
            _ => return,
        };
        let origin = &self.transport.origin;
        let id = id.map(|id| format!("{origin} id {id}"));
        let email = email.map(|email| format!("{origin} email {}", email.to_lowercase()));
        let identities = [id, email].into_iter().flatten().map(Into::into).collect();
        self.limiter.learn(position, identities);
    }
}
