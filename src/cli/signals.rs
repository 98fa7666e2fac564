//! SIGTERM and SIGINT: the first one ends a command cleanly, the second one at once. SIGHUP does the same, except for a command that
//! reloads files.

use std::io;
use std::process;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// A shell's exit code for a process that SIGINT ended.
const INTERRUPTED: u8 = 130;

/// The same for SIGTERM.
const TERMINATED: u8 = 143;

/// Resolves at the first signal that ends a command. From then on the next one ends the process.
///
/// # Errors
/// When the operating system rejects a signal handler.
pub(super) fn ending() -> io::Result<impl Future<Output = ()>> {
    first_of([SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()])
}

/// The same for a command that reloads its files at a SIGHUP, which [`hangups`] delivers.
///
/// # Errors
/// When the operating system rejects a signal handler.
pub(super) fn ending_but_for_hangups() -> io::Result<impl Future<Output = ()>> {
    first_of([SignalKind::terminate(), SignalKind::interrupt()])
}

/// Every SIGHUP from now on.
///
/// # Errors
/// When the operating system rejects a signal handler.
pub(super) fn hangups() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}

fn first_of<const N: usize>(kinds: [SignalKind; N]) -> io::Result<impl Future<Output = ()>> {
    let signals: io::Result<Vec<Signal>> = kinds.into_iter().map(signal).collect();
    let mut signals = signals?;
    Ok(async move {
        next(&mut signals).await;
        tokio::spawn(async move {
            next(&mut signals).await;
            process::exit(INTERRUPTED.into());
        });
    })
}

/// Resolves at the first signal with the exit code of a job that it ends. From then on the next one ends the process.
///
/// # Errors
/// When the operating system rejects a signal handler.
pub(super) fn interruption() -> io::Result<impl Future<Output = u8>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        let code = tokio::select! {
            _ = interrupt.recv() => INTERRUPTED,
            _ = terminate.recv() => TERMINATED,
            _ = hangup.recv() => TERMINATED,
        };
        tokio::spawn(async move {
            next(&mut [interrupt, terminate, hangup]).await;
            process::exit(code.into());
        });
        code
    })
}

/// Resolves at the next of `signals`.
async fn next(signals: &mut [Signal]) {
    let received = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
    futures::future::select_all(received).await;
}
