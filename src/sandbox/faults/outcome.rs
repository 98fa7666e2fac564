//! The outcome of a request with a fault, and whether the request is executed.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::Value;

use super::{BodyStyle, FaultKind, HeaderChange, LinkChange, RateLimitStyle};
use crate::sandbox::behaviors::Behaviors;
use crate::sandbox::limits::{Bucket, LimitStatus, Limits};
use crate::sandbox::response::Response;

/// The outcome of a request with a fault.
pub(in crate::sandbox) enum Outcome {
    /// This response.
    Response(Response),
    /// A 429, with headers as if this limit were exhausted.
    RateLimited(Response, Bucket),
    /// A connection reset.
    Reset {
        /// Whether the request changed the organization.
        applied: bool,
    },
    /// No response.
    Hang,
}

/// Differences between the request and the list that is returned.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::sandbox) struct ListOverride {
    /// Return page 1, for every requested page.
    pub(in crate::sandbox) first_page: bool,
    /// Return at most this many rows of the page.
    pub(in crate::sandbox) max_rows: Option<usize>,
}

/// Determines the outcome. `respond` executes the request and returns the normal response.
pub(in crate::sandbox) fn resolve_outcome(
    kind: FaultKind,
    replayed: Option<Response>,
    (limits, limit_status, behaviors): (&Limits, LimitStatus, &Behaviors),
    respond: impl FnOnce(ListOverride) -> Response,
) -> Outcome {
    let no_override = ListOverride::default();
    Outcome::Response(match kind {
        FaultKind::Status(status, BodyStyle::Message) => {
            Response::message(status, status.canonical_reason().unwrap_or("Something went wrong"))
        }
        FaultKind::Status(status, BodyStyle::Empty) => Response {
            from_proxy: true,
            ..Response::empty(status)
        },
        FaultKind::Status(status, BodyStyle::Html) => Response::html(status),
        FaultKind::Html200 => Response::html(StatusCode::OK),
        FaultKind::Hang => return Outcome::Hang,
        FaultKind::ResetBefore => return Outcome::Reset { applied: false },
        FaultKind::ResetAfter => {
            return Outcome::Reset {
                applied: respond(no_override).applied,
            };
        }
        FaultKind::AppliedThenStatus(status) => {
            let applied = respond(no_override).applied;
            Response {
                from_proxy: true,
                ..Response::empty(status)
            }
            .with_applied(applied)
        }
        FaultKind::Truncated => Response {
            truncated: true,
            ..respond(no_override)
        },
        FaultKind::WrongShape(shape) => with_json(respond(no_override), &shape),
        FaultKind::Text(text) => Response {
            body: text.into_bytes(),
            ..respond(no_override)
        },
        FaultKind::AnsweredAs(status) => Response {
            status,
            ..respond(no_override)
        },
        FaultKind::ContentType(declared) => with_content_type(respond(no_override), declared),
        FaultKind::NullBody => with_json(respond(no_override), &Value::Null),
        FaultKind::EmptyBody => Response {
            body: Vec::new(),
            ..respond(no_override)
        },
        FaultKind::Redirect(url) => {
            let mut response = Response::empty(StatusCode::FOUND);
            if let Ok(url) = HeaderValue::try_from(url) {
                response.headers.insert(header::LOCATION, url);
            }
            response
        }
        FaultKind::RepeatPage => respond(ListOverride {
            first_page: true,
            ..no_override
        }),
        FaultKind::ShortPage(rows) => respond(ListOverride {
            max_rows: Some(rows),
            ..no_override
        }),
        FaultKind::ReplayPrevious => replayed.unwrap_or_else(|| respond(no_override)),
        FaultKind::RateLimited(bucket, style) => {
            let response = limits
                .with_exhausted(limit_status, bucket)
                .too_many_requests(bucket, behaviors.reset_rounding);
            return Outcome::RateLimited(with_style(response, style), bucket);
        }
        FaultKind::Delay(_)
        | FaultKind::Held(_)
        | FaultKind::Headers(_)
        | FaultKind::Links(_)
        | FaultKind::MoveRows(_) => respond(no_override),
    })
}

fn with_json(response: Response, shape: &Value) -> Response {
    Response {
        body: shape.to_string().into_bytes(),
        ..response
    }
}

fn with_content_type(mut response: Response, content_type: Option<String>) -> Response {
    response.headers.remove(header::CONTENT_TYPE);
    if let Some(declared) = content_type.and_then(|declared| HeaderValue::try_from(declared).ok()) {
        response.headers.insert(header::CONTENT_TYPE, declared);
    }
    response
}

fn with_style(documented: Response, style: RateLimitStyle) -> Response {
    let status = documented.status;
    match style {
        RateLimitStyle::Documented => documented,
        RateLimitStyle::NoHeaders => Response {
            from_proxy: true,
            ..documented
        },
        RateLimitStyle::MessageOnly => Response::message(status, "Too many requests"),
        RateLimitStyle::Empty => Response::empty(status),
        RateLimitStyle::NotJson => Response::empty(status).with_body("text/plain", b"Too many requests\n".to_vec()),
        RateLimitStyle::Scope(scope) => {
            let mut body: Value = serde_json::from_slice(&documented.body).unwrap_or_default();
            if let Some(fields) = body.as_object_mut() {
                fields.insert("scope".to_owned(), scope.into());
            }
            with_json(documented, &body)
        }
    }
}

/// Changes the rate-limit headers of a response.
pub(in crate::sandbox) fn change_headers(headers: &mut HeaderMap, change: HeaderChange) {
    let is_limit_header = |name: &HeaderName| name.as_str().starts_with("ratelimit-");
    let names: Vec<HeaderName> = headers.keys().filter(|name| is_limit_header(name)).cloned().collect();
    for name in names {
        let suffix = name.as_str().rsplit('-').next().unwrap_or_default();
        let value = match (change, suffix) {
            (HeaderChange::Dropped, _) => {
                headers.remove(name);
                continue;
            }
            (HeaderChange::NegativeRemaining, "remaining") => "-14",
            (HeaderChange::HugeReset, "reset") => "604800",
            (HeaderChange::NonNumericReset, "reset") => "soon",
            (HeaderChange::ZeroReset, "reset" | "remaining") => "0",
            _ => continue,
        };
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Changes the `Link` header of a list at `path`.
pub(in crate::sandbox) fn change_link(headers: &mut HeaderMap, path: &str, change: LinkChange) {
    headers.remove(header::LINK);
    if let LinkChange::Last(last) = change {
        let entries = format!(
            "<http://sandbox.invalid{path}?page=2>; rel=\"next\", <http://sandbox.invalid{path}?page={last}>; rel=\"last\""
        );
        if let Ok(value) = HeaderValue::try_from(entries) {
            headers.insert(header::LINK, value);
        }
    }
}
