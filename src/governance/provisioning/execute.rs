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

use super::audit::Record;
use super::plan::{Plan, Request, Write, decide};
use super::{Outcome, Pair};
use crate::governance::{Governance, GovernanceError};
use crate::providers::buildkite::{ApiError, ApiErrorKind, CallContext, Endpoint, Role, TeamMember, timestamp};

/// Writes that one request may send: the first, and again where the one before is seen not to have been applied.
const WRITES: usize = 5;

/// More than this machine's clock and Buildkite's ever differ.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(10);

/// What came back from a write.
enum Sent {
    /// The echo is what was asked for.
    Shown,
    /// So it is, and the row is older than this request: the read that did not show it was wrong.
    Found,
    /// There is no echo, or one of something else.
    Unshown(Option<Role>),
    Unsent(ApiError),
    Lost(ApiError),
    Refused(ApiError),
}

/// One request about one pair.
pub(crate) struct Work<'a> {
    pub(crate) access: &'a Governance,
    pub(crate) pair: Pair,
    /// The person as messages name them.
    pub(crate) person: String,
    request: Request,
    pub(crate) call: CallContext,
    pub(crate) record: &'a mut Record,
    /// A write of ours whose reply was lost: if it shows, it was this one.
    pub(crate) lost: Option<Write>,
}

impl<'a> Work<'a> {
    pub(crate) fn new(
        access: &'a Governance,
        pair: Pair,
        person: String,
        request: Request,
        call: CallContext,
        record: &'a mut Record,
    ) -> Self {
        Self {
            access,
            pair,
            person,
            request,
            call,
            record,
            lost: None,
        }
    }

    pub(crate) async fn run(mut self) -> Result<Outcome, GovernanceError> {
        match (self.until_decided().await, self.request) {
            // In a team that is proven gone nobody holds anything.
            (Err(GovernanceError::TeamNotFound { .. }), Request::Revoke(_)) => Ok(Outcome::AlreadyRevoked),
            (outcome, _) => outcome,
        }
    }

    async fn until_decided(&mut self) -> Result<Outcome, GovernanceError> {
        let mut held = self.deciding_read().await?;
        let mut trouble = None;
        for _ in 0..WRITES {
            let write = match self.decide(held) {
                Plan::Already => return self.settle(held).await,
                Plan::Make(write) => write,
            };
            self.permit(write).await?;
            match self.send(write).await? {
                Sent::Found if self.lost.is_none() => {
                    self.record.saw(write.leaves());
                    return Ok(Outcome::already(self.request));
                }
                Sent::Shown | Sent::Found => return Ok(self.done(write)),
                Sent::Unshown(echo) => {
                    let before = held;
                    held = self.see(write, before, echo).await?;
                    if held == write.leaves() {
                        return Ok(self.done(write));
                    }
                    if held == before {
                        return Err(self.unshown(write, held));
                    }
                }
                Sent::Unsent(error) => {
                    held = self.read_until(|_| true, &[]).await?;
                    trouble = Some(error);
                }
                Sent::Lost(error) => {
                    held = self.look_for(write).await?;
                    if held != write.leaves() && !error.is_transient() {
                        return Err(self.access.explain(error, &self.call).await);
                    }
                    trouble = Some(error);
                }
                Sent::Refused(error) => held = self.after_refusal(write, held, error).await?,
            }
        }
        match self.decide(held) {
            Plan::Already => self.settle(held).await,
            Plan::Make(write) => Err(trouble.map_or_else(|| self.unshown(write, held), GovernanceError::plain)),
        }
    }

    fn decide(&self, held: Option<Role>) -> Plan {
        decide(self.request, held, self.access.settings.maintainer_revoke)
    }

    /// Nothing is left to do: because a write of ours did it, or because it was so.
    async fn settle(&mut self, held: Option<Role>) -> Result<Outcome, GovernanceError> {
        if let Some(write) = self.lost.filter(|write| write.leaves() == held) {
            return Ok(self.done(write));
        }
        if held.is_none() {
            // Revoked already, if the 404 on the member means what it says: the team has to be there to be absent from.
            match self.access.upstream.team(self.pair.team, &self.call).await {
                Ok(team) => self.access.provisioning.names.teams(&[team]),
                Err(error) => return Err(self.access.about_team(self.pair.team, error, &self.call).await),
            }
        }
        Ok(Outcome::already(self.request))
    }

    fn done(&mut self, write: Write) -> Outcome {
        self.record.saw(write.leaves());
        self.remember(write);
        Outcome::of(self.request, write)
    }

