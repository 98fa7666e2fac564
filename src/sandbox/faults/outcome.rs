//! What a request that a fault strikes is answered, and whether it is carried out at all.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::Value;

use super::{BodyStyle, FaultKind, HeaderChange, LinkChange, RateLimitStyle};
use crate::sandbox::behaviors::Behaviors;
use crate::sandbox::limits::{Bucket, LimitStatus, Limits};
use crate::sandbox::response::Response;

/// How a struck request ends.
pub(in crate::sandbox) enum Outcome {
    /// With an answer.
    Response(Response),
    /// With a 429 as if this bucket were used up.
    RateLimited(Response, Bucket),
    /// With the connection cut; the request was carried out, or not.
    Reset {
        /// Whether it changed the organization.
        applied: bool,
    },
    /// Not at all.
    Hang,
}

/// How a list is to be served instead of as asked.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::sandbox) struct ListOverride {
    /// Page 1, whatever was asked for.
    pub(in crate::sandbox) first_page: bool,
    /// Only so many rows of the page.
    pub(in crate::sandbox) max_rows: Option<usize>,
}

/// Ends a request; `carry_out` is what answers truthfully.
pub(in crate::sandbox) fn resolve_outcome(
    kind: FaultKind,
    replayed: Option<Response>,
    (limits, limit_status, behaviors): (&Limits, LimitStatus, &Behaviors),
    execute: impl FnOnce(ListOverride) -> Response,
) -> Outcome {
    let unchanged = ListOverride::default();
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
                applied: execute(unchanged).applied,
            };
        }
        FaultKind::AppliedThenStatus(status) => {
            let applied = execute(unchanged).applied;
            Response {
                from_proxy: true,
                ..Response::empty(status)
            }
            .with_applied(applied)
        }
        FaultKind::Truncated => Response {
            truncated: true,
            ..execute(unchanged)
        },
        FaultKind::WrongShape(shape) => with_json(execute(unchanged), &shape),
        FaultKind::Text(text) => Response {
            body: text.into_bytes(),
            ..execute(unchanged)
        },
        FaultKind::AnsweredAs(status) => Response {
            status,
            ..execute(unchanged)
        },
        FaultKind::ContentType(declared) => with_content_type(execute(unchanged), declared),
        FaultKind::NullBody => with_json(execute(unchanged), &Value::Null),
        FaultKind::EmptyBody => Response {
            body: Vec::new(),
            ..execute(unchanged)
        },
        FaultKind::Redirect(url) => {
            let mut response = Response::empty(StatusCode::FOUND);
            if let Ok(url) = HeaderValue::try_from(url) {
                response.headers.insert(header::LOCATION, url);
            }
            response
        }
        FaultKind::RepeatPage => execute(ListOverride {
            first_page: true,
            ..unchanged
        }),
        FaultKind::ShortPage(rows) => execute(ListOverride {
            max_rows: Some(rows),
            ..unchanged
        }),
        FaultKind::ReplayPrevious => replayed.unwrap_or_else(|| execute(unchanged)),
        FaultKind::RateLimited(bucket, style) => {
            let documented = limits
                .exhausted(limit_status, bucket)
                .too_many_requests(bucket, behaviors.reset_rounding);
            return Outcome::RateLimited(with_style(documented, style), bucket);
        }
        FaultKind::Delay(_)
        | FaultKind::Held(_)
        | FaultKind::Headers(_)
        | FaultKind::Links(_)
        | FaultKind::MoveRows(_) => execute(unchanged),
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

/// Falsifies the rate-limit headers that an answer carries.
pub(in crate::sandbox) fn change_headers(headers: &mut HeaderMap, change: HeaderChange) {
    let is_limit = |name: &HeaderName| name.as_str().starts_with("ratelimit-");
    let names: Vec<HeaderName> = headers.keys().filter(|name| is_limit(name)).cloned().collect();
    for name in names {
        let what = name.as_str().rsplit('-').next().unwrap_or_default();
        let value = match (change, what) {
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

/// Falsifies the `Link` header of a list at `path`.
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
