//! What the budget guarantees, over real HTTP against the sandbox. Tests that need the end of a window use short
//! windows, but of several seconds, because responses report resets in whole seconds.

mod deadlines;
mod harness;
mod lanes;
mod refusals;
mod saturation;