    fn remember(&self, write: Write) {
        let explains = self.access.settings.patience.own_writes;
        self.access
            .provisioning
            .turns
            .wrote(self.pair, write.leaves(), explains);
    }

    /// The last look before a write: the guards, whether somebody still waits for it, and the record.
    async fn permit(&mut self, write: Write) -> Result<(), GovernanceError> {
        self.access.guard(self.pair, write, &self.call).await?;
        if self.call.deadline().is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(GovernanceError::DeadlineExceeded);
        }
        if self.call.is_cancelled() {
            return Err(GovernanceError::Abandoned);
        }
        self.record.intend(write).await
    }

    async fn send(&mut self, write: Write) -> Result<Sent, GovernanceError> {
        let Pair { team, user } = self.pair;
        let upstream = &self.access.upstream;
        // Both before and after: a sync that reads the team meanwhile may see it either way, and must not keep the older.
        self.access.read_ahead.forget(team);
        let echo = match write {
            Write::Add(role) => upstream.add_member(team, user, role, &self.call).await,
            Write::Change { to, .. } => upstream.change_role(team, user, to, &self.call).await,
            Write::Remove(_) => upstream.remove_member(team, user, &self.call).await.map(|()| None),
        };
        self.access.read_ahead.forget(team);
        let unsent = matches!(&echo, Err(error) if !error.may_have_applied());
        if !unsent {
            // Something may have changed: from here on the rest is finished whoever waits for it.
            self.call = self
                .call
                .detached_until(Instant::now() + self.access.settings.patience.finish);
        }
        match echo {
            Ok(echo) => Ok(match echo.as_ref().and_then(|row| echoed(row, self.pair)) {
                Some(role) if Some(role) != write.leaves() => Sent::Unshown(Some(role)),
                Some(_) if matches!(write, Write::Add(_)) && echo.as_ref().is_some_and(is_old) => Sent::Found,
                Some(_) => Sent::Shown,
                None => Sent::Unshown(None),
            }),
            Err(error) => match error.kind {
                ApiErrorKind::NotFound | ApiErrorKind::Rejected(_) => Ok(Sent::Refused(error)),
                ApiErrorKind::Unavailable(_) if unsent => Ok(Sent::Unsent(error)),
                ApiErrorKind::Unavailable(_) | ApiErrorKind::Unexpected(_) => Ok(Sent::Lost(error)),
                ApiErrorKind::Forbidden if matches!(write, Write::Add(_)) => Err(self.after_forbidden_add(error).await),
                _ => Err(self.access.explain(error, &self.call).await),
            },
        }
    }

    /// A write was accepted and not echoed: it is looked for as long as writes may take to show. What both the echo and a
    /// read show instead is somebody else's, and ends the wait.
    async fn see(
        &mut self,
        write: Write,
        before: Option<Role>,
        echo: Option<Role>,
    ) -> Result<Option<Role>, GovernanceError> {
        self.remember(write);
        let instead = echo.filter(|_| echo != before);
        let pauses = &self.access.settings.patience.pauses;
        self.read_until(
            |held| held == write.leaves() || (held.is_some() && held == instead),
            pauses,
        )
        .await
    }

    /// A write's reply was lost: it is looked for, and remembered as one that may still come to show.
    async fn look_for(&mut self, write: Write) -> Result<Option<Role>, GovernanceError> {
        self.remember(write);
        self.lost = Some(write);
        let doubts = self.access.settings.patience.doubts();
        self.read_until(|held| held == write.leaves(), doubts).await
    }

    fn unshown(&self, write: Write, held: Option<Role>) -> GovernanceError {
        GovernanceError::Unavailable {
            call: match write {
                Write::Add(_) => Endpoint::AddMember,
                Write::Change { .. } => Endpoint::ChangeRole,
                Write::Remove(_) => Endpoint::RemoveMember,
            },
            why: format!(
                "the change was sent but does not show ({} now {})",
                self.person,
                match held {
                    None => "holds nothing",
                    Some(Role::Member) => "is member",
                    Some(Role::Maintainer) => "is maintainer",
                }
            ),
        }
    }
}

/// The role that an echo shows of this pair.
fn echoed(row: &TeamMember, pair: Pair) -> Option<Role> {
    (row.user_id == pair.user).then(|| row.role.known()).flatten()
}

/// Whether a row began long before now, by more than clocks differ.
fn is_old(row: &TeamMember) -> bool {
    let began = row.created_at.as_deref().and_then(timestamp);
    began.is_some_and(|began| Timestamp::now().duration_since(began) > CLOCKS_DIFFER)
}
