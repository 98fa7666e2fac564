//! What governance needs from a provider.

mod health;

#[cfg(test)]
pub(crate) use health::MockHealthSource;
pub use health::{HealthContext, HealthSource, MaxAge};
