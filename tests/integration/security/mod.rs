//! A connector that others can reach and that is never restarted: who gets in, what changes while it runs, how it ends, and
//! what a flood does to it.

mod bounds;
mod callers;
mod drain;
mod endings;
mod pki;
mod places;
mod raw;
mod refusals;
mod requests;
mod rotation;
mod shares;
mod tls;
mod upstream;
