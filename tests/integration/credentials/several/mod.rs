//! Several credentials for one organization: how they share the work, and what becomes of one that cannot be used.

mod file;
mod harness;
mod health;
mod limits;
mod owners;
mod preparation;
mod rejection;
mod start;
mod usage;
