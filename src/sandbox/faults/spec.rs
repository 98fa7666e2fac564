//! Faults written as text, for the command line: `ENDPOINT:KIND[=VALUE][:page=N][:after=N][:times=N]`.
//!
//! | kind | value |
//! | --- | --- |
//! | `status` | a status; `:body=message`, `empty` or `html` |
//! | `html`, `hang`, `truncated`, `null`, `empty` | |
//! | `delay` | a duration such as `500ms` |
//! | `reset` | `before` or `after` applying |
//! | `applied-then` | a status |
//! | `shape` | JSON without a colon in it, such as `{}` |
//! | `redirect` | a path |
//! | `repeat-page`, `replay-previous` | |
//! | `short-page` | how many rows |
//! | `rate-limited` | `rest` or `rest_user` |
//! | `link` | `dropped`, or the number of the last page that it names |
//! | `headers` | `dropped`, `negative`, `huge`, `non-numeric` or `zero` |
//! | `move` | `remove`, `insert` or `re-add` |

use std::str::FromStr;

use http::StatusCode;

use super::{BodyStyle, Edit, Fault, FaultKind, HeaderChange, LinkChange, RefusalStyle};
use crate::sandbox::endpoint::{Endpoint, UnknownEndpoint};
use crate::sandbox::limits::Bucket;

/// A fault's text that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FaultSpecError {
    /// The endpoint is unknown.
    #[error(transparent)]
    Endpoint(#[from] UnknownEndpoint),
    /// The text says no kind of fault.
    #[error("a fault is written `ENDPOINT:KIND`, such as `team-members:status=502:times=3`")]
    Incomplete,
    /// There is no such kind, or it does not take this value.
    #[error("`{0}` is no kind of fault with a value it takes")]
    Kind(String),
    /// There is no such option, or it does not take this value.
    #[error("`{0}` is none of page=N, after=N, times=N, body=message|empty|html")]
    Option(String),
}

impl FromStr for Fault {
    type Err = FaultSpecError;

    fn from_str(text: &str) -> Result<Self, FaultSpecError> {
        let mut parts = text.split(':');
        let endpoint: Endpoint = parts.next().ok_or(FaultSpecError::Incomplete)?.parse()?;
        let kind = parts.next().ok_or(FaultSpecError::Incomplete)?;
        let mut fault = Self::new(
            endpoint,
            kind_of(kind).ok_or_else(|| FaultSpecError::Kind(kind.to_owned()))?,
        );
        for option in parts {
            fault = with_option(fault, option).ok_or_else(|| FaultSpecError::Option(option.to_owned()))?;
        }
        Ok(fault)
    }
}

fn with_option(mut fault: Fault, option: &str) -> Option<Fault> {
    let (name, value) = option.split_once('=')?;
    match name {
        "page" => fault.page = Some(value.parse().ok()?),
        "after" => fault.skip = value.parse().ok()?,
        "times" => fault = fault.times(value.parse().ok()?),
        "body" => {
            let FaultKind::Status(_, style) = &mut fault.kind else {
                return None;
            };
            *style = match value {
                "message" => BodyStyle::Message,
                "empty" => BodyStyle::Empty,
                "html" => BodyStyle::Html,
                _ => return None,
            };
        }
        _ => return None,
    }
    Some(fault)
}

fn kind_of(text: &str) -> Option<FaultKind> {
    let Some((name, value)) = text.split_once('=') else {
        return match text {
            "html" => Some(FaultKind::Html200),
            "hang" => Some(FaultKind::Hang),
            "truncated" => Some(FaultKind::Truncated),
            "null" => Some(FaultKind::NullBody),
            "empty" => Some(FaultKind::EmptyBody),
            "repeat-page" => Some(FaultKind::RepeatPage),
            "replay-previous" => Some(FaultKind::ReplayPrevious),
            _ => None,
        };
    };
    match (name, value) {
        ("status", code) => Some(FaultKind::Status(status(code)?, BodyStyle::Message)),
        ("applied-then", code) => Some(FaultKind::AppliedThenStatus(status(code)?)),
        ("delay", time) => humantime::parse_duration(time).ok().map(FaultKind::Delay),
        ("reset", "before") => Some(FaultKind::ResetBefore),
        ("reset", "after") => Some(FaultKind::ResetAfter),
        ("shape", json) => serde_json::from_str(json).ok().map(FaultKind::WrongShape),
        ("redirect", path) => Some(FaultKind::Redirect(path.to_owned())),
        ("short-page", rows) => rows.parse().ok().map(FaultKind::ShortPage),
        ("rate-limited", "rest") => Some(FaultKind::RateLimited(Bucket::Organization, RefusalStyle::Documented)),
        ("rate-limited", "rest_user") => Some(FaultKind::RateLimited(Bucket::User, RefusalStyle::Documented)),
        ("link", "dropped") => Some(FaultKind::Links(LinkChange::Dropped)),
        ("link", last) => last.parse().ok().map(|last| FaultKind::Links(LinkChange::Last(last))),
        ("headers", change) => header_change(change).map(FaultKind::Headers),
        ("move", "remove") => Some(FaultKind::MoveRows(Edit::RemoveAhead)),
        ("move", "insert") => Some(FaultKind::MoveRows(Edit::InsertAhead)),
        ("move", "re-add") => Some(FaultKind::MoveRows(Edit::RemoveAndAddAgain)),
        _ => None,
    }
}

fn header_change(text: &str) -> Option<HeaderChange> {
    match text {
        "dropped" => Some(HeaderChange::Dropped),
        "negative" => Some(HeaderChange::NegativeRemaining),
        "huge" => Some(HeaderChange::HugeReset),
        "non-numeric" => Some(HeaderChange::NonNumericReset),
        "zero" => Some(HeaderChange::ZeroReset),
        _ => None,
    }
}

/// A status that ends a request: 1xx would not.
fn status(text: &str) -> Option<StatusCode> {
    text.parse::<StatusCode>()
        .ok()
        .filter(|status| !status.is_informational())
}
