//! SIGTERM and SIGINT: the first one ends the server cleanly, a second one at once.

use std::io;
use std::process;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The shell's code for a process that SIGINT ended.
const INTERRUPTED: u8 = 130;

/// The same for SIGTERM.
const TERMINATED: u8 = 143;

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
            process::exit(INTERRUPTED.into());
        });
    })
}

/// Resolves at the first signal with the exit code of a job that it ends. From then on the next one ends the process.
///
/// # Errors
/// When the operating system does not let signals be listened for.
pub(super) fn interruption() -> io::Result<impl Future<Output = u8>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let code = tokio::select! {
            _ = terminate.recv() => TERMINATED,
            _ = interrupt.recv() => INTERRUPTED,
        };
        tokio::spawn(async move {
            next(&mut terminate, &mut interrupt).await;
            process::exit(code.into());
        });
        code
    })
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
