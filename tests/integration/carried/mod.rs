//! The access that teams carry to pipelines and suites, over a real channel: read once a sync, complete or an error.

mod changes;
mod failures;
mod harness;
mod once;
mod processes;
