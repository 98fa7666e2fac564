//! The `buildkite-connector` binary.

fn main() {}
