//! Reads, writes and confirms, until the table has nothing left to do.
//!
//! What comes back from a write is one of these, and each has one continuation:
//!
//! | came back | what is done |
//! | --- | --- |
//! | 2xx that echoes the wanted role | done; a POST that echoes a row from long before found what was there already |
//! | 2xx that does not | read again until it shows; claimed only then; where something else shows, decide once more |
//! | no connection | nothing was sent: decide once more |
//! | nothing, 5xx, a cut answer | may have been applied: read again; if it shows it was ours, else decide once more |
//! | 404, 409, 422 | may mean "already so": read again and decide once more; if nothing changed, the refusal stands |
//! | 403, 401, no budget | stands, after a 403 on a POST was checked for a person outside the organization |

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::audit::AuditRecord;
use super::plan::{Plan, Request, Write, decide};
use super::{Membership, Outcome};
use crate::governance::api_errors::{Subject, from_api};
use crate::governance::{Governance, GovernanceError};
use crate::providers::buildkite::{ApiError, ApiErrorKind, CallContext, Endpoint, Role, TeamMember, timestamp};

/// Writes that one request may send: the first, and again where the one before is seen not to have been applied.
const MAX_WRITES: usize = 5;

/// More than this machine's clock and Buildkite's ever differ.
const MAX_CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(10);

/// The result of a write.
enum WriteResult {
    /// The echo is what was asked for.
    Confirmed,
    /// The echo matches but the row predates this request: the member was already there and the earlier read was stale.
    AlreadyPresent,
    /// There is no echo, or one of something else.
    Unconfirmed(Option<Role>),
    NotSent(ApiError),
    ReplyLost(ApiError),
    Rejected(ApiError),
}

/// The execution of one request about one membership.
pub(crate) struct Operation<'a> {
    pub(crate) governance: &'a Governance,
    pub(crate) membership: Membership,
    /// The user as messages name them.
    pub(crate) user_label: String,
    request: Request,
    pub(crate) call: CallContext,
    pub(crate) record: &'a mut AuditRecord,
    /// A write of ours whose reply was lost: if it shows, it was this one.
    pub(crate) lost_write: Option<Write>,
}

impl<'a> Operation<'a> {
    pub(crate) fn new(
        governance: &'a Governance,
        membership: Membership,
        user_label: String,
        request: Request,
        call: CallContext,
        record: &'a mut AuditRecord,
    ) -> Self {
        Self {
            governance,
            membership,
            user_label,
            request,
            call,
            record,
            lost_write: None,
        }
    }

    pub(crate) async fn run(mut self) -> Result<Outcome, GovernanceError> {
        match (self.converge().await, self.request) {
            // In a team that is proven gone nobody holds anything.
            (Err(GovernanceError::TeamNotFound { .. }), Request::Revoke(_)) => Ok(Outcome::AlreadyRevoked),
            (outcome, _) => outcome,
        }
    }

    async fn converge(&mut self) -> Result<Outcome, GovernanceError> {
        let mut current = self.read_current_role().await?;
        let mut last_error = None;
        for _ in 0..MAX_WRITES {
            let write = match self.decide(current) {
                Plan::NoChange => return self.finish_unchanged(current).await,
                Plan::Apply(write) => write,
            };
            self.preflight(write).await?;
            match self.send(write).await? {
                WriteResult::AlreadyPresent if self.lost_write.is_none() => {
                    self.record.observe_role(write.resulting_role());
                    return Ok(Outcome::unchanged(self.request));
                }
                WriteResult::Confirmed | WriteResult::AlreadyPresent => return Ok(self.done(write)),
                WriteResult::Unconfirmed(echo) => {
                    let before = current;
                    current = self.await_visibility(write, before, echo).await?;
                    if current == write.resulting_role() {
                        return Ok(self.done(write));
                    }
                    if current == before {
                        return Err(self.not_visible_error(write, current));
                    }
                }
                WriteResult::NotSent(error) => {
                    current = self.poll_role(|_| true, &[]).await?;
                    last_error = Some(error);
                }
                WriteResult::ReplyLost(error) => {
                    current = self.recover_lost_reply(write).await?;
                    if current != write.resulting_role() && !error.is_transient() {
                        return Err(self.governance.call_error(error, &self.call).await);
                    }
                    last_error = Some(error);
                }
                WriteResult::Rejected(error) => current = self.recheck_after_rejection(write, current, error).await?,
            }
        }
        match self.decide(current) {
            Plan::NoChange => self.finish_unchanged(current).await,
            Plan::Apply(write) => Err(last_error.map_or_else(
                || self.not_visible_error(write, current),
                |error| from_api(error, Subject::Other, None),
            )),
        }
    }

    fn decide(&self, current: Option<Role>) -> Plan {
        decide(self.request, current, self.governance.settings.maintainer_revoke)
    }

    /// Nothing is left to do: because a write of ours did it, or because it was so.
    async fn finish_unchanged(&mut self, current: Option<Role>) -> Result<Outcome, GovernanceError> {
        if let Some(write) = self.lost_write.filter(|write| write.resulting_role() == current) {
            return Ok(self.done(write));
        }
        if current.is_none() {
            // Revoked already, if the 404 on the member means what it says: the team has to be there to be absent from.
            match self.governance.upstream.team(self.membership.team, &self.call).await {
                Ok(team) => self.governance.provisioning.display_names.record_teams(&[team]),
                Err(error) => {
                    return Err(self
                        .governance
                        .team_error(self.membership.team, error, &self.call)
                        .await);
                }
            }
        }
        Ok(Outcome::unchanged(self.request))
    }

