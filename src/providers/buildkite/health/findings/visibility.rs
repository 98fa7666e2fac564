//! Whether the token's owner is shown all teams.

use crate::governance::health::State;
use crate::governance::model::ResourceTypeInfo;
use crate::governance::provider::OwnerRole;
use crate::governance::{GovernanceError, PartialVisibility};
use crate::providers::buildkite::health::assess::{Context, Finding};
use crate::providers::buildkite::health::evidence::{Evidence, Observation};
use crate::providers::buildkite::health::remedy;
use crate::providers::buildkite::resources::TEAM;
use crate::providers::buildkite::{Subject, from_api};

/// Whether the token's owner is shown all teams.
pub(crate) fn visibility(evidence: &Evidence, context: &Context<'_>) -> Finding {
    match (evidence.owner_role(), context.partial_visibility) {
        (Some(OwnerRole::Member), PartialVisibility::Refuse) => {
            Finding::new(
                State::Unhealthy,
                "the token's owner is not an organization admin and is not shown secret teams, so team listings are refused",
                remedy::admin_owner_or_partial_view(),
            )
            .with_error(partial_visibility_error(&TEAM, evidence))
        }
        (Some(OwnerRole::Member), PartialVisibility::Allow) => Finding::new(
            State::Degraded,
            "teams can be listed, without the secret ones: the token's owner is not an organization admin",
            remedy::admin_owner(),
        ),
        (Some(OwnerRole::Admin), _) => Finding::healthy("teams can be listed, all of them"),
        (Some(OwnerRole::Unknown) | None, _) => match evidence.owner_role_error() {
            Some(error) => Finding::new(
                State::Unknown,
                "teams can be listed, but whether all of them are shown is not known: the owner's role could not be read",
                "try again in a moment",
            )
            .with_error(from_api(error.clone(), Subject::Other, None)),
            None => Finding::healthy("teams can be listed (the owner's organization role is not known, and is treated as admin)"),
        },
    }
}

/// The error of a listing that is refused because the owner is not shown all rows.
pub(super) fn partial_visibility_error(
    resource_type: &'static ResourceTypeInfo,
    evidence: &Evidence,
) -> GovernanceError {
    let owner = evidence.user.as_ref().and_then(Observation::value);
    let owner = owner.and_then(|owner| owner.email.clone().or_else(|| owner.name.clone()));
    GovernanceError::PartialVisibility {
        resource_type,
        owner: owner.unwrap_or_else(|| "(unknown)".to_owned()),
    }
}
