//! Reads, writes and confirms, until the table has nothing left to do.
//!
//! What comes back from a write is one of five things, and each has one continuation:
//!
//! | came back | what is done |
//! | --- | --- |
//! | 2xx that echoes the wanted role | done |
//! | 2xx that does not | read again until it shows; claimed only then |
//! | nothing, 5xx, a cut answer | may have been applied: read again; if it shows it was ours, else decide once more |
//! | 404, 409, 422 | may mean "already so": read again and decide once more; if nothing changed, the refusal stands |
//! | 403, 401, no budget | stands, after a 403 on a POST was checked for a person outside the organization |

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::{Access, AccessError};
use super::decision::{Decision, MaintainerRevoke, Request, Write, decide};
use super::{Outcome, Pair};
use crate::buildkite::{ApiError, Call, Endpoint, ListedRole, Role, TeamMember, Trouble};

/// Writes that one request may send: the first, and again where the one before is known not to have been applied.
const WRITES: usize = 3;

/// Pauses between reads that wait for a write to show; together they last longer than any lag that was ever seen.
const PAUSES: [Duration; 6] = [
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_millis(600),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(5),
];

/// Of those, how many are waited after a refusal or a lost reply before what is read is believed.
const DOUBTS: usize = 4;

/// How long a write that was begun may take to be confirmed, whoever still waits for it.
const FINISH: Duration = Duration::from_secs(90);

/// What came back from a write.
enum Sent {
    Shown,
    Unshown,
    Lost(ApiError),
    Refused(ApiError),
}

/// One request about one pair.
pub(super) struct Work<'a> {
    access: &'a Access,
    pair: Pair,
    request: Request,
    call: Call,
    /// A write of ours whose reply was lost: if it shows, it was this one.
    lost: Option<Write>,
}

impl<'a> Work<'a> {
    pub(super) fn new(access: &'a Access, pair: Pair, request: Request, call: Call) -> Self {
        Self {
            access,
            pair,
            request,
            call,
            lost: None,
        }
    }

    pub(super) async fn run(mut self) -> Result<Outcome, AccessError> {
        let mut held = self.deciding_read().await?;
        let mut trouble = None;
        for _ in 0..WRITES {
            let write = match self.decide(held) {
                Decision::Already => return self.settle(held).await,
                Decision::Make(write) => write,
            };
            match self.send(write).await? {
                Sent::Shown => return Ok(self.done(write)),
                Sent::Unshown => return self.see(write).await,
                Sent::Lost(error) => {
                    self.lost = Some(write);
                    held = self.read_until(|held| held == write.leaves(), DOUBTS).await?;
                    trouble = Some(error);
                }
                Sent::Refused(error) => {
                    held = self.after_refusal(write, held, error).await?;
                }
            }
        }
        match self.decide(held) {
            Decision::Already => self.settle(held).await,
            Decision::Make(write) => Err(trouble.map_or_else(|| self.unshown(write, held), AccessError::plain)),
        }
    }

    fn decide(&self, held: Option<Role>) -> Decision {
        decide(self.request, held, MaintainerRevoke::default())
    }

    /// Nothing is left to do: because a write of ours did it, or because it was so.
    async fn settle(&self, held: Option<Role>) -> Result<Outcome, AccessError> {
        if let Some(write) = self.lost.filter(|write| write.leaves() == held) {
            return Ok(self.done(write));
        }
        if held.is_none() {
            // Revoked already, if the 404 on the member means what it says: the team has to be there to be absent from.
            match self.access.upstream.team(self.pair.team, &self.call).await {
                Ok(_) => {}
                Err(error) => match self.access.about_team(self.pair.team, error, &self.call).await {
                    AccessError::TeamNotFound { .. } => {}
                    other => return Err(other),
                },
            }
        }
        Ok(Outcome::already(self.request))
    }

    fn done(&self, write: Write) -> Outcome {
        self.access.provisioning.turns.wrote(self.pair, write.leaves());
        Outcome::of(self.request, write)
    }

    async fn send(&mut self, write: Write) -> Result<Sent, AccessError> {
        let Pair { team, user } = self.pair;
        let upstream = &self.access.upstream;
        let echo = match write {
            Write::Add(role) => upstream.add_member(team, user, role, &self.call).await,
            Write::Change { to, .. } => upstream.change_role(team, user, to, &self.call).await,
            Write::Remove(_) => upstream.remove_member(team, user, &self.call).await.map(|()| None),
        };
        // From here on something may have changed: the rest is finished whoever waits for it.
        self.call = self.call.to_be_finished_by(Instant::now() + FINISH);
        match echo {
            Ok(Some(TeamMember { user_id, role, .. })) if user_id == user && role.known() == write.leaves() => {
                Ok(Sent::Shown)
            }
            Ok(_) => Ok(Sent::Unshown),
            Err(error) => match error.trouble {
                Trouble::NotFound | Trouble::Rejected(_) => Ok(Sent::Refused(error)),
                Trouble::Unavailable(_) | Trouble::Unexpected(_) => Ok(Sent::Lost(error)),
                Trouble::Forbidden if matches!(write, Write::Add(_)) => Err(self.refusal(error).await),
                _ => Err(self.access.explain(error, &self.call).await),
            },
        }
    }

