//! The request context of a change: its caller, deadline and request id.
//!
//! The request id is the caller's `x-request-id`, or its `RequestId` annotation, or generated here. It is returned in the
//! response's metadata, also with an error, so that both sides find the request in their records.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use prost::{Message, Name};
use prost_types::Any;
use tokio::time::{Instant, timeout_at};
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::governance::GovernanceError;
use crate::governance::provisioning::RequestContext;
use crate::proto::c1::connector::v2::RequestId;
use crate::telemetry::redact::mask;
use crate::telemetry::traces::CallSpan;
use crate::wire::request;

/// The metadata key of the request id.
const REQUEST_ID: &str = "x-request-id";

/// Maximum length of a request id in characters: more than any tracing system uses, few enough for a log line.
const MAX_REQUEST_ID: usize = 128;

/// Maximum margin before the caller's deadline, so that the response, with its request id, arrives in time.
pub(crate) const DEADLINE_MARGIN: Duration = Duration::from_millis(50);

/// The authenticated caller's name; authorization puts it into a request's extensions.
#[derive(Debug, Clone)]
pub struct Caller(pub Arc<str>);

/// The context of `request`, which carried `annotations`.
pub(crate) fn from_request<T>(request: &Request<T>, annotations: &[Any]) -> RequestContext {
    let caller = request.extensions().get::<Caller>().cloned();
    let request_id = request_id(request.metadata().as_ref()).unwrap_or_else(|| {
        let annotated = annotations.iter().find_map(request_id_annotation);
        let id = annotated.and_then(|id| sanitize(&id));
        let id = id.unwrap_or_else(|| Uuid::now_v7().to_string());
        // The span has the id of a header since it began.
        if let Some(span) = request.extensions().get::<CallSpan>() {
            span.set_request_id(&id);
        }
        id
    });
    let deadline = request::deadline(request);
    RequestContext {
        caller: caller.map_or_else(|| "anonymous".into(), |Caller(name)| name),
        request_id,
        deadline,
        answer_by: deadline.map(with_margin),
    }
}

/// The id that a caller gave its request in a header.
pub(crate) fn request_id(headers: &HeaderMap) -> Option<String> {
    headers.get(REQUEST_ID)?.to_str().ok().and_then(sanitize)
}

/// The time to respond by: before `deadline` by a tenth of the remaining time, at most [`DEADLINE_MARGIN`].
fn with_margin(deadline: Instant) -> Instant {
    let margin = DEADLINE_MARGIN.min(deadline.saturating_duration_since(Instant::now()) / 10);
    deadline.checked_sub(margin).unwrap_or(deadline)
}

/// Completes a call with the result of `answer`, or at the caller's deadline; returns the request id either way.
pub(crate) async fn respond<T>(
    context: &RequestContext,
    answer: impl Future<Output = Result<T, GovernanceError>>,
) -> Result<Response<T>, Status> {
    let outcome = match context.answer_by {
        Some(answer_by) => timeout_at(answer_by, answer)
            .await
            .unwrap_or(Err(GovernanceError::DeadlineExceeded)),
        None => answer.await,
    };
    match outcome {
        Ok(message) => {
            let mut response = Response::new(message);
            set_request_id(response.metadata_mut(), &context.request_id);
            Ok(response)
        }
        Err(error) => {
            let mut status = Status::from(error);
            set_request_id(status.metadata_mut(), &context.request_id);
            Err(status)
        }
    }
}

fn set_request_id(metadata: &mut MetadataMap, request_id: &str) {
    if let Ok(value) = AsciiMetadataValue::try_from(request_id) {
        metadata.insert(REQUEST_ID, value);
    }
}

fn request_id_annotation(annotation: &Any) -> Option<String> {
    let (_, named) = annotation.type_url.rsplit_once('/')?;
    if named != RequestId::full_name() {
        return None;
    }
    RequestId::decode(annotation.value.as_slice())
        .ok()
        .map(|id| id.request_id)
}

/// A caller's request id, bounded, printable and without a token, so that it can be logged and returned. `None` if nothing is
/// left.
fn sanitize(given: &str) -> Option<String> {
    let allowed = |character: &char| character.is_ascii_alphanumeric() || "-_.:/+=@[]".contains(*character);
    let sanitized: String = mask(given).chars().filter(allowed).take(MAX_REQUEST_ID).collect();
    (!sanitized.is_empty()).then_some(sanitized)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_takes_precedence_over_an_annotation_and_both_over_a_generated_id() {
        let annotation = Any {
            type_url: RequestId::type_url(),
            value: RequestId {
                request_id: "from-annotation".into(),
            }
            .encode_to_vec(),
        };
        let mut request = Request::new(());
        assert!(Uuid::parse_str(&from_request(&request, &[]).request_id).is_ok());
        assert_eq!(
            from_request(&request, std::slice::from_ref(&annotation)).request_id,
            "from-annotation"
        );
        request
            .metadata_mut()
            .insert(REQUEST_ID, AsciiMetadataValue::from_static("from-header"));
        assert_eq!(from_request(&request, &[annotation]).request_id, "from-header");
        assert_eq!(&*from_request(&request, &[]).caller, "anonymous");
        request.extensions_mut().insert(Caller("platform".into()));
        assert_eq!(&*from_request(&request, &[]).caller, "platform");
    }

    #[test]
    fn a_request_id_is_bounded_and_cannot_break_a_log_or_leak_a_token() {
        assert_eq!(sanitize("a b\n\u{1f9f8}{\"c\"}").as_deref(), Some("abc"));
        assert_eq!(sanitize(&"x".repeat(5_000)).unwrap().len(), MAX_REQUEST_ID);
        assert_eq!(sanitize("  \n"), None);
        let token = "bkua_0123456789abcdef0123456789abcdef01234567";
        assert!(!sanitize(token).unwrap().contains("0123456789abcdef"));
    }
}
