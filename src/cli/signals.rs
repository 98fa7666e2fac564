//! SIGTERM and SIGINT: the first one ends the server cleanly, a second one at once.

use std::io;
use std::process;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The shell's code for a process that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// Resolves at the first signal. From then on the next one ends the process.
///
/// # Errors
/// When the operating system does not let signals be listened for.
pub(super) fn ending() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        next(&mut terminate, &mut interrupt).await;
        tokio::spawn(async move {
            next(&mut terminate, &mut interrupt).await;
            process::exit(INTERRUPTED);
        });
    })
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
