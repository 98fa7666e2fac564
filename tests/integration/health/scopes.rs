//! The checks of single scopes: those that included types and allowed changes need, and those that other integrations require.

use buildkite_connector::governance::{Change, PartialVisibility};
use buildkite_connector::providers::buildkite::{IncludedType, Scope};
use buildkite_connector::sandbox::{ALL_SCOPES, Endpoint, Pipeline, Sandbox, Seed, TokenSpec};
use jiff::Timestamp;
use rstest::rstest;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus::{self, NotServing, Serving};

use super::grpc_health::{service, status};
use super::harness::{Degraded, HealthHarness, Healthy, ScopeReport, ScopeState, Unhealthy, admin, non_admin, setup};
use crate::support::{Setup, reason, sandbox, until_async};

/// The scopes of a build analyser.
const NINE: [Scope; 9] = [
    Scope::ReadTeams,
    Scope::ReadArtifacts,
    Scope::ReadBuilds,
    Scope::ReadJobEnv,
    Scope::ReadBuildLogs,
    Scope::ReadOrganizations,
    Scope::ReadPipelines,
    Scope::ReadUser,
    Scope::ReadSuites,
];

fn requiring(scopes: &[Scope]) -> Setup {
    Setup {
        require: scopes.to_vec(),
        ..setup()
    }
}

fn covering(include: &[IncludedType], allow: &[Change]) -> Setup {
    let mut setup = Setup {
        include: include.to_vec(),
        ..setup()
    };
    setup.access.allowed = allow.iter().copied().collect();
    setup
}

/// A token of the sandbox with every scope other than these.
fn without(scopes: &[&str]) -> impl Fn(TokenSpec) -> TokenSpec {
    let granted: Vec<&str> = ALL_SCOPES.into_iter().filter(|scope| !scopes.contains(scope)).collect();
    move |spec| spec.with_scopes(&granted)
}

async fn harness(owner: fn(&Sandbox) -> TokenSpec, missing: &[&str], setup: Setup) -> HealthHarness {
    on(sandbox(Seed::Example).await, owner, missing, setup).await
}

async fn on(sandbox: Sandbox, owner: fn(&Sandbox) -> TokenSpec, missing: &[&str], setup: Setup) -> HealthHarness {
    let token = sandbox.mint(without(missing)(owner(&sandbox)));
    HealthHarness::on(sandbox, &token, setup).await
}

/// A sandbox without builds.
async fn without_builds() -> Sandbox {
    let sandbox = sandbox(Seed::Example).await;
    sandbox.edit(|organization| {
        let ids: Vec<_> = organization.pipelines().iter().map(|pipeline| pipeline.id).collect();
        for id in ids {
            organization.pipeline_mut(id).unwrap().builds.clear();
        }
    });
    sandbox
}

/// A sandbox with one build, whose job has run.
async fn with_a_build() -> Sandbox {
    let sandbox = without_builds().await;
    sandbox.edit(|organization| {
        let mut pipeline = Pipeline::new("timetable", "Timetable");
        let number = pipeline.start_build("main", "HEAD", Timestamp::now());
        "passed".clone_into(&mut pipeline.build_mut(number).unwrap().jobs[0].state);
        organization.add_pipeline(pipeline)
    });
    sandbox
}

fn assert_states(report: &ScopeReport, ids: &[&str], state: ScopeState) {
    for id in ids {
        assert_eq!(report.state(id), state, "{:?}", report.of(id));
    }
}

async fn until_status(harness: &HealthHarness, name: &str, expected: ServingStatus) {
    until_async("the status", async || status(harness, name).await.unwrap() == expected).await;
}

#[tokio::test]
async fn nine_scopes_of_a_build_analyser_cost_at_most_eleven_requests_and_none_again_soon() {
    let harness = on(with_a_build().await, admin, &[], requiring(&NINE)).await;
    let report = harness.fresh().await;
    for scope in NINE {
        let summary = match scope {
            Scope::ReadJobEnv => "declared; no harmless request proves it",
            _ => "declared and proved",
        };
        assert_eq!(
            (report.state(scope.as_str()), report.summary(scope.as_str())),
            (Healthy, summary)
        );
    }
    assert_eq!(harness.requests(), 11);
    let log = harness.sandbox.request_log();
    let counts = [Endpoint::Artifacts, Endpoint::JobLog, Endpoint::JobEnv].map(|endpoint| log.count(endpoint));
    assert_eq!(counts, [1, 1, 0]);
    harness.check().await;
    harness.platform().validate().await.unwrap();
    assert_eq!(harness.requests(), 11);
}

#[tokio::test]
async fn what_only_a_build_can_prove_is_declared_and_not_exercised_without_one() {
    let harness = on(without_builds().await, admin, &[], requiring(&NINE)).await;
    let report = harness.fresh().await;
    for id in ["read_artifacts", "read_build_logs"] {
        assert_eq!(
            (report.state(id), report.summary(id)),
            (
                Healthy,
                "declared, not exercised: no build with a job that has run is known"
            )
        );
    }
    assert_eq!(harness.requests(), 9);
}

