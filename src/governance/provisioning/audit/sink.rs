//! Where lines of the record go, apart from the log: a file, or what stands for one in a test.

use std::{fmt, io};

/// Something that lines are appended to. One thread calls it, and may be held up by it.
pub trait AuditSink: fmt::Debug + Send + Sync {
    /// How messages name it.
    fn name(&self) -> String;

    /// Finds out whether a line could be appended, without one.
    ///
    /// # Errors
    /// What would keep it from being appended.
    fn check(&self) -> io::Result<()>;

    /// Appends a line, and returns once it is on the disk.
    ///
    /// # Errors
    /// What kept it from being appended.
    fn append(&self, line: &str) -> io::Result<()>;
}
