//! What ends a job.

use std::io;
use std::path::{Path, PathBuf};

use crate::governance::GovernanceError;

/// Why a file was not written, or not read.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Buildkite could not be read.
    #[error(transparent)]
    Read(#[from] GovernanceError),
    /// A team that was named does not exist.
    #[error("no team has the slug `{0}`: `list teams` shows which there are")]
    NoSuchTeam(String),
    /// The file could not be written.
    #[error("{} cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is at the path is left as it is, because it is not what the job writes or reads.
    #[error("{} {problem}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What it is, and what to do.
        problem: String,
    },
}

impl ExportError {
    /// A failure to write `path`.
    pub(super) fn write(path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Write {
            path: path.to_owned(),
            source: source.into(),
        }
    }

    /// A failure of the database that becomes `path`.
    pub(super) fn database(path: &Path, source: rusqlite::Error) -> Self {
        Self::write(path, io::Error::other(source))
    }

    /// A refusal to touch or to read `path`; `problem` continues the sentence that the path begins.
    pub(super) fn refused(path: &Path, problem: impl Into<String>) -> Self {
        Self::Refused {
            path: path.to_owned(),
            problem: problem.into(),
        }
    }
}
