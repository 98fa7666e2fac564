//! The API token: where it comes from, how it is replaced in place, and how it stays secret.

pub(crate) mod token;
pub(crate) mod token_file;
