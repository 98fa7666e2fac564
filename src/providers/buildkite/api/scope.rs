//! The scopes of API tokens (reference, section 5.1): those of the documentation, and those of the GraphQL schema alone.

use std::fmt;
use std::str::FromStr;

macro_rules! scopes {
    ($($scope:ident = $name:literal,)+) => {
        /// A permission of an API token, as Buildkite's token page lists it. The order is that of the scopes in the link to
        /// that page: those of the connector first.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Scope {
            $(#[doc = concat!("`", $name, "`.")] $scope,)+
        }

        impl Scope {
            /// All scopes, in their order.
            pub const ALL: &'static [Self] = &[$(Self::$scope),+];

            /// The scope as Buildkite spells it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$scope => $name,)+
                }
            }
        }
    };
}

scopes! {
    ReadUser = "read_user",
    ReadOrganizations = "read_organizations",
    ReadTeams = "read_teams",
    WriteTeams = "write_teams",
    ReadPipelines = "read_pipelines",
    ReadSuites = "read_suites",
    ReadRegistries = "read_registries",
    ReadClusters = "read_clusters",
    ReadOrganizationInvitations = "read_organization_invitations",
    WriteClusters = "write_clusters",
    WriteOrganizations = "write_organizations",
    WriteOrganizationInvitations = "write_organization_invitations",
    ReadBuilds = "read_builds",
    WriteBuilds = "write_builds",
    WritePipelines = "write_pipelines",
    ReadBuildLogs = "read_build_logs",
    WriteBuildLogs = "write_build_logs",
    ReadJobEnv = "read_job_env",
    ReadArtifacts = "read_artifacts",
    WriteArtifacts = "write_artifacts",
    ReadAgents = "read_agents",
    WriteAgents = "write_agents",
    ReadPipelineTemplates = "read_pipeline_templates",
    WritePipelineTemplates = "write_pipeline_templates",
    ReadRules = "read_rules",
    WriteRules = "write_rules",
    ReadOrganizationSettings = "read_organization_settings",
    WriteOrganizationSettings = "write_organization_settings",
    ReadOrganizationRepositoryConnections = "read_organization_repository_connections",
    ReadNotificationServices = "read_notification_services",
    WriteNotificationServices = "write_notification_services",
    ReadAuditEvents = "read_audit_events",
    ReadSecretsDetails = "read_secrets_details",
    WriteSecrets = "write_secrets",
    WriteSuites = "write_suites",
    ReadTestPlan = "read_test_plan",
    WriteTestPlan = "write_test_plan",
    WriteRegistries = "write_registries",
    DeleteRegistries = "delete_registries",
    ReadPackages = "read_packages",
    WritePackages = "write_packages",
    DeletePackages = "delete_packages",
    ReadPortals = "read_portals",
    WritePortals = "write_portals",
    ReadDeployables = "read_deployables",
    WriteDeployables = "write_deployables",
    ReadEvents = "read_events",
    ReadTestPool = "read_test_pool",
    GraphQl = "graphql",
}

impl Scope {
    /// Whether the scope permits a change.
    #[must_use]
    pub fn is_write(self) -> bool {
        let name = self.as_str();
        name.starts_with("write_") || name.starts_with("delete_")
    }
}

impl AsRef<str> for Scope {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is not the name of a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "give scopes as buildkite's token page spells them, such as read_builds: https://buildkite.com/user/api-access-tokens/new"
)]
pub struct UnknownScope;

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut all = Self::ALL.iter().copied();
        all.find(|scope| scope.as_str() == text).ok_or(UnknownScope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_is_parsed_from_its_own_name_alone() {
        for &scope in Scope::ALL {
            assert_eq!(scope.to_string().parse(), Ok(scope));
        }
        for wrong in ["", "Read_Teams", "view_teams", "read_build"] {
            assert_eq!(wrong.parse::<Scope>(), Err(UnknownScope), "{wrong:?}");
        }
    }
}
