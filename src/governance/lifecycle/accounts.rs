//! Invites a person, unless they are a user or have a pending invitation.
//!
//! | found (users first, then invitations) | result |
//! | --- | --- |
//! | a user | that user |
//! | a pending invitation | that invitation; no second mail, its groups are not changed |
//! | neither | an invitation is sent |
//! | the invitation is rejected | users and invitations are read again, also later; the rejection stands if they show nothing |
//! | the reply is lost | invitations and users are read again before anything else is sent |

use std::sync::Arc;

use tokio::time::Instant;

use super::attempt::{Attempt, MAX_WRITES, unless_cancelled};
use super::record::{RecordedGroup, RecordedSubject};
use super::{Lifecycle, LifecycleOutcome, Subject, not_offered};
use crate::governance::model::{EntitlementId, Level, LifecycleOperation, Resource, ResourceKind, ResourceTypeInfo};
use crate::governance::provider::{AccountManager, AccountRole, Failure, FailureClass, NewInvitation, SsoMode};
use crate::governance::provisioning::RequestContext;
use crate::governance::{CallContext, Change, GovernanceError};
use crate::telemetry::traces::OperationSpan;

/// A request for an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRequest {
    /// The type of the account.
    pub resource_type: &'static ResourceTypeInfo,
    /// The person's e-mail address.
    pub email: String,
    /// The role in the organization.
    pub role: AccountRole,
    /// The groups that the person joins on acceptance.
    pub groups: Vec<RequestedGroup>,
    /// How the person has to sign in; `None` leaves it to the provider.
    pub sso_mode: Option<SsoMode>,
}

/// A group by its slug, and the level in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedGroup {
    /// The group's slug.
    pub slug: String,
    /// The level.
    pub level: &'static Level,
}

/// The account of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    /// The person is a user.
    User(Resource),
    /// The person has a pending invitation.
    Invited {
        /// The invitation.
        invitation: Resource,
        /// Whether this request sent it.
        is_new: bool,
    },
}

impl Account {
    fn outcome(&self) -> LifecycleOutcome {
        match self {
            Self::User(_) => LifecycleOutcome::AlreadyExists,
            Self::Invited { is_new: true, .. } => LifecycleOutcome::Invited,
            Self::Invited { is_new: false, .. } => LifecycleOutcome::AlreadyInvited,
        }
    }
}

impl Lifecycle {
    /// Returns the person's account, or invites them.
    ///
    /// # Errors
    /// After any error the caller must not assume that the person was invited: see the variants of [`GovernanceError`].
    pub async fn create_account(
        self: &Arc<Self>,
        request: AccountRequest,
        context: RequestContext,
    ) -> Result<Account, GovernanceError> {
        let call = self.provisioning.call_of(&context);
        let subject = RecordedSubject {
            resource_type: Some(request.resource_type),
            id: None,
            name: Some(request.email.clone()),
        };
        let mut record = self.record(LifecycleOperation::Invite, subject, context.clone(), call.clone());
        record.set_role(request.role.as_str());
        let guard = match self.check_account(&request) {
            Ok(()) => self.lock(Subject::of_email(&request.email), &call).await,
            Err(error) => Err(error),
        };
        let guard = match guard {
            Ok(guard) => guard,
            Err(error) => return Err(self.refuse(record, &context, error).await),
        };
        let mut attempt = Attempt {
            lifecycle: Arc::clone(self),
            call: call.clone(),
            record,
        };
        let work = async move {
            let account = attempt.create_account(&request).await;
            let outcome = account.map(|account| {
                let outcome = account.outcome();
                (account, outcome)
            });
            (outcome, attempt)
        };
        self.conclude(&call, context, guard, Box::pin(work)).await
    }

    /// Rejects what the operator did not allow.
    fn check_account(&self, request: &AccountRequest) -> Result<(), GovernanceError> {
        self.check_allowed(request.resource_type, LifecycleOperation::Invite)?;
        if request.role == AccountRole::Admin {
            self.check_change(Change::OrganizationRoles)?;
        }
        if !request.groups.is_empty() {
            self.check_change(Change::Membership)?;
        }
        Ok(())
    }

