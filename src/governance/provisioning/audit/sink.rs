//! The destination of audit lines other than the log: a file, or a test double.

use std::{fmt, io};

/// Appends lines. Only the writer's own thread calls it, so it may block.
pub trait AuditSink: fmt::Debug + Send + Sync {
    /// Its name in messages.
    fn name(&self) -> String;

    /// Checks whether a line could be appended, without appending one.
    ///
    /// # Errors
    /// The error that an append would return.
    fn check(&self) -> io::Result<()>;

    /// Appends a line, and returns once it is on the disk.
    ///
    /// # Errors
    /// The failure to append or flush the line.
    fn append(&self, line: &str) -> io::Result<()>;
}
