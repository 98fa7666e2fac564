//! What the row that an accepted write echoes says about the write.

use jiff::{SignedDuration, Timestamp};

use crate::governance::model::Level;
use crate::governance::provider::WriteReply;
use crate::governance::provisioning::Write;
use crate::providers::buildkite::timestamp;

/// An upper bound for the difference between this machine's clock and Buildkite's.
const MAX_CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(10);

/// The row of the principal that a response shows.
#[derive(Debug, Clone, Copy)]
pub(super) struct EchoedRow<'a> {
    /// The level; `None` if it is not one of the type.
    pub(super) level: Option<&'static Level>,
    /// When the row was created, as Buildkite wrote it.
    pub(super) created_at: Option<&'a str>,
}

/// What the response to `write` says; `None` if it shows no row of the principal.
pub(super) fn write_reply(write: Write, shown: Option<EchoedRow<'_>>) -> WriteReply {
    match shown.and_then(|row| Some((row.created_at, row.level?))) {
        Some((_, shown)) if Some(shown) != write.resulting_level() => WriteReply::Unconfirmed(Some(shown)),
        Some((created_at, _)) if matches!(write, Write::Add(_)) && is_old(created_at) => WriteReply::AlreadyPresent,
        Some(_) => WriteReply::Confirmed,
        None => WriteReply::Unconfirmed(None),
    }
}

/// Whether a row is older than the clocks can differ.
fn is_old(created_at: Option<&str>) -> bool {
    let began = created_at.and_then(timestamp);
    began.is_some_and(|began| Timestamp::now().duration_since(began) > MAX_CLOCK_SKEW)
}
