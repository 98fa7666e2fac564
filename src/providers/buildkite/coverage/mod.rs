//! What two settings, `--include` and `--allow`, mean for Buildkite, in one place: the scopes that are required, and so the checks
//! of health, their probes, and the scopes that the link to a new token selects. `--require` adds scopes of other integrations.

mod included_type;

use std::collections::{BTreeMap, BTreeSet};

pub use included_type::{IncludedType, UnknownType};

use super::Scope;
use super::health::{Check, RequiredBy};
use crate::governance::model::ResourceTypeInfo;
use crate::governance::{AllowedChanges, Change};

/// What the role of the token's owner in the organization means for a scope. Of several needs of one scope, the last of these holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum OwnerRequirement {
    /// Nothing.
    Any,
    /// Only an organization admin is shown all rows.
    AdminSeesAll,
    /// Only an organization admin can change everything; others change what their teams manage.
    AdminChangesAll,
    /// Only an organization admin can do it at all.
    Admin,
}

/// A change that is allowed although no type that it changes is included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{change} needs {} in --include or BUILDKITE_CONNECTOR_INCLUDE",
    names(types_of(*.change))
)]
pub struct CoverageError {
    change: Change,
}

/// What the connector covers: the included types, the allowed changes, and the scopes that other integrations require.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Coverage {
    included: BTreeSet<IncludedType>,
    allowed: AllowedChanges,
    others: BTreeSet<Scope>,
}

impl Coverage {
    /// Covers users, teams and `included`, makes the changes that are `allowed`, and checks the scopes of `others` as well.
    ///
    /// # Errors
    /// When a change is allowed and none of the types that it changes is included.
    pub fn new(
        included: impl IntoIterator<Item = IncludedType>,
        allowed: AllowedChanges,
        others: impl IntoIterator<Item = Scope>,
    ) -> Result<Self, CoverageError> {
        let included: BTreeSet<IncludedType> = included.into_iter().collect();
        let is_missing = |change: &Change| {
            let types = types_of(*change);
            !types.is_empty() && !types.iter().any(|changed| included.contains(changed))
        };
        if let Some(change) = allowed.iter().find(is_missing) {
            return Err(CoverageError { change });
        }
        Ok(Self {
            included,
            allowed,
            others: others.into_iter().collect(),
        })
    }

    /// Covers the change as well, with the first of the types that it needs.
    #[must_use]
    pub fn with_change(mut self, change: Change) -> Self {
        let types = types_of(change);
        if !types.iter().any(|included| self.included.contains(included)) {
            self.included.extend(types.first());
        }
        Self {
            allowed: self.allowed.and(change),
            ..self
        }
    }

    /// Covers grants and revokes of levels of resources of the type as well, and no other change.
    #[must_use]
    pub fn with_levels_of(mut self, resource_type: &ResourceTypeInfo) -> Self {
        self.included.extend(resource_type.id.parse::<IncludedType>());
        match resource_type.change {
            Some(change) => self.with_change(change),
            None => self,
        }
    }

    /// Whether the resources of this type are governed.
    #[must_use]
    pub fn includes(&self, included: IncludedType) -> bool {
        self.included.contains(&included)
    }

    /// The included types, each once, in the order of [`IncludedType::ALL`].
    pub fn included(&self) -> impl Iterator<Item = IncludedType> {
        self.included.iter().copied()
    }

    /// The changes that are made.
    #[must_use]
    pub fn allowed(&self) -> &AllowedChanges {
        &self.allowed
    }

    /// The scopes that other integrations require, each once.
    pub fn others(&self) -> impl Iterator<Item = Scope> {
        self.others.iter().copied()
    }

    /// The required scopes, each once, in the order of [`Scope::ALL`].
    #[must_use]
    pub fn scopes(&self) -> BTreeSet<Scope> {
        let base = [Scope::ReadUser, Scope::ReadOrganizations, Scope::ReadTeams];
        let of_changes = self.allowed.iter().flat_map(|change| self.scopes_of(change));
        let of_types = self.included().filter_map(IncludedType::scope);
        base.into_iter()
            .chain(of_types)
            .chain(of_changes)
            .chain(self.others())
            .collect()
    }

    /// The checks, in the order in which they depend on each other.
    #[must_use]
    pub fn checks(&self) -> Vec<Check> {
        let teams = self.allowed.allows(Change::Teams).then_some(Check::TeamManagement);
        let of_connector = self.own_scopes().into_keys();
        Check::ALL
            .into_iter()
            .chain(teams)
            .chain(of_connector.map(|scope| Check::Scope(scope, RequiredBy::Connector)))
            .chain(self.others_alone().map(|scope| Check::Scope(scope, RequiredBy::Others)))
            .collect()
    }

