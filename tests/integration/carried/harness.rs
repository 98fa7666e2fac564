//! An organization whose teams carry access, and the sync of a platform in the order of the real client.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use buildkite_connector::governance::{AllowedChanges, Change};
use buildkite_connector::proto::c1::connector::v2::Resource;
use buildkite_connector::providers::buildkite::IncludedType;
use buildkite_connector::sandbox::{
    ALL_SCOPES, Endpoint, LimitOptions, Options, PipelineLevel, Sandbox, Seed, Size, SuiteLevel, TokenSpec,
};
use tonic::Status;

use crate::support::platform::id_of;
use crate::support::{Platform, Setup, TestServer};

/// Other than Buildkite's default page size: a list of that length is requested once more.
pub const TEAMS: usize = 28;
pub const PIPELINES: usize = 40;
pub const SUITES: usize = 10;

/// The endpoints that are read once for each team.
pub const CARRIED: [Endpoint; 2] = [Endpoint::TeamPipelines, Endpoint::TeamSuites];

pub async fn organization() -> Sandbox {
    limited(LimitOptions::unlimited()).await
}

pub async fn limited(limits: LimitOptions) -> Sandbox {
    Sandbox::start(Options {
        seed: Seed::Sized(Size {
            teams: TEAMS,
            members_per_team: 1,
            people: 5,
            pipelines: PIPELINES,
            suites: SUITES,
            teams_per_object: 4,
            seed: 7,
            ..Size::default()
        }),
        limits,
        ..Options::default()
    })
    .await
    .unwrap()
}

/// Pipelines and suites are included, and access to them may be changed.
pub fn setup() -> Setup {
    let mut setup = Setup {
        include: vec![IncludedType::Pipeline, IncludedType::Suite],
        ..Setup::default()
    };
    setup.access.allowed = AllowedChanges::from_iter([Change::Membership, Change::Access]);
    setup
}

pub async fn connector(sandbox: &Sandbox) -> TestServer {
    connector_with(sandbox, setup()).await
}

pub async fn connector_with(sandbox: &Sandbox, setup: Setup) -> TestServer {
    let token = sandbox.mint(TokenSpec {
        scopes: ALL_SCOPES.map(str::to_owned).to_vec(),
        ..TokenSpec::owned_by(sandbox.owner())
    });
    TestServer::with(sandbox, &token, setup).await
}

/// The ids of the grants that teams carry in the organization.
pub fn truth(sandbox: &Sandbox) -> BTreeSet<String> {
    sandbox.with_organization(|organization| {
        let teams = organization.teams().iter();
        let grants = teams.flat_map(|team| {
            let pipelines = team.pipelines().iter().map(|row| {
                let level = match row.level {
                    PipelineLevel::ReadOnly => "read_only",
                    PipelineLevel::BuildAndRead => "build_and_read",
                    PipelineLevel::ManageBuildAndRead => "manage_build_and_read",
                };
                format!("pipeline:{}:{level}:team:{}", row.object, team.id)
            });
            let suites = team.suites().iter().map(|row| {
                let level = match row.level {
                    SuiteLevel::Read => "read",
                    SuiteLevel::Edit => "edit",
                };
                format!("suite:{}:{level}:team:{}", row.object, team.id)
            });
            pipelines.chain(suites).collect::<Vec<String>>()
        });
        grants.collect()
    })
}

/// How many requests were sent to the endpoints that are read once for each team.
pub fn carried_requests(sandbox: &Sandbox) -> [u64; 2] {
    CARRIED.map(|endpoint| sandbox.request_log().count(endpoint))
}

/// Once for each team and kind.
pub const ONCE: [u64; 2] = [TEAMS as u64; 2];

/// The resources that a sync listed, by type and in the order of the store.
pub type Listed = BTreeMap<&'static str, Vec<Resource>>;

/// Lists the resources of every type.
pub async fn list(platform: &Platform, sync: &str) -> Listed {
    platform.resources_in(sync, "user").await.unwrap();
    let mut listed = Listed::new();
    // The types are listed with the principals first.
    for kind in ["team", "pipeline", "suite"] {
        let mut resources = platform.resources_in(sync, kind).await.unwrap();
        resources.sort_by_key(id_of);
        listed.insert(kind, resources);
    }
    listed
}

/// Lists the entitlements of every resource, backwards.
pub async fn entitle(platform: &Platform, listed: &Listed) {
    for resources in listed.values().rev() {
        for resource in resources.iter().rev() {
            assert!(!platform.entitlements(resource).await.unwrap().is_empty());
        }
    }
}

/// Lists the grants of every resource, backwards, and returns the ids of those that teams carry.
pub async fn grants(platform: &Platform, sync: &str, listed: &Listed) -> Result<BTreeSet<String>, Status> {
    let mut ids = BTreeSet::new();
    for resources in listed.values().rev() {
        for resource in resources.iter().rev() {
            let rows = platform.grants_in(sync, resource).await?;
            ids.extend(rows.into_iter().map(|grant| grant.id));
        }
    }
    ids.retain(|id| !id.starts_with("team:"));
    Ok(ids)
}

/// The first pipeline that a list showed.
pub fn a_pipeline(listed: &Listed) -> &Resource {
    &listed["pipeline"][0]
}

/// A maximum wait that ends soon, for calls that do not wait until the reading is complete.
pub const SHORT_WAIT: Duration = Duration::from_secs(1);
