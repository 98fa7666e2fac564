//! The `buildkite-connector` binary.

use std::process::ExitCode;
use std::time::Duration;

use buildkite_connector::cli::Program;
use tokio::runtime::Builder;

/// How long what nobody waits for any more may take: a name that is being resolved cannot be given up, only left behind.
const LEFT_BEHIND: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let program = match Program::read(std::env::args_os()) {
        Ok(program) => program,
        Err(ended) => return ended,
    };
    // One thread: Buildkite's limits keep the work small, and what wakes another thread costs more than it does.
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime could not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(program.run());
    runtime.shutdown_timeout(LEFT_BEHIND);
    ended
}