    /// The groups by their slugs, in a list that is read now.
    async fn groups(
        &self,
        requested: &[RequestedGroup],
        call: &CallContext,
    ) -> Result<Vec<(EntitlementId, String)>, GovernanceError> {
        if requested.is_empty() {
            return Ok(Vec::new());
        }
        let group_type = self.provisioning.type_of_kind(ResourceKind::Group)?;
        let listed = self.listings.all(group_type, call).await?;
        let mut groups: Vec<(EntitlementId, String)> = Vec::new();
        for RequestedGroup { slug, level } in requested {
            let mut named = listed.iter();
            let group = named.find(|group| group.handle.as_ref().is_some_and(|has| has.eq_ignore_ascii_case(slug)));
            let Some(group) = group else {
                let groups = self.listings.resource_type(group_type)?;
                return Err(groups.explain_unlisted(slug, call).await);
            };
            let entitlement = EntitlementId {
                resource: group.id,
                level,
            };
            match groups.iter().find(|(known, _)| known.resource == group.id) {
                Some((known, _)) if *known == entitlement => {}
                Some(_) => {
                    return Err(GovernanceError::Invalid {
                        field: "account_info.profile.teams",
                        problem: format!("`{slug}` is named twice with different roles: name each team once"),
                    });
                }
                None => groups.push((entitlement, slug.clone())),
            }
        }
        Ok(groups)
    }
}

/// What the reads before an invitation show.
enum Prepared {
    /// The person has an account.
    Found(Account),
    /// The person has none; the invitation to send.
    Missing(NewInvitation),
}

impl Attempt {
    async fn create_account(&mut self, request: &AccountRequest) -> Result<Account, GovernanceError> {
        let lifecycle = Arc::clone(&self.lifecycle);
        let users = Arc::clone(lifecycle.listings.resource_type(request.resource_type)?);
        let accounts = users.accounts();
        let accounts = accounts.ok_or_else(|| not_offered(request.resource_type, LifecycleOperation::Invite))?;
        let call = self.call.clone();
        let prepared = unless_cancelled(&call, self.prepare(accounts, request));
        match OperationSpan::decision().run(prepared).await? {
            Prepared::Found(account) => Ok(account),
            Prepared::Missing(invitation) => self.invite(accounts, &invitation).await,
        }
    }

    /// Looks the person up; if there is no account, determines the invitation to send.
    async fn prepare(
        &mut self,
        accounts: &dyn AccountManager,
        request: &AccountRequest,
    ) -> Result<Prepared, GovernanceError> {
        let lifecycle = Arc::clone(&self.lifecycle);
        let email = &request.email;
        if let Some(user) = lifecycle.member(email, &self.call).await? {
            return Ok(Prepared::Found(self.found_user(user)));
        }
        if let Some(invitation) = self.pending(accounts, email).await?.into_iter().next() {
            return Ok(Prepared::Found(self.found_invitation(invitation, false)));
        }
        let groups = lifecycle.groups(&request.groups, &self.call).await?;
        let protected: Vec<_> = groups.iter().map(|(group, _)| group.resource).collect();
        lifecycle.provisioning.guard_protected(&protected, &self.call).await?;
        let recorded = groups.iter().map(|(group, slug)| RecordedGroup {
            id: group.resource.id,
            slug: Some(slug.clone()),
            role: Some(group.level.slug),
        });
        self.record.set_groups(recorded.collect());
        Ok(Prepared::Missing(NewInvitation {
            email: email.clone(),
            role: request.role,
            groups: groups.into_iter().map(|(group, _)| group).collect(),
            sso_mode: request.sso_mode,
        }))
    }

    /// Sends the invitation. It is sent again only if reads show that the last one was not applied.
    async fn invite(
        &mut self,
        accounts: &dyn AccountManager,
        invitation: &NewInvitation,
    ) -> Result<Account, GovernanceError> {
        let email = &invitation.email;
        let (mut last_error, mut was_sent): (Option<Failure>, bool) = (None, false);
        for _ in 0..MAX_WRITES {
            self.preflight().await?;
            let reply = OperationSpan::write()
                .run(accounts.invite(invitation, &self.call))
                .await;
            self.sent(&reply);
            let failure = match reply {
                Ok(shown) => return self.invited(accounts, email, shown).await,
                Err(failure) => failure,
            };
            match failure.class {
                FailureClass::NotFound | FailureClass::Rejected => {
                    let account = self.recheck(accounts, email, was_sent);
                    return match OperationSpan::confirm().run(account).await? {
                        Some(account) => Ok(account),
                        None => Err(accounts.explain_invitation(failure, &self.call).await),
                    };
                }
                FailureClass::NotSent => {
                    // The read waits for the connection, and shows an invitation that was sent meanwhile.
                    if let Some(found) = self.pending(accounts, email).await?.into_iter().next() {
                        return Ok(self.found_invitation(found, was_sent));
                    }
                    last_error = Some(failure);
                }
                FailureClass::Unavailable | FailureClass::Unexpected => {
                    self.remember(email);
                    if let Some(found) = self.await_invitation(accounts, email).await? {
                        return Ok(self.found_invitation(found, true));
                    }
                    if let Some(account) = self.look_again(accounts, email, true).await? {
                        return Ok(account);
                    }
                    if !failure.is_transient() {
                        return Err(accounts.explain_invitation(failure, &self.call).await);
                    }
                    (last_error, was_sent) = (Some(failure), true);
                }
                _ => return Err(accounts.explain_invitation(failure, &self.call).await),
            }
        }
        Err(last_error.map_or_else(|| not_visible(email), |failure| failure.error))
    }

