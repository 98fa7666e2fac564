//! One sync into a c1z.

use super::error::BatonError;
use super::flags::Flags;
use super::provision::job;
use crate::cli::sync;
use crate::export::{self, ExportError, Format, Output, Progress, Stage, SyncOptions};

/// Reads the organization once, into the file.
///
/// # Errors
/// What keeps it from being read or written. The file is then as it was.
pub(super) async fn run(flags: &Flags, options: &SyncOptions) -> Result<(), BatonError> {
    let job = job(flags, None).await?;
    let progress = Progress::default();
    let work = async {
        let mut output = Output::open(&flags.file, Format::C1z, options.run_type())?;
        let counts = export::sync(job.governance(), options, &mut output, &progress).await?;
        progress.begin(Stage::Writing);
        output.finish().await?;
        Ok::<_, ExportError>(counts)
    };
    let done = job.until_interrupted(&progress, work).await?;
    let counts = done.map_err(|error| BatonError::of_export(error, job.has_max_wait()))?;
    let requests = progress.status(job.governance()).requests;
    sync::log(&flags.file, &counts, requests);
    Ok(())
}
