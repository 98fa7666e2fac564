//! The endpoints for a monitoring system: metrics, liveness and readiness.

mod calls;
mod documentation;
mod ending;
mod listening;
mod names;
mod scrape;
mod values;
