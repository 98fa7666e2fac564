//! Standard input, read on a thread of its own: a read that never returns blocks neither the runtime nor the end of the process.

use std::io::{self, BufRead, Read};
use std::thread;

use tokio::sync::oneshot;

use super::ChildError;

/// Maximum length of the configuration line, the limit of the Baton SDK.
const MAX_LINE_BYTES: u64 = 64 * 1024;

/// Standard input: one line, and its end.
#[derive(Debug)]
pub(super) struct Input {
    line: oneshot::Receiver<io::Result<Vec<u8>>>,
    /// Closed without a value at the end of standard input.
    end: oneshot::Receiver<()>,
}

impl Input {
    /// Starts to read.
    ///
    /// # Errors
    /// The operating system starts no thread.
    pub(super) fn open() -> Result<Self, ChildError> {
        let ((first, line), (open, end)) = (oneshot::channel(), oneshot::channel());
        let reader = move || {
            let mut input = io::stdin().lock();
            let mut line = Vec::new();
            let read = (&mut input).take(MAX_LINE_BYTES).read_until(b'\n', &mut line);
            // Without a receiver, the process is ending.
            let _ = first.send(read.map(|_| line));
            // Further input has no meaning and is discarded. An error counts as the end.
            let _ = io::copy(&mut input, &mut io::sink());
            drop(open);
        };
        thread::Builder::new()
            .name("stdin".to_owned())
            .spawn(reader)
            .map_err(|error| ChildError::Config(format!("cannot be read ({error})")))?;
        Ok(Self { line, end })
    }

    /// The first line.
    ///
    /// # Errors
    /// It cannot be read, or is too long.
    pub(super) async fn line(&mut self) -> Result<Vec<u8>, ChildError> {
        let unreadable = |problem: String| ChildError::Config(format!("cannot be read ({problem})"));
        let line = (&mut self.line).await.map_err(|error| unreadable(error.to_string()))?;
        let line = line.map_err(|error| unreadable(error.to_string()))?;
        if line.last() != Some(&b'\n') && line.len() as u64 >= MAX_LINE_BYTES {
            return Err(ChildError::Config(format!("is longer than {MAX_LINE_BYTES} bytes")));
        }
        Ok(line)
    }

    /// Resolves at the end of standard input.
    pub(super) async fn closed(self) {
        let _ = self.end.await;
    }
}