    /// A write was accepted and not echoed: it is claimed once it shows.
    async fn see(&self, write: Write) -> Result<Outcome, AccessError> {
        self.access.provisioning.turns.wrote(self.pair, write.leaves());
        let held = self.read_until(|held| held == write.leaves(), PAUSES.len()).await?;
        if held == write.leaves() {
            Ok(self.done(write))
        } else {
            Err(self.unshown(write, held))
        }
    }

    fn unshown(&self, write: Write, held: Option<Role>) -> AccessError {
        AccessError::Unavailable {
            call: match write {
                Write::Add(_) => Endpoint::AddMember(self.pair.team),
                Write::Change { .. } => Endpoint::ChangeRole(self.pair.team, self.pair.user),
                Write::Remove(_) => Endpoint::RemoveMember(self.pair.team, self.pair.user),
            },
            why: format!(
                "the change was sent but does not show (the person now {})",
                in_words(held)
            ),
        }
    }

    /// A refusal is checked against what is so now: it may be what was wanted. Where it is not, the refusal stands.
    async fn after_refusal(
        &self,
        write: Write,
        before: Option<Role>,
        error: ApiError,
    ) -> Result<Option<Role>, AccessError> {
        let held = self.held().await?;
        if held != before {
            return Ok(held);
        }
        if matches!(write, Write::Add(_)) && self.access.is_outside(self.pair.user, &self.call).await? {
            return Err(self.outsider());
        }
        let held = self.read_until(|held| held != before, DOUBTS).await?;
        if held != before {
            return Ok(held);
        }
        Err(match error.trouble {
            Trouble::NotFound => self.access.missing_team(self.pair.team, &self.call).await,
            _ => self.access.explain(error, &self.call).await,
        })
    }

    /// A POST that was forbidden: because of whom it was about, or because of who asked.
    async fn refusal(&self, error: ApiError) -> AccessError {
        match self.access.is_outside(self.pair.user, &self.call).await {
            Ok(true) => self.outsider(),
            Ok(false) | Err(_) => self.access.explain(error, &self.call).await,
        }
    }

    fn outsider(&self) -> AccessError {
        AccessError::UserNotInOrganization {
            person: format!("user {}", self.pair.user),
        }
    }

    /// The role held now. What we ourselves wrote a moment ago is given time to show before it counts as undone.
    async fn deciding_read(&self) -> Result<Option<Role>, AccessError> {
        let mut held = self.held().await?;
        let Some(own) = self.access.provisioning.turns.recent(self.pair) else {
            return Ok(held);
        };
        for pause in PAUSES {
            if held == own.left || Instant::now() >= own.until {
                break;
            }
            sleep(pause.min(own.until.saturating_duration_since(Instant::now()))).await;
            held = self.held().await?;
        }
        Ok(held)
    }

    async fn read_until(
        &self,
        shows: impl Fn(Option<Role>) -> bool,
        pauses: usize,
    ) -> Result<Option<Role>, AccessError> {
        let mut held = self.held().await?;
        for pause in PAUSES.into_iter().take(pauses) {
            if shows(held) {
                break;
            }
            sleep(pause).await;
            held = self.held().await?;
        }
        Ok(held)
    }

    /// One read of the member. It joins no other read and comes from no memory.
    async fn held(&self) -> Result<Option<Role>, AccessError> {
        let Pair { team, user } = self.pair;
        match self.access.upstream.member(team, user, &self.call).await {
            Ok(TeamMember {
                role: ListedRole::Known(role),
                ..
            }) => Ok(Some(role)),
            Ok(TeamMember {
                role: ListedRole::Unknown(role),
                ..
            }) => Err(AccessError::Unexpected {
                call: Endpoint::Member(team, user),
                what: format!("the person holds the role `{role}`, which is unknown here and is left alone"),
            }),
            Err(ApiError {
                trouble: Trouble::NotFound,
                ..
            }) => Ok(None),
            Err(error) => Err(self.access.explain(error, &self.call).await),
        }
    }
}

fn in_words(held: Option<Role>) -> &'static str {
    match held {
        None => "holds nothing",
        Some(Role::Member) => "is member",
        Some(Role::Maintainer) => "is maintainer",
    }
}