    /// What the owner's role means for a scope.
    pub(crate) fn owner_requirement(&self, scope: Scope) -> OwnerRequirement {
        self.own_scopes().get(&scope).copied().unwrap_or(OwnerRequirement::Any)
    }

    /// The scopes with a check of their own that the included types and the allowed changes require.
    fn own_scopes(&self) -> BTreeMap<Scope, OwnerRequirement> {
        let of_types = self
            .included()
            .filter_map(|included| Some((included.scope()?, included.reader())));
        let of_changes = self.allowed.iter().flat_map(|change| {
            // Two checks of their own stand for the scope of these.
            let scopes = match change {
                Change::Membership | Change::Teams => Vec::new(),
                _ => self.scopes_of(change),
            };
            scopes.into_iter().map(move |scope| (scope, owner_of(change)))
        });
        let mut scopes = BTreeMap::new();
        for (scope, owner) in of_types.chain(of_changes) {
            let strictest = scopes.entry(scope).or_insert(owner);
            *strictest = owner.max(*strictest);
        }
        scopes
    }

    /// The scopes that only other integrations require, apart from those that have a check of the same id.
    fn others_alone(&self) -> impl Iterator<Item = Scope> {
        let own = self.own_scopes();
        self.others().filter(move |scope| !own.contains_key(scope))
    }

    /// The scopes that a change needs.
    fn scopes_of(&self, change: Change) -> Vec<Scope> {
        match change {
            Change::Membership | Change::Teams => vec![Scope::WriteTeams],
            Change::Access => {
                let by_teams = self.includes(IncludedType::Pipeline) || self.includes(IncludedType::Suite);
                let by_cluster = self.includes(IncludedType::Cluster);
                let by_teams = by_teams.then_some(Scope::WriteTeams);
                let by_cluster = by_cluster.then_some(Scope::WriteClusters);
                by_teams.into_iter().chain(by_cluster).collect()
            }
            Change::OrganizationRoles => vec![Scope::WriteOrganizations],
            Change::Invitations => vec![Scope::ReadOrganizationInvitations, Scope::WriteOrganizationInvitations],
            Change::OffBoarding => vec![
                Scope::WriteOrganizations,
                Scope::ReadOrganizationInvitations,
                Scope::WriteOrganizationInvitations,
            ],
            Change::Builds => vec![Scope::ReadBuilds, Scope::WriteBuilds, Scope::ReadPipelines],
            // The paths decide, and the 403 names the scope.
            Change::RestRead => Vec::new(),
        }
    }
}

/// The types of which a change needs at least one.
fn types_of(change: Change) -> &'static [IncludedType] {
    match change {
        Change::Access => &[IncludedType::Pipeline, IncludedType::Suite, IncludedType::Cluster],
        Change::OrganizationRoles => &[IncludedType::Organization],
        Change::Invitations => &[IncludedType::Invitation],
        Change::Builds => &[IncludedType::Pipeline],
        Change::Membership | Change::OffBoarding | Change::Teams | Change::RestRead => &[],
    }
}

/// What the role of the token's owner means for a change.
fn owner_of(change: Change) -> OwnerRequirement {
    match change {
        Change::Access => OwnerRequirement::AdminChangesAll,
        Change::OrganizationRoles | Change::Invitations | Change::OffBoarding => OwnerRequirement::Admin,
        Change::Membership | Change::Teams | Change::Builds | Change::RestRead => OwnerRequirement::Any,
    }
}

