//! No body makes the reader of its rows panic.
#![no_main]

use buildkite_connector::providers::buildkite::{
    AccessToken, Organization, OrganizationMember, CurrentUser, Team, TeamMember, redact, timestamp,
};
use libfuzzer_sys::fuzz_target;
use serde_json::from_slice;

fuzz_target!(|body: &[u8]| {
    let _ = from_slice::<AccessToken>(body);
    let _ = from_slice::<Organization>(body);
    let _ = from_slice::<CurrentUser>(body);
    let _ = from_slice::<Vec<OrganizationMember>>(body);
    let _ = from_slice::<Vec<TeamMember>>(body);
    if let Ok(teams) = from_slice::<Vec<Team>>(body) {
        let _: Vec<_> = teams
            .iter()
            .filter_map(|team| timestamp(team.created_at.as_deref()?))
            .collect();
    }
    let _ = redact(&String::from_utf8_lossy(body));
});
