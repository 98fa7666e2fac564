//! What the role of the token's owner means for the check of a scope.

use super::management::{not_admin, obstacle};
use super::visibility::partial_visibility_error;
use crate::governance::PartialVisibility;
use crate::governance::health::State;
use crate::governance::provider::OwnerRole;
use crate::providers::buildkite::health::assess::{Context, Finding};
use crate::providers::buildkite::health::evidence::Evidence;
use crate::providers::buildkite::health::remedy;
use crate::providers::buildkite::resources::{PIPELINE, REGISTRY, SUITE, TEAM};
use crate::providers::buildkite::{OwnerRequirement, Scope, Subject, from_api};

/// The finding of a scope that is in order, or what the owner's role, the audit record and the protected names make of it.
pub(crate) fn by_owner(scope: Scope, finding: Finding, evidence: &Evidence, context: &Context<'_>) -> Finding {
    let requirement = context.coverage.owner_requirement(scope);
    if scope.is_write()
        && let Some(obstacle) = obstacle(context)
    {
        return obstacle;
    }
    match (requirement, evidence.owner_role()) {
        (OwnerRequirement::Admin, Some(OwnerRole::Member)) => not_admin(),
        (OwnerRequirement::AdminChangesAll, Some(OwnerRole::Member)) => Finding::new(
            State::Degraded,
            "the token's owner is no organization admin: only what they manage can be changed",
            remedy::admin_owner(),
        )
        .changes_only(),
        (OwnerRequirement::AdminSeesAll, Some(OwnerRole::Member)) => partial(scope, evidence, context),
        (OwnerRequirement::AdminSeesAll, Some(OwnerRole::Unknown) | None) => match evidence.owner_role_error() {
            Some(error) => Finding::new(
                State::Unknown,
                "declared and proved, but whether all rows are shown is not known: the owner's role could not be asked",
                "ask again in a moment",
            )
            .with_error(from_api(error.clone(), Subject::Other, None)),
            None => finding,
        },
        _ => finding,
    }
}

/// A list that is silently shorter for this owner.
fn partial(scope: Scope, evidence: &Evidence, context: &Context<'_>) -> Finding {
    let listed = match scope {
        Scope::ReadPipelines => &PIPELINE,
        Scope::ReadSuites => &SUITE,
        Scope::ReadRegistries => &REGISTRY,
        _ => &TEAM,
    };
    match context.partial_visibility {
        PartialVisibility::Refuse => Finding::new(
            State::Unhealthy,
            "the token's owner is no organization admin and is shown only what their teams reach, so the listing is refused",
            remedy::admin_owner_or_partial_view(),
        )
        .with_error(partial_visibility_error(listed, evidence)),
        PartialVisibility::Allow => Finding::new(
            State::Degraded,
            "declared and proved, for what the owner's teams reach: the token's owner is no organization admin",
            remedy::admin_owner(),
        ),
    }
}
