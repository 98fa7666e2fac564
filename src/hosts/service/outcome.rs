//! The outcome of a task, and its report.

use prost::{Message, Name};
use prost_types::Any;
use tonic::{Code, Status};
use tonic_types::{StatusExt, pb};

use crate::proto::c1::connectorapi::baton::v1::BatonServiceFinishTaskRequest;
use crate::proto::c1::connectorapi::baton::v1::baton_service_finish_task_request::{Error, FinalState, Success};

/// Maximum number of annotations in a report.
const MAX_ANNOTATIONS: usize = 16;

/// The domain of the error reasons that decide whether a task may be retried.
const DOMAIN: &str = "buildkite-connector";

/// The outcome of a task.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It succeeded.
    Done {
        /// The annotations of the response.
        annotations: Vec<Any>,
        /// The whole response.
        response: Option<Any>,
    },
    /// It failed.
    Failed(Status),
    /// Nothing is reported.
    Dropped,
}

impl Outcome {
    /// The outcome of a call.
    pub(super) fn of<T: Message + Name>(
        answer: Result<tonic::Response<T>, Status>,
        annotations: fn(&T) -> &[Any],
    ) -> Self {
        match answer {
            Ok(answer) => {
                let answer = answer.into_inner();
                Self::Done {
                    annotations: annotations(&answer).iter().take(MAX_ANNOTATIONS).cloned().collect(),
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

/// Whether the platform may retry the task: the failure is temporary, or the operator can resolve it.
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
    fn only_temporary_failures_and_those_the_operator_resolves_may_be_retried(
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
        let reported = report.status.unwrap();
        assert_eq!(
            (reported.code, &*reported.message, reported.details.len()),
            (code.into(), "it failed", 1)
        );
    }
}