    /// The invitation that was accepted by the provider. If the response does not show it, it is looked for.
    async fn invited(
        &mut self,
        accounts: &dyn AccountManager,
        email: &str,
        shown: Option<Resource>,
    ) -> Result<Account, GovernanceError> {
        self.remember(email);
        if let Some(invitation) = shown {
            return Ok(self.found_invitation(invitation, true));
        }
        match self.await_invitation(accounts, email).await? {
            Some(invitation) => Ok(self.found_invitation(invitation, true)),
            None => match self.look_again(accounts, email, true).await? {
                Some(account) => Ok(account),
                None => Err(not_visible(email)),
            },
        }
    }

    /// The pending invitations to the address. One that this process sent recently gets time to show.
    pub(super) async fn pending(
        &self,
        accounts: &dyn AccountManager,
        email: &str,
    ) -> Result<Vec<Resource>, GovernanceError> {
        let mut found = self.lifecycle.pending(accounts, email, &self.call).await?;
        for delay in self.read_back_delays() {
            let Some(left) = self.lifecycle.hidden_for(email).filter(|_| found.is_empty()) else {
                break;
            };
            self.wait(delay.min(left)).await?;
            found = self.lifecycle.pending(accounts, email, &self.call).await?;
        }
        Ok(found)
    }

    /// Waits until a read shows an invitation that was sent or may have been sent.
    async fn await_invitation(
        &self,
        accounts: &dyn AccountManager,
        email: &str,
    ) -> Result<Option<Resource>, GovernanceError> {
        let span = OperationSpan::confirm();
        let mut found = span.run(self.lifecycle.pending(accounts, email, &self.call)).await?;
        for delay in self.read_back_delays() {
            if !found.is_empty() {
                break;
            }
            self.wait(delay).await?;
            found = span.run(self.lifecycle.pending(accounts, email, &self.call)).await?;
        }
        Ok(found.into_iter().next())
    }

    /// The account as a new list of users and the pending invitations show it now.
    async fn look_again(
        &mut self,
        accounts: &dyn AccountManager,
        email: &str,
        was_sent: bool,
    ) -> Result<Option<Account>, GovernanceError> {
        let lifecycle = Arc::clone(&self.lifecycle);
        if let Some(user) = lifecycle.member_anew(email, Instant::now(), &self.call).await? {
            return Ok(Some(self.found_user(user)));
        }
        let pending = lifecycle.pending(accounts, email, &self.call).await?;
        let invitation = pending.into_iter().next();
        Ok(invitation.map(|invitation| self.found_invitation(invitation, was_sent)))
    }

    /// The account that may be the reason of a rejection. Writes may show late: the invitations are read after each delay, and the
    /// list of users, which may have many pages, before the first delay and after the last.
    async fn recheck(
        &mut self,
        accounts: &dyn AccountManager,
        email: &str,
        was_sent: bool,
    ) -> Result<Option<Account>, GovernanceError> {
        if let Some(account) = self.look_again(accounts, email, was_sent).await? {
            return Ok(Some(account));
        }
        let lifecycle = Arc::clone(&self.lifecycle);
        for delay in lifecycle.settings.write_timeouts.recheck_delays() {
            self.wait(*delay).await?;
            let pending = lifecycle.pending(accounts, email, &self.call).await?;
            if let Some(invitation) = pending.into_iter().next() {
                return Ok(Some(self.found_invitation(invitation, was_sent)));
            }
        }
        let user = lifecycle.member_anew(email, Instant::now(), &self.call).await?;
        Ok(user.map(|user| self.found_user(user)))
    }

    fn found_user(&mut self, user: Resource) -> Account {
        self.record.set_resource(user.id);
        Account::User(user)
    }

    fn found_invitation(&mut self, invitation: Resource, is_new: bool) -> Account {
        self.record.set_resource(invitation.id);
        Account::Invited { invitation, is_new }
    }

    /// Remembers that an invitation was sent or may have been sent.
    fn remember(&self, email: &str) {
        let time = self.timeouts().own_write_window;
        self.lifecycle.shared.recent_invitations.record(email, time);
    }
}

fn not_visible(email: &str) -> GovernanceError {
    GovernanceError::Unavailable {
        endpoint: "invite",
        why: format!("the invitation of {email} was sent but is not visible"),
    }
}
