//! The binary from the point of view of an operator: refused settings, output, services, exit codes.

mod audit;
mod configuration;
mod documentation;
mod help;
mod logs;
mod python;
mod refusals;
mod sandbox;
mod services;
mod serving;
