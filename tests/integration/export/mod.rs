//! Jobs: the binary reads a sandbox, and its files are read back by code that shares nothing with the writer.

mod access;
mod c1z;
mod changes;
mod diff;
mod disconnect;
mod endings;
mod expansion;
mod files;
mod full_disk;
pub mod job;
mod limits;
mod listing;
mod options;
mod places;
pub mod read_back;
mod terminal;
