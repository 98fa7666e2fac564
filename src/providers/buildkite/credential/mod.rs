//! The API token: its sources, its rotation at runtime, and its secrecy.

pub(crate) mod token;
pub(crate) mod token_file;
