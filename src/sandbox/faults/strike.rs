//! What a request that a fault strikes is answered, and whether it is carried out at all.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::Value;

use super::{BodyStyle, FaultKind, HeaderChange, LinkChange, RefusalStyle};
use crate::sandbox::answers::Answer;
use crate::sandbox::habits::Habits;
use crate::sandbox::limits::{Bucket, Limits, Standing};

/// How a struck request ends.
pub(in crate::sandbox) enum Outcome {
    /// With an answer.
    Answer(Answer),
    /// With a 429 as if this bucket were used up.
    Refused(Answer, Bucket),
    /// With the connection cut; the request was carried out, or not.
    Cut {
        /// Whether it changed the organization.
        applied: bool,
    },
    /// Not at all.
    Hang,
}

/// How a list is to be served instead of as asked.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::sandbox) struct Instead {
    /// Page 1, whatever was asked for.
    pub(in crate::sandbox) first_page: bool,
    /// Only so many rows of the page.
    pub(in crate::sandbox) rows: Option<usize>,
}

/// Ends a request; `carry_out` is what answers truthfully.
pub(in crate::sandbox) fn outcome(
    kind: FaultKind,
    replayed: Option<Answer>,
    (limits, standing, habits): (&Limits, Standing, &Habits),
    carry_out: impl FnOnce(Instead) -> Answer,
) -> Outcome {
    let truly = Instead::default();
    Outcome::Answer(match kind {
        FaultKind::Status(status, BodyStyle::Message) => {
            Answer::message(status, status.canonical_reason().unwrap_or("Something went wrong"))
        }
        FaultKind::Status(status, BodyStyle::Empty) => Answer {
            from_proxy: true,
            ..Answer::empty(status)
        },
        FaultKind::Status(status, BodyStyle::Html) => Answer::html(status),
        FaultKind::Html200 => Answer::html(StatusCode::OK),
        FaultKind::Hang => return Outcome::Hang,
        FaultKind::ResetBefore => return Outcome::Cut { applied: false },
        FaultKind::ResetAfter => {
            return Outcome::Cut {
                applied: carry_out(truly).applied,
            };
        }
        FaultKind::AppliedThenStatus(status) => {
            let applied = carry_out(truly).applied;
            Answer {
                from_proxy: true,
                ..Answer::empty(status)
            }
            .after_applying(applied)
        }
        FaultKind::Truncated => Answer {
            truncated: true,
            ..carry_out(truly)
        },
        FaultKind::WrongShape(shape) => reshaped(carry_out(truly), &shape),
        FaultKind::Text(text) => Answer {
            body: text.into_bytes(),
            ..carry_out(truly)
        },
        FaultKind::AnsweredAs(status) => Answer {
            status,
            ..carry_out(truly)
        },
        FaultKind::ContentType(declared) => redeclared(carry_out(truly), declared),
        FaultKind::NullBody => reshaped(carry_out(truly), &Value::Null),
        FaultKind::EmptyBody => Answer {
            body: Vec::new(),
            ..carry_out(truly)
        },
        FaultKind::Redirect(url) => {
            let mut answer = Answer::empty(StatusCode::FOUND);
            if let Ok(url) = HeaderValue::try_from(url) {
                answer.headers.insert(header::LOCATION, url);
            }
            answer
        }
        FaultKind::RepeatPage => carry_out(Instead {
            first_page: true,
            ..truly
        }),
        FaultKind::ShortPage(rows) => carry_out(Instead {
            rows: Some(rows),
            ..truly
        }),
        FaultKind::ReplayPrevious => replayed.unwrap_or_else(|| carry_out(truly)),
        FaultKind::RateLimited(bucket, style) => {
            let documented = limits
                .exhausted(standing, bucket)
                .refusal(bucket, habits.reset_rounding);
            return Outcome::Refused(restyled(documented, style), bucket);
        }
        FaultKind::Delay(_)
        | FaultKind::Held(_)
        | FaultKind::Headers(_)
        | FaultKind::Links(_)
        | FaultKind::MoveRows(_) => carry_out(truly),
    })
}

fn reshaped(answer: Answer, shape: &Value) -> Answer {
    Answer {
        body: shape.to_string().into_bytes(),
        ..answer
    }
}

fn redeclared(mut answer: Answer, content_type: Option<String>) -> Answer {
    answer.headers.remove(header::CONTENT_TYPE);
    if let Some(declared) = content_type.and_then(|declared| HeaderValue::try_from(declared).ok()) {
        answer.headers.insert(header::CONTENT_TYPE, declared);
    }
    answer
}

fn restyled(documented: Answer, style: RefusalStyle) -> Answer {
    let status = documented.status;
    match style {
        RefusalStyle::Documented => documented,
        RefusalStyle::NoHeaders => Answer {
            from_proxy: true,
            ..documented
        },
        RefusalStyle::MessageOnly => Answer::message(status, "Too many requests"),
        RefusalStyle::Empty => Answer::empty(status),
        RefusalStyle::NotJson => Answer::empty(status).with_body("text/plain", b"Too many requests\n".to_vec()),
        RefusalStyle::Scope(scope) => {
            let mut body: Value = serde_json::from_slice(&documented.body).unwrap_or_default();
            if let Some(fields) = body.as_object_mut() {
                fields.insert("scope".to_owned(), scope.into());
            }
            reshaped(documented, &body)
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
