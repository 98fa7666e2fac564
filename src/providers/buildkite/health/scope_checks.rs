//! The checks of single scopes: one row for each scope, by the reason for which it is required.

use super::check::RequiredBy;
use crate::governance::health::{CheckInfo, Feature};
use crate::providers::buildkite::{Endpoint, Scope};

/// The description of the check of a scope.
pub(crate) fn info(scope: Scope, required_by: RequiredBy) -> &'static CheckInfo {
    let table = match required_by {
        RequiredBy::Connector => &OF_CONNECTOR,
        RequiredBy::Others => &OF_OTHERS,
    };
    // The tables have a row for each scope, in the order of the variants.
    &table[scope as usize]
}

static OF_CONNECTOR: [CheckInfo; Scope::ALL.len()] = table(RequiredBy::Connector);
static OF_OTHERS: [CheckInfo; Scope::ALL.len()] = table(RequiredBy::Others);

const fn table(required_by: RequiredBy) -> [CheckInfo; Scope::ALL.len()] {
    let mut rows = [const { row(Scope::ReadUser, RequiredBy::Others) }; Scope::ALL.len()];
    let mut index = 0;
    while index < rows.len() {
        rows[index] = row(Scope::ALL[index], required_by);
        index += 1;
    }
    rows
}

const fn row(scope: Scope, required_by: RequiredBy) -> CheckInfo {
    let (impact, features) = match required_by {
        RequiredBy::Connector => (impact(scope), features(scope)),
        RequiredBy::Others => ("an integration that shares the token lacks it", &[] as &[Feature]),
    };
    CheckInfo {
        id: scope.as_str(),
        scope: Some(scope.as_str()),
        probe: probe(scope),
        endpoint: endpoint(scope).name(),
        impact,
        degraded_when: "",
        for_writes: false,
        for_others: matches!(required_by, RequiredBy::Others),
        required_by: features,
    }
}

/// The endpoint that proves a scope, or the token's own record if none does without harm.
const fn endpoint(scope: Scope) -> Endpoint {
    match scope {
        Scope::ReadUser => Endpoint::User,
        Scope::ReadOrganizations => Endpoint::Organization,
        Scope::ReadTeams => Endpoint::Teams,
        Scope::ReadPipelines => Endpoint::Pipelines,
        Scope::ReadSuites => Endpoint::Suites,
        Scope::ReadRegistries => Endpoint::Registries,
        Scope::ReadClusters => Endpoint::Clusters,
        Scope::ReadOrganizationInvitations => Endpoint::Invitations,
        Scope::ReadBuilds => Endpoint::Builds,
        Scope::ReadArtifacts => Endpoint::Artifacts,
        Scope::ReadBuildLogs => Endpoint::JobLog,
        Scope::ReadAgents => Endpoint::Agents,
        Scope::ReadAuditEvents => Endpoint::AuditEvents,
        _ => Endpoint::AccessToken,
    }
}

/// Whether a harmless request proves the scope.
pub(crate) fn is_provable(scope: Scope) -> bool {
    endpoint(scope) != Endpoint::AccessToken
}

const fn probe(scope: Scope) -> &'static str {
    match scope {
        Scope::ReadUser => "GET /v2/user",
        Scope::ReadOrganizations => "GET /v2/organizations/{slug}",
        Scope::ReadTeams => "GET /v2/organizations/{slug}/teams",
        Scope::ReadPipelines => "GET /v2/organizations/{slug}/pipelines",
        Scope::ReadSuites => "GET /v2/analytics/organizations/{slug}/suites",
        Scope::ReadRegistries => "GET /v2/packages/organizations/{slug}/registries",
        Scope::ReadClusters => "GET /v2/organizations/{slug}/clusters",
        Scope::ReadOrganizationInvitations => "GET /v2/organizations/{slug}/invitations",
        Scope::ReadBuilds => "GET /v2/organizations/{slug}/builds",
        Scope::ReadArtifacts => "GET /v2/organizations/{slug}/pipelines/{pipeline}/builds/{number}/artifacts",
        Scope::ReadBuildLogs => "HEAD /v2/organizations/{slug}/pipelines/{pipeline}/builds/{number}/jobs/{job}/log",
        Scope::ReadAgents => "GET /v2/organizations/{slug}/agents",
        Scope::ReadAuditEvents => "GET /v2/organizations/{slug}/audit_events",
        _ => "none: the token's scopes tell",
    }
}

const fn impact(scope: Scope) -> &'static str {
    match scope {
        Scope::ReadPipelines => "no pipeline is synced",
        Scope::ReadSuites => "no test suite is synced",
        Scope::ReadRegistries => "no registry is synced",
        Scope::ReadClusters => "no cluster is synced",
        Scope::ReadOrganizationInvitations => "no invitation is listed",
        Scope::WriteOrganizationInvitations => "no person is invited and no invitation is revoked",
        Scope::WriteTeams => "no team's access to a pipeline or suite is changed",
        Scope::WriteClusters => "no maintainer of a cluster is changed",
        Scope::WriteOrganizations => "no organization role is changed and no member is removed",
        Scope::ReadBuilds => "no state of a build is read",
        Scope::WriteBuilds => "no build is started and no job is unblocked",
        _ => "an allowed change is not made",
    }
}

const fn features(scope: Scope) -> &'static [Feature] {
    match scope {
        Scope::ReadPipelines | Scope::ReadSuites | Scope::ReadRegistries | Scope::ReadClusters => {
            &[Feature::Resources, Feature::Grants]
        }
        Scope::ReadOrganizationInvitations => &[Feature::Resources],
        Scope::WriteTeams | Scope::WriteClusters | Scope::WriteOrganizations => &[Feature::Provisioning],
        _ => &[],
    }
}
