//! Errors of `baton-buildkite`: the message, and the exit code, which is the gRPC code of the failure.

use std::process::ExitCode;

use tonic::{Code, Status};

use crate::cli::{CommandError, SettingError, WRONG_USAGE};
use crate::export::ExportError;
use crate::governance::GovernanceError;

/// The exit code if a rate limit requires a longer wait than `--max-wait`, as for every job.
const RATE_LIMITED: u8 = 3;

/// The outcome of a change that a signal interrupted.
pub(super) const FINISHED: &str = "what was begun is finished, and recorded in the log";

/// Why the command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum BatonError {
    /// Wrong usage, settings or files.
    #[error("{0}")]
    Refused(String),
    /// The status of the failed operation.
    #[error("{message}")]
    Failed {
        /// The code.
        code: Code,
        /// What went wrong, and what to do.
        message: String,
    },
    /// A rate limit would have to be waited for longer than allowed.
    #[error("{0}")]
    RateLimited(String),
    /// A signal came; the exit code that it has.
    #[error("interrupted: {1}")]
    Interrupted(u8, &'static str),
}

impl BatonError {
    /// A failure without a gRPC status; its code is UNKNOWN, as in other Baton connectors.
    #[allow(clippy::needless_pass_by_value)] // an error goes straight into it
    pub(super) fn unknown(problem: impl ToString) -> Self {
        Self::Failed {
            code: Code::Unknown,
            message: problem.to_string(),
        }
    }

    /// Something that a file does not hold.
    pub(super) fn not_found(message: String) -> Self {
        Self::Failed {
            code: Code::NotFound,
            message,
        }
    }

    /// What governance ended with. A rate limit counts as such where a longest wait `is_bounded`.
    pub(super) fn of(error: GovernanceError, is_bounded: bool) -> Self {
        if is_bounded && matches!(error, GovernanceError::RateLimited(_)) {
            return Self::RateLimited(error.to_string());
        }
        let status = Status::from(error);
        Self::Failed {
            code: status.code(),
            message: status.message().to_owned(),
        }
    }

    /// What reading or writing a file ended with.
    pub(super) fn of_export(error: ExportError, is_bounded: bool) -> Self {
        match error {
            ExportError::Read(error) => Self::of(error, is_bounded),
            ExportError::NoSuchType(_) | ExportError::Refused { .. } => Self::Refused(error.to_string()),
            ExportError::NoSuchTeam(_) | ExportError::Write { .. } => Self::unknown(error),
        }
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Refused(_) => WRONG_USAGE,
            Self::RateLimited(_) => RATE_LIMITED,
            Self::Interrupted(code, _) => *code,
            // The codes are 0 to 16, and a failure has none of 0.
            Self::Failed { code, .. } => u8::try_from(i32::from(*code)).unwrap_or(WRONG_USAGE),
        })
    }
}

impl From<SettingError> for BatonError {
    fn from(error: SettingError) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<CommandError> for BatonError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Interrupted(code) => Self::Interrupted(code, "nothing was changed"),
            CommandError::Finished(code, _) => Self::Interrupted(code, FINISHED),
            CommandError::Setting(_) | CommandError::Refused(_) => Self::Refused(error.to_string()),
            CommandError::RateLimited(problem) => Self::RateLimited(problem),
            CommandError::Failed(_) | CommandError::Unhealthy | CommandError::Different => Self::unknown(error),
        }
    }
}

/// Wrong usage: the problem in one sentence.
pub(super) fn refused(problem: impl Into<String>) -> BatonError {
    BatonError::Refused(problem.into())
}