    fn done(&mut self, write: Write) -> Outcome {
        self.record.observe_role(write.resulting_role());
        self.record_own_write(write);
        Outcome::of(self.request, write)
    }

    fn record_own_write(&self, write: Write) {
        let valid_for = self.governance.settings.write_timeouts.own_write_window;
        self.governance
            .provisioning
            .recent_writes
            .record(self.membership, write.resulting_role(), valid_for);
    }

    /// The last look before a write: the guards, whether somebody still waits for it, and the record.
    async fn preflight(&mut self, write: Write) -> Result<(), GovernanceError> {
        self.governance.guard(self.membership, write, &self.call).await?;
        if self.call.deadline().is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(GovernanceError::DeadlineExceeded);
        }
        if self.call.is_cancelled() {
            return Err(GovernanceError::Abandoned);
        }
        self.record.write_intent(write).await
    }

    async fn send(&mut self, write: Write) -> Result<WriteResult, GovernanceError> {
        let Membership { team, user } = self.membership;
        let upstream = &self.governance.upstream;
        // Both before and after: a sync that reads the team meanwhile may see it either way, and must not keep the older.
        self.governance.prefetch.invalidate(team);
        let echo = match write {
            Write::Add(role) => upstream.add_member(team, user, role, &self.call).await,
            Write::Change { to, .. } => upstream.change_role(team, user, to, &self.call).await,
            Write::Remove(_) => upstream.remove_member(team, user, &self.call).await.map(|()| None),
        };
        self.governance.prefetch.invalidate(team);
        let not_sent = matches!(&echo, Err(error) if !error.may_have_applied());
        if !not_sent {
            // Something may have changed: from here on the rest is finished whoever waits for it.
            self.call = self
                .call
                .detached_until(Instant::now() + self.governance.settings.write_timeouts.completion);
        }
        match echo {
            Ok(echo) => Ok(match echo.as_ref().and_then(|row| echoed(row, self.membership)) {
                Some(role) if Some(role) != write.resulting_role() => WriteResult::Unconfirmed(Some(role)),
                Some(_) if matches!(write, Write::Add(_)) && echo.as_ref().is_some_and(is_old) => {
                    WriteResult::AlreadyPresent
                }
                Some(_) => WriteResult::Confirmed,
                None => WriteResult::Unconfirmed(None),
            }),
            Err(error) => match error.kind {
                ApiErrorKind::NotFound | ApiErrorKind::Rejected(_) => Ok(WriteResult::Rejected(error)),
                ApiErrorKind::Unavailable(_) if not_sent => Ok(WriteResult::NotSent(error)),
                ApiErrorKind::Unavailable(_) | ApiErrorKind::Unexpected(_) => Ok(WriteResult::ReplyLost(error)),
                ApiErrorKind::Forbidden if matches!(write, Write::Add(_)) => Err(self.after_forbidden_add(error).await),
                _ => Err(self.governance.call_error(error, &self.call).await),
            },
        }
    }

    /// The write was accepted without a matching echo. Poll until it is visible; stop if both the echo and a read show the same
    /// different role, which is a concurrent change.
    async fn await_visibility(
        &mut self,
        write: Write,
        before: Option<Role>,
        echo: Option<Role>,
    ) -> Result<Option<Role>, GovernanceError> {
        self.record_own_write(write);
        let instead = echo.filter(|_| echo != before);
        let pauses = &self.governance.settings.write_timeouts.read_back_delays;
        self.poll_role(
            |current| current == write.resulting_role() || (current.is_some() && current == instead),
            pauses,
        )
        .await
    }

    /// A write's reply was lost: it is looked for, and remembered as one that may still come to show.
    async fn recover_lost_reply(&mut self, write: Write) -> Result<Option<Role>, GovernanceError> {
        self.record_own_write(write);
        self.lost_write = Some(write);
        let doubts = self.governance.settings.write_timeouts.recheck_delays();
        self.poll_role(|current| current == write.resulting_role(), doubts)
            .await
    }

    fn not_visible_error(&self, write: Write, current: Option<Role>) -> GovernanceError {
        GovernanceError::Unavailable {
            endpoint: match write {
                Write::Add(_) => Endpoint::AddMember,
                Write::Change { .. } => Endpoint::ChangeRole,
                Write::Remove(_) => Endpoint::RemoveMember,
            },
            why: format!(
                "the change was sent but does not show ({} now {})",
                self.user_label,
                match current {
                    None => "holds nothing",
                    Some(Role::Member) => "is member",
                    Some(Role::Maintainer) => "is maintainer",
                }
            ),
        }
    }
}

/// The role that an echo shows of this pair.
fn echoed(row: &TeamMember, membership: Membership) -> Option<Role> {
    (row.user_id == membership.user).then(|| row.role.known()).flatten()
}

/// Whether a row began long before now, by more than clocks differ.
fn is_old(row: &TeamMember) -> bool {
    let began = row.created_at.as_deref().and_then(timestamp);
    began.is_some_and(|began| Timestamp::now().duration_since(began) > MAX_CLOCK_SKEW)
}
