//! The findings of each check: state, sentence, remedy and error.
//!
//! `expiry`, `visibility` and `management` judge checks whose probe succeeded: healthy, degraded, or unhealthy because of what the
//! response contains. `failures` has a finding for each way in which a probe fails.

mod expiry;
mod failures;
mod management;
mod visibility;

pub(crate) use expiry::expiry;
pub(crate) use failures::{finding_for_error, remedy_for};
pub(crate) use management::management;
pub(crate) use visibility::visibility;

use super::assess::Context;
use crate::providers::buildkite::{AccessToken, Scope};

/// Every scope that is needed and missing.
fn missing_scopes(token: &AccessToken, context: &Context<'_>) -> Vec<Scope> {
    let needed = |scope: &Scope| *scope != Scope::WriteTeams || context.governance.provisioning;
    Scope::ALL
        .into_iter()
        .filter(needed)
        .filter(|scope| token.lacks(*scope))
        .collect()
}

fn missing_scope_summary(scope: Scope) -> String {
    format!("the token lacks the scope `{scope}`")
}
