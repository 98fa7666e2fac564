//! Faults on demand: failures between a client and Buildkite that apply to chosen requests and are counted. A fault
//! applies only to requests that the rate limits admit, and replaces their response.

mod edit;
mod gate;
mod move_objects;
mod outcome;
mod registry;
mod spec;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::Value;
use uuid::Uuid;

use super::endpoint::Endpoint;
use super::limits::Bucket;
use super::organization::Organization;

pub(super) use edit::apply_edit;
pub use gate::Gate;
pub(super) use outcome::{ListOverride, Outcome, change_headers, change_link, resolve_outcome};
pub(super) use registry::FaultPlan;
pub use registry::{FaultHandle, Faults};
pub use spec::{FAULT_KINDS, FaultSpecError};

/// A failure that applies to certain requests.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The endpoint it applies to.
    pub endpoint: Endpoint,
    /// Only requests for this page of a list; `None`: any page.
    pub page: Option<usize>,
    /// Only requests about this team; `None`: any team.
    pub team: Option<Uuid>,
    /// The number of matching requests to skip first.
    pub skip: u64,
    /// How often it occurs.
    pub times: Times,
    /// What happens.
    pub kind: FaultKind,
}

impl Fault {
    /// A fault that applies to every request to this endpoint.
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

    /// The same fault, once only.
    #[must_use]
    pub fn once(self) -> Self {
        self.times(1)
    }

    /// The same fault, at most this many times.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Times::Only(times);
        self
    }

    /// The same fault, after skipping this many requests.
    #[must_use]
    pub fn after(mut self, skip: u64) -> Self {
        self.skip = skip;
        self
    }

    /// The same fault, for one page of the list only.
    #[must_use]
    pub fn on_page(mut self, page: usize) -> Self {
        self.page = Some(page);
        self
    }

    /// The same fault, for one team only.
    #[must_use]
    pub fn on_team(mut self, team: Uuid) -> Self {
        self.team = Some(team);
        self
    }
}

/// How often a fault occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// Every time.
    Forever,
    /// At most this many times.
    Only(u64),
}

/// What goes wrong.
#[derive(Clone, Debug)]
pub enum FaultKind {
    /// This status; the request is not executed.
    Status(StatusCode, BodyStyle),
    /// An HTML page with status 200, like that of a captive portal or a maintenance page.
    Html200,
    /// The request is not executed and never answered.
    Hang,
    /// The normal response, after a delay.
    Delay(Duration),
    /// The normal response, once the gate is open.
    Held(Gate),
    /// The connection is reset; the request is not executed.
    ResetBefore,
    /// The request is executed, then the connection is reset.
    ResetAfter,
    /// The request is executed; the response has this status and no body.
    AppliedThenStatus(StatusCode),
    /// The connection ends in the middle of the body.
    Truncated,
    /// The request is executed; the body is this JSON.
    WrongShape(Value),
    /// The request is executed; the body is this text, which need not be JSON.
    Text(String),
    /// The normal response with this status.
    AnsweredAs(StatusCode),
    /// The normal response with this content type; `None`: without a content type.
    ContentType(Option<String>),
    /// The request is executed; the body is `null`.
    NullBody,
    /// The request is executed; the body is empty.
    EmptyBody,
    /// A redirect to this URL; the request is not executed.
    Redirect(String),
    /// Page 1 of the list, for every requested page.
    RepeatPage,
    /// The previous response of the same list. Does not apply until there is one.
    ReplayPrevious,
    /// At most this many rows of the page, with the unchanged `Link` header.
    ShortPage(usize),
    /// A 429 of this limit, although it is not exhausted; the request is not executed.
    RateLimited(Bucket, RateLimitStyle),
    /// The normal response, with other rate-limit headers.
    Headers(HeaderChange),
    /// The response of a list, normal or changed by another fault, with another `Link` header.
    Links(LinkChange),
    /// The organization changes just before the request is executed.
    MoveRows(Edit),
}

/// The body of an error status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyStyle {
    /// `{"message": …}`.
    Message,
    /// No body.
    Empty,
    /// An HTML page, as a proxy sends it.
    Html,
}

/// The form of a 429.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RateLimitStyle {
    /// The five documented fields.
    Documented,
    /// The five fields, with another `scope`.
    Scope(String),
    /// `message` only.
    MessageOnly,
    /// No body.
    Empty,
    /// Plain text.
    NotJson,
    /// The five fields, without rate-limit headers.
    NoHeaders,
}

/// A change of the rate-limit headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderChange {
    /// The headers are missing.
    Dropped,
    /// The remaining number is negative.
    NegativeRemaining,
    /// The reset is a week away.
    HugeReset,
    /// The reset is not a number.
    NonNumericReset,
    /// The reset is 0 and no requests remain.
    ZeroReset,
}

/// A change of a list's `Link` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkChange {
    /// The header is missing.
    Dropped,
    /// The header names a next page and this last page.
    Last(u32),
}

/// A change of the organization while a list is being read. The named edits apply to that list.
#[derive(Clone)]
pub enum Edit {
    /// Removes the first row, so all others move up by one. In the list of people, the owner of the default token is
    /// skipped.
    RemoveAhead,
    /// Inserts a row before all others, so they move down by one.
    InsertAhead,
    /// Removes the first row and adds it again, so it moves to the position of new rows.
    RemoveAndAddAgain,
    /// Any change.
    With(Arc<dyn Fn(&mut Organization) + Send + Sync>),
}

impl Edit {
    /// An edit that makes any change of the organization.
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
