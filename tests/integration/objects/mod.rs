//! The included types: the organization, pipelines, suites, registries, clusters and invitations.

mod absence;
mod invitations;
mod lists;
mod reads;
mod rows;
mod secrets;
