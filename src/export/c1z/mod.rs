//! `c1z`, version 1: five bytes, then one zstd stream of one `SQLite` database.
//!
//! [`envelope`] contains the bytes around the database, [`schema`] its tables. [`write`] adds a run, [`runs`] decides which earlier
//! runs are kept, [`read`] reads one back, [`lookup`] finds single rows of one. Version 3 is a directory of files of another engine; it is neither written nor read.

mod envelope;
mod lookup;
mod read;
mod runs;
mod schema;
mod write;

pub(super) use envelope::is_c1z;
pub use lookup::SyncedRows;
pub(super) use read::read;
pub(super) use write::Database;
