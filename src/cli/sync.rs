//! `sync`: writes the whole organization to a file.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use super::CommandError;
use super::job::{Job, JobArgs};
use super::settings::{PathParser, SettingError};
use crate::export::{self, Counts, Format, Output, Progress, Stage, SyncOptions};
use crate::providers::buildkite::resources::{TEAM, USER};

/// The arguments of `sync`.
#[derive(Debug, clap::Args)]
pub struct SyncArgs {
    #[command(flatten)]
    pub(super) job: JobArgs,
    /// The file or directory to write; it is replaced only by a complete one
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_OUTPUT",
        value_name = "PATH",
        value_parser = PathParser
    )]
    output: Option<PathBuf>,
    /// The format of the file [default: by the ending of the path]
    #[arg(long, value_enum)]
    format: Option<Format>,
}

/// Reads the organization once, and writes it.
pub(super) async fn run(args: &SyncArgs) -> Result<(), CommandError> {
    let (path, format) = destination(args.output.as_deref(), args.format)?;
    let job = Job::start(&args.job).await?;
    let (progress, options) = (Progress::default(), SyncOptions::default());
    let work = async {
        let mut output = Output::open(path, format, options.run_type())?;
        let counts = export::sync(job.governance(), &options, &mut output, &progress).await?;
        progress.begin(Stage::Writing);
        output.finish().await?;
        Ok(counts)
    };
    let counts = job.run(&progress, work).await?;
    report(path, &counts, progress.status(job.governance()).requests);
    Ok(())
}

/// The path and the format of the file.
fn destination(path: Option<&Path>, format: Option<Format>) -> Result<(&Path, Format), SettingError> {
    let wrong = |problem| SettingError::of::<SyncArgs>("output", problem);
    let path = path.ok_or_else(|| wrong("give the path of the file to write, such as `access.csv`"))?;
    let format = format
        .or_else(|| Format::of(path))
        .ok_or_else(|| wrong("give a path that ends with .c1z, .jsonl, .csv or .json, or give --format"))?;
    Ok((path, format))
}

/// Reports in one line what was written.
fn report(path: &Path, counts: &Counts, requests: u64) {
    if io::stderr().is_terminal() {
        let (resources, grants) = (counts.in_words(|_| true), counts.grants);
        eprintln!("{}: {resources}, {grants} grants ({requests} requests)", path.display());
    } else {
        log(path, counts, requests);
    }
}

/// Logs what was written.
pub(super) fn log(path: &Path, counts: &Counts, requests: u64) {
    let others = counts.in_words(|counted| *counted != USER && *counted != TEAM);
    tracing::info!(
        path = %path.display(),
        users = counts.of_type(USER.id),
        teams = counts.of_type(TEAM.id),
        grants = counts.grants,
        others = (!others.is_empty()).then_some(others),
        requests,
        "synced"
    );
}
