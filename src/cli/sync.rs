//! `sync`: the whole organization into a file.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use super::CommandError;
use super::job::{Job, JobArgs};
use super::settings::SettingError;
use crate::export::{self, Counts, Format, Output, Progress, Stage, SyncOptions};

/// What `sync` can be told.
#[derive(Debug, clap::Args)]
pub struct SyncArgs {
    #[command(flatten)]
    job: JobArgs,
    /// The file to write; it is complete or as it was
    #[arg(long, env = "BUILDKITE_CONNECTOR_OUTPUT", value_name = "PATH")]
    output: Option<PathBuf>,
    /// Its format [default: by its ending: .c1z, .jsonl, .csv or .json]
    #[arg(long, value_enum)]
    format: Option<Format>,
}

/// Reads everything once.
pub(super) async fn run(args: &SyncArgs) -> Result<(), CommandError> {
    let (path, format) = destination(args.output.as_deref(), args.format)?;
    let job = Job::start(&args.job).await?;
    let (progress, options) = (Progress::default(), SyncOptions::default());
    let work = async {
        let mut output = Output::open(path, format, options.run_type())?;
        let counts = export::sync(job.access(), &options, &mut output, &progress).await?;
        progress.begin(Stage::Writing);
        output.finish().await?;
        Ok(counts)
    };
    let counts = job.run(&progress, work).await?;
    tell(path, counts, progress.status(job.access()).requests);
    Ok(())
}

/// Where to write, and how.
fn destination(path: Option<&Path>, format: Option<Format>) -> Result<(&Path, Format), SettingError> {
    let wrong = |problem| SettingError::new("--output", "BUILDKITE_CONNECTOR_OUTPUT", problem);
    let path = path
        .filter(|path| !path.as_os_str().is_empty())
        .ok_or_else(|| wrong("give the path of the file to write, such as `access.csv`"))?;
    let format = format
        .or_else(|| Format::of(path))
        .ok_or_else(|| wrong("give a path that ends with .c1z, .jsonl, .csv or .json, or say --format"))?;
    Ok((path, format))
}

/// What was written, in one line.
fn tell(path: &Path, counts: Counts, requests: u64) {
    let Counts {
        users, teams, grants, ..
    } = counts;
    let path = path.display();
    if io::stderr().is_terminal() {
        eprintln!("{path}: {users} users, {teams} teams, {grants} grants ({requests} requests)");
    } else {
        tracing::info!(%path, users, teams, grants, requests, "synced");
    }
}
