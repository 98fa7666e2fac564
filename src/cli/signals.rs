//! SIGTERM and SIGINT: the first one ends a command cleanly, a second one at once. SIGHUP does the same, except where a command
//! has files to read again.

use std::io;
use std::process;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The shell's code for a process that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// Resolves at the first signal that ends a command. From then on the next one ends the process.
///
/// # Errors
/// When the operating system does not let signals be listened for.
pub(super) fn ending() -> io::Result<impl Future<Output = ()>> {
    first_of([SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()])
}

/// The same for a command that reads its files again at a SIGHUP, which [`hangups`] tells of.
///
/// # Errors
/// When the operating system does not let signals be listened for.
pub(super) fn ending_but_for_hangups() -> io::Result<impl Future<Output = ()>> {
    first_of([SignalKind::terminate(), SignalKind::interrupt()])
}

/// Every SIGHUP from now on.
///
/// # Errors
/// When the operating system does not let signals be listened for.
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
            process::exit(INTERRUPTED);
        });
    })
}

/// Resolves at the next of `signals`.
async fn next(signals: &mut [Signal]) {
    let received = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
    futures::future::select_all(received).await;
}
