//! What the budget promises, over real HTTP against the sandbox. Windows are short where a test needs their end; they are
//! of many seconds all the same, since what an answer tells of them is in whole seconds.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod deadlines;
mod harness;
mod lanes;
mod refusals;
mod saturation;
