//! What keeps changes from being made although the token may make them: names that protect nothing, and a record that cannot be
//! written. Reads are unaffected, and so is `Validate`.

use std::path::Path;
use std::time::Duration;

use buildkite_connector::governance::AllowedChanges;
use buildkite_connector::governance::provisioning::{Protected, ProtectedResource};
use buildkite_connector::providers::buildkite::resources::TEAM;
use buildkite_connector::sandbox::{Endpoint, MemberRows};
use rstest::rstest;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus::{self, NotServing, Serving};

use super::grpc_health::{service, status};
use super::harness::{Degraded, HealthHarness, Healthy, NotRequired, ScopeState, Unhealthy, setup};
use crate::support::{Setup, sandbox, sized, until_async};

const MANAGEMENT: &str = "team_membership_management";

fn protecting(teams: &[&str], users: &[&str]) -> Setup {
    let team = |slug: &&str| ProtectedResource {
        resource_type: &TEAM,
        slug: (*slug).to_owned(),
    };
    let mut setup = setup();
    setup.access.protected = Protected {
        resources: teams.iter().map(team).collect(),
        users: users.iter().map(|&name| name.to_owned()).collect(),
    };
    setup
}

async fn harness(setup: Setup) -> HealthHarness {
    HealthHarness::with(|sandbox| sandbox.token().clone(), setup).await
}

async fn serves(harness: &HealthHarness, name: &str) -> ServingStatus {
    status(harness, &service(name)).await.unwrap()
}

/// Lists of teams and people that were read so far.
fn lists(harness: &HealthHarness) -> u64 {
    let request_log = harness.sandbox.request_log();
    request_log.count(Endpoint::Teams) + request_log.count(Endpoint::OrganizationMembers)
}

#[rstest]
#[case::team(protecting(&["typo"], &[]), "--protect-team names `typo`")]
#[case::person(protecting(&[], &["typo@example.com"]), "--protect-user names typo@example.com")]
#[tokio::test]
async fn a_protected_name_that_leads_to_nothing_is_unhealthy_before_any_grant(
    #[case] setup: Setup,
    #[case] named: &str,
) {
    let harness = harness(setup).await;
    let report = harness.fresh().await;
    report.assert_well_formed();
    let check = report.of(MANAGEMENT);
    assert_eq!(check.state(), Unhealthy);
    assert!(check.summary.contains(named), "{check:?}");
    assert!(
        check.remedy.contains("--protect-team") && check.remedy.contains("--protect-user"),
        "{check:?}"
    );
    assert_eq!(report.0.overall(), Unhealthy);
    assert!(
        report
            .0
            .checks
            .iter()
            .all(|check| check.id == MANAGEMENT || check.state() == Healthy)
    );

    harness.platform().validate().await.unwrap();
    harness.platform().resources("team").await.unwrap();
    assert_eq!(serves(&harness, "GrantManagerService").await, NotServing);
    for reads in ["ConnectorService", "ResourcesService", "GrantsService"] {
        assert_eq!(serves(&harness, reads).await, Serving, "{reads}");
    }
}

#[tokio::test]
async fn resolvable_names_cost_each_list_once_while_it_is_cached() {
    let world = sandbox(sized(3, 2, 9)).await;
    let token = world.token().clone();
    let harness = HealthHarness::on(world, &token, protecting(&["team-0"], &["person-1@sized.example"])).await;
    assert_eq!(harness.fresh().await.state(MANAGEMENT), Healthy);
    // A look at either list, and what the names lead to.
    assert_eq!((lists(&harness), harness.requests()), (4, 8));
    let (team, user) = harness.sandbox.with_organization(|organization| {
        let (teams, people) = (organization.teams(), organization.people());
        (teams[1].id.to_string(), people[8].id.to_string())
    });
    harness.platform().grant(&team, "maintainer", &user).await.unwrap();
    assert_eq!(lists(&harness), 4);
    // Fresh reports request one window of either list again, and do not resolve the names again.
    assert_eq!(harness.fresh().await.state(MANAGEMENT), Healthy);
    assert_eq!(lists(&harness), 6);
}

#[tokio::test]
async fn names_are_not_looked_up_while_changes_are_off() {
    let mut setup = protecting(&["typo"], &[]);
    setup.access.allowed = AllowedChanges::none();
    let harness = harness(setup).await;
    assert_eq!(harness.fresh().await.state(MANAGEMENT), NotRequired);
    assert_eq!(harness.requests(), 6);
}

#[tokio::test]
async fn a_name_that_led_somewhere_and_does_not_any_more_is_degraded_and_protects_all_the_same() {
    let world = sandbox(sized(2, 0, 9)).await;
    let token = world.token().clone();
    let mut setup = protecting(&["team-0"], &["person-8@sized.example"]);
    setup.access.directory_max_age = Duration::from_nanos(1);
    let harness = HealthHarness::on(world, &token, setup).await;
    assert_eq!(harness.fresh().await.state(MANAGEMENT), Healthy);
    let team = harness
        .sandbox
        .with_organization(|organization| organization.teams()[0].id);
    let user = harness
        .sandbox
        .with_organization(|organization| organization.people()[1].id.to_string());
    harness
        .sandbox
        .edit(|organization| "renamed".clone_into(&mut organization.team_mut(team).unwrap().slug));
    until_state(&harness, Degraded, "`team-0`").await;
    harness.platform().validate().await.unwrap();
    let refused = harness
        .platform()
        .grant(&team.to_string(), "member", &user)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);

    harness
        .sandbox
        .edit(|organization| "team-0".clone_into(&mut organization.team_mut(team).unwrap().slug));
    until_state(&harness, Healthy, "").await;
    harness.sandbox.edit(|organization| {
        let user = organization.people()[8].id;
        organization.remove_person(user, MemberRows::Dropped)
    });
    until_state(&harness, Degraded, "person-8@sized.example").await;
}

async fn until_state(harness: &HealthHarness, state: ScopeState, naming: &str) {
    let mut report = harness.fresh().await;
    until_async("the state of the check", async || {
        report = harness.fresh().await;
        report.state(MANAGEMENT) == state
    })
    .await;
    assert!(report.summary(MANAGEMENT).contains(naming), "{report:?}");
}

#[tokio::test]
async fn a_record_that_cannot_be_written_is_unhealthy_and_recovers_with_the_next_check() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("records/audit.jsonl");
    let harness = harness(recording(&path)).await;
    let report = harness.fresh().await;
    report.assert_well_formed();
    assert_eq!((report.state(MANAGEMENT), report.0.overall()), (Unhealthy, Unhealthy));
    harness.platform().validate().await.unwrap();
    assert_eq!(serves(&harness, "GrantManagerService").await, NotServing);
    assert_eq!(serves(&harness, "ConnectorService").await, Serving);

    std::fs::create_dir(path.parent().unwrap()).unwrap();
    until_state(&harness, Healthy, "").await;
}

#[tokio::test]
async fn a_pipe_as_audit_file_is_refused_and_points_to_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let harness = harness(recording(&path)).await;
    let report = harness.fresh().await;
    assert_eq!(report.state(MANAGEMENT), Unhealthy);
    let summary = report.summary(MANAGEMENT);
    assert!(
        summary.contains("a pipe, not a regular file") && summary.contains("target `audit`"),
        "{summary}"
    );
}

fn recording(path: &Path) -> Setup {
    let mut setup = setup();
    setup.access.audit_file = Some(path.to_owned());
    setup
}
