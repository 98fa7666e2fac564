//! Who asks for a change, and by which name both sides find it in their records: the caller's `x-request-id`, or a
//! `RequestId` annotation, or one made here. It goes back in the answer's metadata, whatever the answer is.

use std::sync::Arc;
use std::time::Duration;

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
use crate::wire::request;

/// The metadata key of a request's name.
const REQUEST_ID: &str = "x-request-id";

/// Characters of a name: more than any tracing system's, few enough for a log line.
const LONGEST: usize = 128;

/// By how much the deadline is kept early, so that the answer, with the request's name, is there before its caller stops
/// waiting: a tenth of the time, and no more than this.
const EARLY: Duration = Duration::from_millis(50);

/// Who called; put into a request's extensions by whoever identified them.
#[derive(Debug, Clone)]
pub struct Caller(pub Arc<str>);

/// Who sent `request`, which carried `annotations`.
pub(crate) fn of<T>(request: &Request<T>, annotations: &[Any]) -> RequestContext {
    let caller = request.extensions().get::<Caller>().cloned();
    let header = || request.metadata().get(REQUEST_ID)?.to_str().ok().and_then(clean);
    let annotation = || annotations.iter().find_map(annotated).and_then(|id| clean(&id));
    let deadline = request::deadline(request);
    RequestContext {
        caller: caller.map_or_else(|| "anonymous".into(), |Caller(name)| name),
        request_id: header()
            .or_else(annotation)
            .unwrap_or_else(|| Uuid::now_v7().to_string()),
        deadline,
        answer_by: deadline.map(early),
    }
}

fn early(deadline: Instant) -> Instant {
    let early = EARLY.min(deadline.saturating_duration_since(Instant::now()) / 10);
    deadline.checked_sub(early).unwrap_or(deadline)
}

/// Ends a call as `answer` does, or at the caller's deadline, under the request's name either way.
pub(crate) async fn answered<T>(
    asker: &RequestContext,
    answer: impl Future<Output = Result<T, GovernanceError>>,
) -> Result<Response<T>, Status> {
    let outcome = match asker.answer_by {
        Some(answer_by) => timeout_at(answer_by, answer)
            .await
            .unwrap_or(Err(GovernanceError::DeadlineExceeded)),
        None => answer.await,
    };
    match outcome {
        Ok(message) => {
            let mut response = Response::new(message);
            name(response.metadata_mut(), &asker.request_id);
            Ok(response)
        }
        Err(error) => {
            let mut status = Status::from(error);
            name(status.metadata_mut(), &asker.request_id);
            Err(status)
        }
    }
}

fn name(metadata: &mut MetadataMap, request_id: &str) {
    if let Ok(value) = AsciiMetadataValue::try_from(request_id) {
        metadata.insert(REQUEST_ID, value);
    }
}

fn annotated(annotation: &Any) -> Option<String> {
    let (_, named) = annotation.type_url.rsplit_once('/')?;
    if named != RequestId::full_name() {
        return None;
    }
    RequestId::decode(annotation.value.as_slice())
        .ok()
        .map(|id| id.request_id)
}

/// A caller's name for its request as it may be logged and sent back: bounded, printable, without a token; none where nothing
/// is left.
fn clean(given: &str) -> Option<String> {
    let allowed = |character: &char| character.is_ascii_alphanumeric() || "-_.:/+=@[]".contains(*character);
    let clean: String = mask(given).chars().filter(allowed).take(LONGEST).collect();
    (!clean.is_empty()).then_some(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_before_an_annotation_and_both_before_one_of_our_own() {
        let annotation = Any {
            type_url: RequestId::type_url(),
            value: RequestId {
                request_id: "from-annotation".into(),
            }
            .encode_to_vec(),
        };
        let mut request = Request::new(());
        assert!(Uuid::parse_str(&of(&request, &[]).request_id).is_ok());
        assert_eq!(
            of(&request, std::slice::from_ref(&annotation)).request_id,
            "from-annotation"
        );
        request
            .metadata_mut()
            .insert(REQUEST_ID, AsciiMetadataValue::from_static("from-header"));
        assert_eq!(of(&request, &[annotation]).request_id, "from-header");
        assert_eq!(&*of(&request, &[]).caller, "anonymous");
        request.extensions_mut().insert(Caller("platform".into()));
        assert_eq!(&*of(&request, &[]).caller, "platform");
    }

    #[test]
    fn a_name_is_bounded_and_holds_nothing_that_could_break_a_log_or_leak_a_token() {
        assert_eq!(clean("a b\n\u{1f9f8}{\"c\"}").as_deref(), Some("abc"));
        assert_eq!(clean(&"x".repeat(5_000)).unwrap().len(), LONGEST);
        assert_eq!(clean("  \n"), None);
        let token = "bkua_0123456789abcdef0123456789abcdef01234567";
        assert!(!clean(token).unwrap().contains("0123456789abcdef"));
    }
}
