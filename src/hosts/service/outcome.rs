//! What became of a task, and how that is reported.

use prost::{Message, Name};
use prost_types::Any;
use tonic::{Code, Status};
use tonic_types::{StatusExt, pb};

use crate::proto::c1::connectorapi::baton::v1::BatonServiceFinishTaskRequest;
use crate::proto::c1::connectorapi::baton::v1::baton_service_finish_task_request::{Error, FinalState, Success};

/// Annotations that one report takes.
const MOST_ANNOTATIONS: usize = 16;

/// Whose reasons decide whether a task may be tried again.
const DOMAIN: &str = "buildkite-connector";

/// What became of a task.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is done.
    Done {
        /// The answer's annotations.
        annotations: Vec<Any>,
        /// The whole answer.
        response: Option<Any>,
    },
    /// It failed.
    Failed(Status),
    /// Nothing is to be reported.
    Dropped,
}

impl Outcome {
    /// A call that was answered, or failed.
    pub(super) fn of<T: Message + Name>(
        answer: Result<tonic::Response<T>, Status>,
        annotations: fn(&T) -> &[Any],
    ) -> Self {
        match answer {
            Ok(answer) => {
                let answer = answer.into_inner();
                Self::Done {
                    annotations: annotations(&answer).iter().take(MOST_ANNOTATIONS).cloned().collect(),
                    response: Some(Any {
                        type_url: T::type_url(),
                        value: answer.encode_to_vec(),
                    }),
                }
            }
            Err(status) => Self::Failed(status),
        }
    }

    pub(super) fn unsupported(kind: &str) -> Self {
        Self::Failed(Status::unimplemented(format!(
            "this connector does not carry out tasks of kind {kind}"
        )))
    }

    /// The report, if there is one.
    pub(super) fn report(self, task_id: &str) -> Option<BatonServiceFinishTaskRequest> {
        let (status, end) = match self {
            Self::Done { annotations, response } => (None, FinalState::Success(Success { annotations, response })),
            Self::Failed(status) => {
                let error = Error {
                    non_retryable: !may_be_retried(&status),
                    ..Default::default()
                };
                (Some(message(&status)), FinalState::Error(error))
            }
            Self::Dropped => return None,
        };
        Some(BatonServiceFinishTaskRequest {
            host_id: String::new(),
            task_id: task_id.to_owned(),
            status,
            final_state: Some(end),
        })
    }
}

/// Whether the platform may hand the task out again: the trouble passes, or is the operator's to end.
fn may_be_retried(status: &Status) -> bool {
    if matches!(
        status.code(),
        Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded
    ) {
        return true;
    }
    status.get_error_details_vec().iter().any(|detail| match detail {
        tonic_types::ErrorDetail::ErrorInfo(info) => {
            info.domain == DOMAIN && matches!(&*info.reason, "AUDIT_UNAVAILABLE" | "SHUTTING_DOWN")
        }
        _ => false,
    })
}

/// The status as a message, with its details.
fn message(status: &Status) -> pb::Status {
    let carried = pb::Status::decode(status.details()).unwrap_or_default();
    pb::Status {
        code: status.code().into(),
        message: status.message().to_owned(),
        details: carried.details,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::grpc::services::status_with_reason;

    #[rstest]
    #[case(Code::Unavailable, "BUILDKITE_UNAVAILABLE", true)]
    #[case(Code::Unavailable, "SHUTTING_DOWN", true)]
    #[case(Code::Cancelled, "ABANDONED", true)]
    #[case(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", true)]
    #[case(Code::FailedPrecondition, "AUDIT_UNAVAILABLE", true)]
    #[case(Code::FailedPrecondition, "PROTECTED", false)]
    #[case(Code::PermissionDenied, "MISSING_SCOPE", false)]
    #[case(Code::NotFound, "TEAM_NOT_FOUND", false)]
    fn only_what_passes_or_is_the_operators_may_be_retried(
        #[case] code: Code,
        #[case] reason: &str,
        #[case] again: bool,
    ) {
        let status = status_with_reason(code, reason, "it failed".to_owned(), None);
        let report = Outcome::Failed(status).report("task").unwrap();
        let Some(FinalState::Error(error)) = report.final_state else {
            panic!("no error");
        };
        assert_eq!(error.non_retryable, !again);
        let told = report.status.unwrap();
        assert_eq!(
            (told.code, &*told.message, told.details.len()),
            (code.into(), "it failed", 1)
        );
    }
}
