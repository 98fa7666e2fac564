//! Faults written as text, for the command line: `ENDPOINT:KIND[=VALUE][:page=N][:after=N][:times=N]`.

use std::str::FromStr;

use http::{HeaderValue, StatusCode};

use super::{BodyStyle, Edit, Fault, FaultKind, HeaderChange, LinkChange, RefusalStyle};
use crate::sandbox::endpoint::{Endpoint, UnknownEndpoint};
use crate::sandbox::limits::Bucket;

/// Every kind of fault as it is written, and what happens then. `sandbox --help` prints it.
pub const FAULT_KINDS: [(&str, &str); 22] = [
    (
        "status=CODE[:body=message|empty|html]",
        "this status; nothing is applied",
    ),
    ("html", "an HTML page with status 200"),
    ("hang", "no answer, ever; nothing is applied"),
    ("delay=TIME", "the true answer, this much later"),
    ("reset=before", "the connection is reset; nothing is applied"),
    (
        "reset=after",
        "the request is carried out, then the connection is reset",
    ),
    (
        "applied-then=CODE",
        "the request is carried out, then answered with this status",
    ),
    ("truncated", "the connection ends in the middle of the body"),
    (
        "shape=JSON",
        "the body is this JSON, which has no colon in it, such as `{}`",
    ),
    (
        "text=TEXT",
        "the body is this text, which has no colon in it, such as `[1,`",
    ),
    ("answered-as=CODE", "the true answer, with this status"),
    (
        "content-type=TYPE|none",
        "the true answer, declared as this type, or as none",
    ),
    ("null", "the body is `null`"),
    ("empty", "there is no body"),
    ("redirect=PATH", "a redirect to this path; nothing is applied"),
    ("repeat-page", "page 1 of the list, whichever page was asked for"),
    ("replay-previous", "the previous answer of the same list once more"),
    ("short-page=ROWS", "only so many rows of the page"),
    (
        "rate-limited=rest|rest_user",
        "a 429 of this limit, though it is not used up",
    ),
    (
        "headers=dropped|negative|huge|non-numeric|zero",
        "the true answer with wrong rate-limit headers",
    ),
    (
        "link=dropped|N",
        "the true page without a `Link`, or with one that names N as the last page",
    ),
    (
        "move=remove|insert|re-add",
        "a row goes or comes before the page is made: all behind it move",
    ),
];

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
        ("text", text) => Some(FaultKind::Text(text.to_owned())),
        ("answered-as", code) => Some(FaultKind::AnsweredAs(status(code)?)),
        ("content-type", "none") => Some(FaultKind::ContentType(None)),
        ("content-type", declared) => HeaderValue::from_str(declared)
            .is_ok()
            .then(|| FaultKind::ContentType(Some(declared.to_owned()))),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The kinds as they may be written, one for each choice, with a value in place of each name.
    fn examples(kind: &str) -> Vec<String> {
        let kind = kind.split('[').next().unwrap();
        let Some((name, values)) = kind.split_once('=') else {
            return vec![kind.to_owned()];
        };
        let value = |value: &str| match value {
            "CODE" => "502".to_owned(),
            "TIME" => "1s".to_owned(),
            "JSON" => "{}".to_owned(),
            "PATH" => "/v2".to_owned(),
            "ROWS" | "N" => "1".to_owned(),
            "TYPE" => "text/plain".to_owned(),
            choice => choice.to_owned(),
        };
        values.split('|').map(|of| format!("{name}={}", value(of))).collect()
    }

    #[test]
    fn every_kind_that_is_listed_can_be_written() {
        for (kind, _) in FAULT_KINDS {
            for example in examples(kind) {
                assert!(kind_of(&example).is_some(), "{example}");
            }
        }
    }

    #[test]
    fn every_kind_that_can_be_written_is_listed() {
        let source = include_str!("spec.rs");
        let from = source.find("fn kind_of").unwrap();
        let to = source.find("fn header_change").unwrap();
        let names = source[from..to].split('"').skip(1).step_by(2);
        let listed: Vec<String> = FAULT_KINDS.iter().flat_map(|(kind, _)| examples(kind)).collect();
        for name in names.filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-' || c == '_')) {
            let is_listed = listed.iter().any(|kind| kind.split('=').any(|part| part == name));
            assert!(is_listed, "{name}");
        }
    }
}