#[tokio::test]
async fn a_scope_that_another_integration_lacks_is_unhealthy_and_no_matter_for_a_sync() {
    let required = [Scope::ReadAgents, Scope::WriteBuilds];
    let harness = harness(admin, &["read_agents", "write_builds"], requiring(&required)).await;
    let report = harness.fresh().await;
    assert_states(&report, &["read_agents", "write_builds"], Unhealthy);
    assert_eq!(report.summary("read_agents"), "the token lacks the scope `read_agents`");
    let remedy = &report.of("read_agents").remedy;
    let link = "&scopes[]=read_user&scopes[]=read_organizations&scopes[]=read_teams&scopes[]=write_teams\
                &scopes[]=write_builds&scopes[]=read_agents";
    assert!(remedy.ends_with(link), "{remedy}");
    assert_eq!((report.0.overall(), harness.requests()), (Unhealthy, 6));
    harness.platform().validate().await.unwrap();
    until_status(&harness, &service("ConnectorService"), Serving).await;
    until_status(&harness, "scope.read_agents", NotServing).await;
}

#[tokio::test]
async fn each_included_type_costs_one_request_and_its_scope_is_required() {
    let all = covering(&IncludedType::ALL, &[]);
    let ids = [
        "read_pipelines",
        "read_suites",
        "read_registries",
        "read_clusters",
        "read_organization_invitations",
    ];
    let complete = harness(admin, &[], all.clone()).await;
    let report = complete.fresh().await;
    assert_states(&report, &ids, Healthy);
    assert_eq!((report.0.overall(), complete.requests()), (Healthy, 11));
    complete.platform().validate().await.unwrap();

    for id in ids {
        let incomplete = harness(admin, &[id], all.clone()).await;
        let report = incomplete.fresh().await;
        assert_states(&report, &[id], Unhealthy);
        assert_eq!(incomplete.requests(), 10);
        let refused = incomplete.platform().validate().await.unwrap_err();
        assert_eq!(
            reason(&refused),
            (Code::PermissionDenied, "MISSING_SCOPE".to_owned()),
            "{id}"
        );
    }
}

#[rstest]
#[case(PartialVisibility::Refuse, Unhealthy)]
#[case(PartialVisibility::Allow, Degraded)]
#[tokio::test]
async fn lists_that_are_shorter_for_this_owner_follow_partial_visibility(
    #[case] partial_visibility: PartialVisibility,
    #[case] expected: ScopeState,
) {
    let include = [IncludedType::Pipeline, IncludedType::Suite, IncludedType::Registry];
    let mut setup = covering(&include, &[]);
    setup.access.partial_visibility = partial_visibility;
    let harness = harness(non_admin, &[], setup).await;
    let report = harness.fresh().await;
    assert_states(
        &report,
        &["team_listing", "read_pipelines", "read_suites", "read_registries"],
        expected,
    );
}

#[tokio::test]
async fn what_only_an_organization_admin_can_do_is_unhealthy_with_another_owner() {
    let include = [
        IncludedType::Organization,
        IncludedType::Pipeline,
        IncludedType::Cluster,
        IncludedType::Invitation,
    ];
    let mut setup = covering(&include, &Change::ALL);
    setup.access.partial_visibility = PartialVisibility::Allow;
    let changes = [
        "team_management",
        "write_organizations",
        "write_organization_invitations",
    ];
    let harness_of_member = harness(non_admin, &[], setup.clone()).await;
    let report = harness_of_member.fresh().await;
    assert_states(&report, &changes, Unhealthy);
    assert_states(&report, &["read_organization_invitations"], Unhealthy);
    assert_states(&report, &["write_teams", "write_clusters"], Degraded);
    assert_states(&report, &["read_clusters", "write_builds"], Healthy);

    let report = harness(admin, &[], setup).await.fresh().await;
    assert_states(&report, &changes, Healthy);
    assert_eq!(report.0.overall(), Healthy);
}

#[tokio::test]
async fn a_record_that_cannot_be_written_stops_every_allowed_change() {
    let mut setup = covering(&[IncludedType::Cluster], &[Change::Access, Change::Teams]);
    setup.access.audit_file = Some("/dev/full".into());
    let harness = harness(admin, &[], setup).await;
    let report = harness.fresh().await;
    assert_states(&report, &["team_management", "write_clusters"], Unhealthy);
    assert_states(&report, &["read_clusters"], Healthy);
    harness.platform().validate().await.unwrap();
}

#[rstest]
#[case(&[], NotServing)]
#[case(&[Change::Teams], NotServing)]
#[case(&[Change::Membership], Serving)]
#[tokio::test]
async fn the_service_of_grants_serves_only_what_is_allowed(
    #[case] allowed: &[Change],
    #[case] expected: ServingStatus,
) {
    let harness = harness(admin, &[], covering(&[], allowed)).await;
    harness.fresh().await;
    until_status(&harness, &service("GrantManagerService"), expected).await;
}
