//! The systems whose access is governed: one folder each.

pub mod buildkite;
