//! Faults on demand: what can go wrong between a client and Buildkite, aimed at chosen requests, and counted when it
//! happens. A fault meets only requests that the rate limits let through, and takes the place of their answer.

mod book;
mod edit;
mod gate;
mod spec;
mod strike;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::Value;
use uuid::Uuid;

use super::endpoint::Endpoint;
use super::limits::Bucket;
use super::organization::Organization;

pub(super) use book::Plan;
pub use book::{FaultHandle, Faults};
pub(super) use edit::make;
pub use gate::Gate;
pub use spec::{FAULT_KINDS, FaultSpecError};
pub(super) use strike::{Instead, Outcome, change_headers, change_link, outcome};

/// Something that goes wrong with certain requests.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The endpoint it strikes.
    pub endpoint: Endpoint,
    /// Only requests for this page of a list; none: any page.
    pub page: Option<usize>,
    /// Only requests about this team; none: any team.
    pub team: Option<Uuid>,
    /// So many requests that it could strike are let pass first.
    pub skip: u64,
    /// How often it strikes.
    pub times: Times,
    /// What happens.
    pub kind: FaultKind,
}

impl Fault {
    /// A fault that strikes every request of this endpoint.
    #[must_use]
    pub fn new(endpoint: Endpoint, kind: FaultKind) -> Self {
        Self {
            endpoint,
            page: None,
            team: None,
            skip: 0,
            times: Times::Forever,
            kind,
        }
    }

    /// The same, once only.
    #[must_use]
    pub fn once(self) -> Self {
        self.times(1)
    }

    /// The same, so many times only.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Times::Only(times);
        self
    }

    /// The same, after letting so many requests pass.
    #[must_use]
    pub fn after(mut self, skip: u64) -> Self {
        self.skip = skip;
        self
    }

    /// The same, for one page of the list only.
    #[must_use]
    pub fn on_page(mut self, page: usize) -> Self {
        self.page = Some(page);
        self
    }

    /// The same, for one team only.
    #[must_use]
    pub fn on_team(mut self, team: Uuid) -> Self {
        self.team = Some(team);
        self
    }
}

/// How often a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// Every time.
    Forever,
    /// So many times.
    Only(u64),
}

/// What goes wrong.
#[derive(Clone, Debug)]
pub enum FaultKind {
    /// This status; nothing is applied.
    Status(StatusCode, BodyStyle),
    /// An HTML page with status 200, as a captive portal or a maintenance page would be.
    Html200,
    /// No answer, ever; nothing is applied.
    Hang,
    /// The true answer, late.
    Delay(Duration),
    /// The true answer, once the gate is open.
    Held(Gate),
    /// The connection is reset; nothing is applied.
    ResetBefore,
    /// The request is carried out, then the connection is reset.
    ResetAfter,
    /// The request is carried out, then this status is answered without a body.
    AppliedThenStatus(StatusCode),
    /// The connection ends in the middle of the body.
    Truncated,
    /// The request is carried out; the body is this JSON.
    WrongShape(Value),
    /// The request is carried out; the body is this text, which need not be JSON.
    Text(String),
    /// The true answer under this status.
    AnsweredAs(StatusCode),
    /// The true answer, declared as this content type; none: not declared.
    ContentType(Option<String>),
    /// The request is carried out; the body is `null`.
    NullBody,
    /// The request is carried out; there is no body.
    EmptyBody,
    /// A redirect to this URL; nothing is applied.
    Redirect(String),
    /// Page 1 of the list, whatever page was asked for.
    RepeatPage,
    /// What the last request of the same list was answered. Does not strike while there is no such answer.
    ReplayPrevious,
    /// Only so many rows of the page, with the `Link` header of the whole.
    ShortPage(usize),
    /// A 429 of this bucket, though it is not used up; nothing is applied.
    RateLimited(Bucket, RefusalStyle),
    /// The true answer, with other rate-limit headers.
    Headers(HeaderChange),
    /// The answer of a list, true or struck by another fault, with another `Link` header.
    Links(LinkChange),
    /// The organization changes just before the true answer is made.
    MoveRows(Edit),
}

/// The body of an error status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyStyle {
    /// `{"message": …}`.
    Message,
    /// None.
    Empty,
    /// A page for people, as a proxy writes it.
    Html,
}

/// The body of a 429.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefusalStyle {
    /// The five documented fields.
    Documented,
    /// The five fields, with another `scope`.
    Scope(String),
    /// `message` only.
    MessageOnly,
    /// None.
    Empty,
    /// Text.
    NotJson,
    /// The five fields, without any rate-limit header.
    NoHeaders,
}

/// What becomes of the rate-limit headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderChange {
    /// They are missing.
    Dropped,
    /// What remains is negative.
    NegativeRemaining,
    /// The reset is a week away.
    HugeReset,
    /// The reset is no number.
    NonNumericReset,
    /// The reset is 0 and nothing remains.
    ZeroReset,
}

/// What becomes of a list's `Link` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkChange {
    /// It is missing.
    Dropped,
    /// It names a next page and this last one.
    Last(u32),
}

/// A change of the organization in the middle of a listing. The named ones act on the list that is being read.
#[derive(Clone)]
pub enum Edit {
    /// The first row goes: all others move up by one. Of people, the first but the owner of the default token.
    RemoveAhead,
    /// A row appears before all others: they move down by one.
    InsertAhead,
    /// The first row goes and is added again: it moves to where new rows are.
    RemoveAndAddAgain,
    /// Any change.
    With(Arc<dyn Fn(&mut Organization) + Send + Sync>),
}

impl Edit {
    /// Any change of the organization.
    pub fn with(change: impl Fn(&mut Organization) + Send + Sync + 'static) -> Self {
        Self::With(Arc::new(change))
    }
}

impl fmt::Debug for Edit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::RemoveAhead => "RemoveAhead",
            Self::InsertAhead => "InsertAhead",
            Self::RemoveAndAddAgain => "RemoveAndAddAgain",
            Self::With(_) => "With(..)",
        })
    }
}
