//! The commands of the binary: parse, wire, print.

pub mod sandbox;
