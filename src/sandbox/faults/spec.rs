//! Faults as text, for the command line: `ENDPOINT:KIND[=VALUE][:page=N][:after=N][:times=N]`.

use std::str::FromStr;

use http::{HeaderValue, StatusCode};

use super::{BodyStyle, Edit, Fault, FaultKind, HeaderChange, LinkChange, RateLimitStyle};
use crate::sandbox::endpoint::{Endpoint, UnknownEndpoint};
use crate::sandbox::limits::Bucket;

/// The syntax of every kind of fault, and its effect. `sandbox --help` prints it.
pub const FAULT_KINDS: [(&str, &str); 22] = [
    (
        "status=CODE[:body=message|empty|html]",
        "this status; the request is not executed",
    ),
    ("html", "an HTML page with status 200"),
    ("hang", "no response, ever; the request is not executed"),
    ("delay=TIME", "the normal response after this delay"),
    ("reset=before", "the connection is reset; the request is not executed"),
    ("reset=after", "the request is executed, then the connection is reset"),
    (
        "applied-then=CODE",
        "the request is executed; the response is this status without a body",
    ),
    ("truncated", "the connection ends in the middle of the body"),
    ("shape=JSON", "the body is this JSON without a colon, such as `{}`"),
    ("text=TEXT", "the body is this text without a colon, such as `[1,`"),
    ("answered-as=CODE", "the normal response with this status"),
    (
        "content-type=TYPE|none",
        "the normal response with this content type, or without one",
    ),
    ("null", "the body is `null`"),
    ("empty", "the body is empty"),
    ("redirect=PATH", "a redirect to this path; the request is not executed"),
    ("repeat-page", "page 1 of the list for every requested page"),
    ("replay-previous", "the previous response of the same list again"),
    ("short-page=ROWS", "at most this many rows of the page"),
    (
        "rate-limited=rest|rest_user",
        "a 429 of this limit, although it is not exhausted",
    ),
    (
        "headers=dropped|negative|huge|non-numeric|zero",
        "the normal response with wrong rate-limit headers",
    ),
    (
        "link=dropped|N",
        "the normal page without a `Link` header, or with one that names N as the last page",
    ),
    (
        "move=remove|insert|re-add",
        "a row is removed, inserted or moved before the page is read, so later rows move",
    ),
];

/// A fault's text that cannot be parsed.
#[derive(Debug, thiserror::Error)]
pub enum FaultSpecError {
    /// The endpoint is unknown.
    #[error(transparent)]
    Endpoint(#[from] UnknownEndpoint),
    /// The kind is missing.
    #[error("a fault is written `ENDPOINT:KIND`, such as `team-members:status=502:times=3`")]
    Incomplete,
    /// The kind does not exist or does not take this value.
    #[error("`{0}` is not a kind of fault, or its value is invalid")]
    Kind(String),
    /// The option does not exist or does not take this value.
    #[error("`{0}` is not one of page=N, after=N, times=N, body=message|empty|html")]
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
            parse_kind(kind).ok_or_else(|| FaultSpecError::Kind(kind.to_owned()))?,
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

fn parse_kind(text: &str) -> Option<FaultKind> {
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
        ("status", code) => Some(FaultKind::Status(parse_status(code)?, BodyStyle::Message)),
        ("applied-then", code) => Some(FaultKind::AppliedThenStatus(parse_status(code)?)),
        ("delay", time) => humantime::parse_duration(time).ok().map(FaultKind::Delay),
        ("reset", "before") => Some(FaultKind::ResetBefore),
        ("reset", "after") => Some(FaultKind::ResetAfter),
        ("shape", json) => serde_json::from_str(json).ok().map(FaultKind::WrongShape),
        ("text", text) => Some(FaultKind::Text(text.to_owned())),
        ("answered-as", code) => Some(FaultKind::AnsweredAs(parse_status(code)?)),
        ("content-type", "none") => Some(FaultKind::ContentType(None)),
        ("content-type", declared) => HeaderValue::from_str(declared)
            .is_ok()
            .then(|| FaultKind::ContentType(Some(declared.to_owned()))),
        ("redirect", path) => Some(FaultKind::Redirect(path.to_owned())),
        ("short-page", rows) => rows.parse().ok().map(FaultKind::ShortPage),
        ("rate-limited", "rest") => Some(FaultKind::RateLimited(Bucket::Organization, RateLimitStyle::Documented)),
        ("rate-limited", "rest_user") => Some(FaultKind::RateLimited(Bucket::User, RateLimitStyle::Documented)),
        ("link", "dropped") => Some(FaultKind::Links(LinkChange::Dropped)),
        ("link", last) => last.parse().ok().map(|last| FaultKind::Links(LinkChange::Last(last))),
        ("headers", change) => parse_header_change(change).map(FaultKind::Headers),
        ("move", "remove") => Some(FaultKind::MoveRows(Edit::RemoveAhead)),
        ("move", "insert") => Some(FaultKind::MoveRows(Edit::InsertAhead)),
        ("move", "re-add") => Some(FaultKind::MoveRows(Edit::RemoveAndAddAgain)),
        _ => None,
    }
}

fn parse_header_change(text: &str) -> Option<HeaderChange> {
    match text {
        "dropped" => Some(HeaderChange::Dropped),
        "negative" => Some(HeaderChange::NegativeRemaining),
        "huge" => Some(HeaderChange::HugeReset),
        "non-numeric" => Some(HeaderChange::NonNumericReset),
        "zero" => Some(HeaderChange::ZeroReset),
        _ => None,
    }
}

/// A final status: 1xx would not end a request.
fn parse_status(text: &str) -> Option<StatusCode> {
    text.parse::<StatusCode>()
        .ok()
        .filter(|status| !status.is_informational())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One example for each choice of a kind, with a value in place of each name.
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
                assert!(parse_kind(&example).is_some(), "{example}");
            }
        }
    }

    #[test]
    fn every_kind_that_can_be_written_is_listed() {
        let source = include_str!("spec.rs");
        let from = source.find("fn parse_kind").unwrap();
        let to = source.find("fn parse_header_change").unwrap();
        let names = source[from..to].split('"').skip(1).step_by(2);
        let listed: Vec<String> = FAULT_KINDS.iter().flat_map(|(kind, _)| examples(kind)).collect();
        for name in names.filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-' || c == '_')) {
            let is_listed = listed.iter().any(|kind| kind.split('=').any(|part| part == name));
            assert!(is_listed, "{name}");
        }
    }
}
