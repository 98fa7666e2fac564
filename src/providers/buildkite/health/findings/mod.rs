//! The findings of each check: state, sentence, remedy and error.
//!
//! `expiry`, `visibility`, `management` and `owner` judge checks whose probe succeeded: healthy, degraded, or unhealthy because of what the
//! response contains. `failures` has a finding for each way in which a probe fails.

mod expiry;
mod failures;
mod management;
mod owner;
mod visibility;

pub(crate) use expiry::expiry;
pub(crate) use failures::{finding_for_error, remedy_for};
pub(crate) use management::{management, missing_scope, team_management};
pub(crate) use owner::by_owner;
pub(crate) use visibility::visibility;

use super::assess::Context;
use super::credential::needed;
use crate::providers::buildkite::{AccessToken, Scope};

/// Every scope that is needed and missing.
pub(super) fn missing_scopes(token: &AccessToken, context: &Context<'_>) -> Vec<Scope> {
    let scopes = needed(context).into_iter();
    scopes.filter(|scope| token.lacks(*scope)).collect()
}

fn missing_scope_summary(scope: Scope) -> String {
    format!("the token lacks the scope `{scope}`")
}
