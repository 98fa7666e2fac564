//! The errors of jobs.

use std::io;
use std::path::{Path, PathBuf};

use crate::governance::GovernanceError;

/// Why a job failed.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Buildkite could not be read.
    #[error(transparent)]
    Read(#[from] GovernanceError),
    /// The organization is governed without the given resource type; the text says so and names the types that it is governed with.
    #[error("{0}")]
    NoSuchType(String),
    /// No team has the given name.
    #[error("no team has the slug `{0}`: `list teams` shows the existing ones")]
    NoSuchTeam(String),
    /// The file could not be written.
    #[error("{} cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file or directory at the path is not one that the job writes or reads, so it is left unchanged.
    #[error("{} {problem}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// The problem, and the remedy.
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

    /// A failure of the database of `path`.
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