fn names(types: &[IncludedType]) -> String {
    match types {
        [one] => one.to_string(),
        several => {
            let names: Vec<&str> = several.iter().map(|included| included.as_str()).collect();
            format!("one of {}", names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::providers::buildkite::resources::{CLUSTER, ORGANIZATION, PIPELINE, REGISTRY, SUITE, TEAM};
    use IncludedType::{Cluster, Invitation, Organization, Pipeline, Registry, Suite};

    const BASE: &str = "read_user read_organizations read_teams";

    fn coverage(included: &[IncludedType], allowed: &[Change]) -> Result<Coverage, CoverageError> {
        Coverage::new(
            included.iter().copied(),
            allowed.iter().copied().collect(),
            [Scope::ReadBuilds],
        )
    }

    /// The required scopes beside the three that every connection needs and the one of another integration.
    fn scopes(included: &[IncludedType], allowed: &[Change]) -> String {
        let scopes = coverage(included, allowed).unwrap().scopes();
        let names: Vec<&str> = scopes.into_iter().map(Scope::as_str).collect();
        let names = names.join(" ");
        let beside = names.strip_prefix(BASE).unwrap().trim();
        beside.replace("read_builds", "").replace("  ", " ").trim().to_owned()
    }

    #[rstest]
    #[case(&[], &[], "")]
    #[case(&[Organization], &[], "")]
    #[case(&[Pipeline, Suite, Registry, Cluster], &[], "read_pipelines read_suites read_registries read_clusters")]
    #[case(&[Invitation], &[], "read_organization_invitations")]
    #[case(&[], &[Change::Membership], "write_teams")]
    #[case(&[], &[Change::Teams], "write_teams")]
    #[case(&[Suite], &[Change::Access], "write_teams read_suites")]
    #[case(&[Cluster], &[Change::Access], "read_clusters write_clusters")]
    #[case(&[Organization], &[Change::OrganizationRoles], "write_organizations")]
    #[case(&[Invitation], &[Change::Invitations], "read_organization_invitations write_organization_invitations")]
    #[case(
        &[],
        &[Change::OffBoarding],
        "read_organization_invitations write_organizations write_organization_invitations"
    )]
    #[case(&[Pipeline], &[Change::Builds], "read_pipelines write_builds")]
    #[case(&[], &[Change::RestRead], "")]
    fn the_settings_decide_which_scopes_are_required(
        #[case] included: &[IncludedType],
        #[case] allowed: &[Change],
        #[case] expected: &str,
    ) {
        assert_eq!(scopes(included, allowed), expected);
    }

    #[rstest]
    #[case(&[Registry], Change::Access, "access needs one of pipeline, suite, cluster in --include")]
    #[case(&[Pipeline], Change::OrganizationRoles, "organization-roles needs organization in --include")]
    #[case(&[], Change::Invitations, "invitations needs invitation in --include")]
    #[case(&[Suite], Change::Builds, "builds needs pipeline in --include")]
    fn a_change_of_a_type_that_is_not_included_is_refused(
        #[case] included: &[IncludedType],
        #[case] change: Change,
        #[case] sentence: &str,
    ) {
        let refused = coverage(included, &[Change::Membership, change]).unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!("{sentence} or BUILDKITE_CONNECTOR_INCLUDE")
        );
    }

    #[rstest]
    #[case(&TEAM, &[], &[Change::Membership])]
    #[case(&PIPELINE, &[Pipeline], &[Change::Access])]
    #[case(&SUITE, &[Suite], &[Change::Access])]
    #[case(&CLUSTER, &[Cluster], &[Change::Access])]
    #[case(&ORGANIZATION, &[Organization], &[Change::OrganizationRoles])]
    #[case(&REGISTRY, &[Registry], &[])]
    fn the_levels_of_a_type_need_that_type_and_one_change(
        #[case] of: &ResourceTypeInfo,
        #[case] included: &[IncludedType],
        #[case] allowed: &[Change],
    ) {
        let expected = Coverage::new(included.iter().copied(), allowed.iter().copied().collect(), []).unwrap();
        assert_eq!(Coverage::default().with_levels_of(of), expected);
    }

    #[test]
    fn of_several_needs_of_a_scope_the_strictest_decides() {
        let covered = coverage(&[Invitation, Pipeline], &[Change::Invitations, Change::Builds]).unwrap();
        let requirement = |scope| covered.owner_requirement(scope);
        assert_eq!(requirement(Scope::ReadOrganizationInvitations), OwnerRequirement::Admin);
        assert_eq!(requirement(Scope::ReadPipelines), OwnerRequirement::AdminSeesAll);
        assert_eq!(requirement(Scope::ReadBuilds), OwnerRequirement::Any);
    }

    #[test]
    fn a_scope_has_one_check_also_if_another_integration_requires_it() {
        let covered = coverage(&[Pipeline], &[Change::Builds, Change::Teams]).unwrap();
        let ids: Vec<&str> = covered
            .checks()
            .into_iter()
            .skip(6)
            .map(|check| check.info().id)
            .collect();
        assert_eq!(
            ids,
            ["team_management", "read_pipelines", "read_builds", "write_builds"]
        );
        assert!(
            !covered
                .checks()
                .contains(&Check::Scope(Scope::ReadBuilds, RequiredBy::Others))
        );
        let alone = coverage(&[], &[]).unwrap().checks();
        assert_eq!(alone.last(), Some(&Check::Scope(Scope::ReadBuilds, RequiredBy::Others)));
    }
}
