//! Hosts: the connector as the child of a runner, as a plugin, and in service mode against the platform's stand-in over TLS.

mod actions;
mod child;
mod command;
mod harness;
mod plugin;
mod runner;
mod service;
