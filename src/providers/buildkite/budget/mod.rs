//! The request budget: it uses both of Buildkite's rate limits in full and causes no 429.
//!
//! Buildkite counts every request against the organization and against the token's user, in windows of a minute. Every
//! request needs a permit of the [`RateLimiter`], which grants one when the request cannot exceed either window. Several
//! credentials have a window for each of their users. Read
//! in this order: `headers` parses what a response reports; `window`, `unattributed` and `bucket` derive how many
//! requests may be sent, and `bucket` explains why this process alone causes no 429; `slow_start` is how a window begins;
//! `routing` decides which credentials may serve a request; `queue` orders the waiters; `operator_limit` is the operator's
//! own limit; `connection` has them for one connection; `scheduler` combines them, without a clock; `limiter` and `group` wait, no
//! longer than `max_wait` allows; `registry` finds the connections that share a window.

mod bucket;
mod connection;
mod group;
mod headers;
mod limiter;
mod max_wait;
mod operator_limit;
mod options;
mod queue;
mod registry;
mod routing;
mod scheduler;
mod slow_start;
mod unattributed;
mod window;

#[cfg(test)]
mod tests;

pub use headers::{LimitHeaders, TooManyRequests};
pub use limiter::{Permit, RateLimiter};
pub use options::BudgetOptions;
pub(crate) use options::{DEFAULT_RESERVE, MAX_DEFAULT_RESERVE, MIN_DEFAULT_RESERVE};
pub use registry::Budgets;
pub(crate) use routing::serving;
pub use routing::{CredentialUse, Route};
