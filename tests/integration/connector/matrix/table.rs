//! Which trouble ends how. The table is written from the design, not from the code.

use std::time::Duration;

use buildkite_connector::sandbox::{BodyStyle, Bucket, FaultKind, RateLimitStyle};
use http::StatusCode;
use serde_json::json;
use tonic::Code::{self, FailedPrecondition, PermissionDenied, Unauthenticated, Unavailable};

use super::List;
use crate::support::Listing;

/// How a listing ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Every row is there.
    Healed,
    /// With this code and reason. Asking again did not help, or was not tried.
    Fails(Code, &'static str),
    /// Every row is there or it fails with one of the two reasons: the list contradicts itself, and either may show first.
    Contradicts,
}

/// A kind of trouble, and how a listing ends that meets it once or for ever.
pub struct Trouble {
    pub name: &'static str,
    pub kind: FaultKind,
    pub once: End,
    pub forever: End,
    /// Whether a single request is sent although the fault lasts.
    pub asked_once: bool,
    /// How long a window of the rate limits is.
    pub window: Duration,
}

/// A window of the rate limits that ends while a listing waits for it.
pub const SOON: Duration = Duration::from_millis(200);

const REJECTED: End = End::Fails(Unauthenticated, "TOKEN_REJECTED");
const FORBIDDEN: End = End::Fails(PermissionDenied, "FORBIDDEN");
const LIMITED: End = End::Fails(Unavailable, "RATE_LIMITED");
const DOWN: End = End::Fails(Unavailable, "BUILDKITE_UNAVAILABLE");
const ODD: End = End::Fails(FailedPrecondition, "UNEXPECTED_RESPONSE");

/// A 404 of a list says nothing about a user's access: the error depends on the list and is never `NOT_FOUND`.
fn hidden(list: List) -> End {
    let reason = match list {
        List::Of(Listing::People | Listing::Teams) => "TEAMS_UNAVAILABLE",
        List::Of(Listing::Members) => "TEAM_UNREACHABLE",
        List::OfObjects(objects) => objects.hidden(),
    };
    End::Fails(FailedPrecondition, reason)
}

/// Every kind of trouble. `redirect` is where a redirect leads.
pub fn troubles(list: List, redirect: &str) -> Vec<Trouble> {
    let status = |code: StatusCode, style| FaultKind::Status(code, style);
    let limited = |style| FaultKind::RateLimited(Bucket::User, style);
    let redirect = FaultKind::Redirect(redirect.to_owned());
    let (soon, far) = (SOON, Duration::from_secs(3_600));
    let (message, empty, html) = (BodyStyle::Message, BodyStyle::Empty, BodyStyle::Html);
    let hidden = hidden(list);
    #[rustfmt::skip]
    let rows = [
        // name                     what happens                                            once         for ever     asked once  window
        ("401",                     status(StatusCode::UNAUTHORIZED, message),              REJECTED,    REJECTED,    true,       far),
        ("401 without a body",      status(StatusCode::UNAUTHORIZED, empty),                REJECTED,    REJECTED,    true,       far),
        ("403",                     status(StatusCode::FORBIDDEN, message),                 FORBIDDEN,   FORBIDDEN,   true,       far),
        ("403 as HTML",             status(StatusCode::FORBIDDEN, html),                    FORBIDDEN,   FORBIDDEN,   true,       far),
        ("404",                     status(StatusCode::NOT_FOUND, message),                 hidden,      hidden,      true,       far),
        ("404 without a body",      status(StatusCode::NOT_FOUND, empty),                   hidden,      hidden,      true,       far),
        ("429, window ends soon",   limited(RateLimitStyle::Documented),                    End::Healed, LIMITED,     false,      soon),
        ("429, window is long",     limited(RateLimitStyle::Documented),                    LIMITED,     LIMITED,     true,       far),
        ("429 without a body",      limited(RateLimitStyle::Empty),                         LIMITED,     LIMITED,     true,       far),
        ("500",                     status(StatusCode::INTERNAL_SERVER_ERROR, message),     End::Healed, DOWN,        false,      far),
        ("502",                     status(StatusCode::BAD_GATEWAY, empty),                 End::Healed, DOWN,        false,      far),
        ("503",                     status(StatusCode::SERVICE_UNAVAILABLE, message),       End::Healed, DOWN,        false,      far),
        ("HTML with 200",           FaultKind::Html200,                                     End::Healed, DOWN,        false,      far),
        ("HTML with 502",           status(StatusCode::BAD_GATEWAY, html),                  End::Healed, DOWN,        false,      far),
        ("JSON: an object",         FaultKind::WrongShape(json!({"items": []})),            ODD,         ODD,         true,       far),
        ("JSON: a row without id",  FaultKind::WrongShape(json!([{"name": "Ada"}])),        ODD,         ODD,         true,       far),
        ("JSON: null",              FaultKind::NullBody,                                    ODD,         ODD,         true,       far),
        ("empty body",              FaultKind::EmptyBody,                                   End::Healed, DOWN,        false,      far),
        ("cut body",                FaultKind::Truncated,                                   End::Healed, DOWN,        false,      far),
        ("reset",                   FaultKind::ResetBefore,                                 End::Healed, DOWN,        false,      far),
        ("hang",                    FaultKind::Hang,                                        End::Healed, DOWN,        false,      far),
        ("redirect",                redirect,                                               ODD,         ODD,         true,       far),
        ("repeated page",           FaultKind::RepeatPage,                                  End::Healed, End::Contradicts, false, far),
        ("a page that never comes", FaultKind::ShortPage(0),                                End::Healed, End::Contradicts, false, far),
        ("a page of one row",       FaultKind::ShortPage(1),                                End::Healed, End::Contradicts, false, far),
    ];
    let trouble = |(name, kind, once, forever, asked_once, window)| Trouble {
        name,
        kind,
        once,
        forever,
        asked_once,
        window,
    };
    rows.into_iter().map(trouble).collect()
}

/// A short last page is indistinguishable from a true one: nothing contradicts it.
pub fn is_the_truth(trouble: &Trouble, window: &str) -> bool {
    matches!(trouble.kind, FaultKind::ShortPage(1)) && window == "last"
}
