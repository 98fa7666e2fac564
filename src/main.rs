//! The `buildkite-connector` binary.

use std::process::ExitCode;
use std::time::Duration;

use buildkite_connector::cli::Program;
use tokio::runtime::Builder;

/// Runtime shutdown timeout: a blocking DNS lookup cannot be cancelled, only abandoned.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let program = match Program::read(std::env::args_os()) {
        Ok(program) => program,
        Err(code) => return code,
    };
    // One thread: Buildkite's limits keep the work small, and waking another thread costs more than the work itself.
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime could not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(program.run());
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    code
}
