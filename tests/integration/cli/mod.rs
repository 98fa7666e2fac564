//! The binary as an operator meets it: what it refuses, what it prints, what it answers, how it ends.

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
