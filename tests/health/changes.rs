//! What keeps changes from being made although the token may make them: names that protect nothing, and a record that cannot be
//! written. Reads are unaffected, and so is `Validate`.

use std::path::Path;
use std::time::Duration;

use buildkite_connector::governance::provisioning::Protected;
use buildkite_connector::sandbox::{Endpoint, MemberRows};
use rstest::rstest;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus::{self, NotServing, Serving};

use crate::bench::{Bench, Degraded, Healthy, NotRequired, ScopeState, Unhealthy, setup};
use crate::grpc_health::{service, status};
use crate::support::{Setup, sandbox, sized};

const MANAGEMENT: &str = "team_membership_management";

fn protecting(teams: &[&str], users: &[&str]) -> Setup {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let mut setup = setup();
    setup.access.protected = Protected {
        teams: owned(teams),
        users: owned(users),
    };
    setup
}

async fn bench(setup: Setup) -> Bench {
    Bench::with(|sandbox| sandbox.token().clone(), setup).await
}

async fn serves(bench: &Bench, name: &str) -> ServingStatus {
    status(bench, &service(name)).await.unwrap()
}

/// Lists of teams and people that were read so far.
fn lists(bench: &Bench) -> u64 {
    let request_log = bench.sandbox.request_log();
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
    let bench = bench(setup).await;
    let told = bench.fresh().await;
    told.assert_well_told();
    let check = told.of(MANAGEMENT);
    assert_eq!(check.state(), Unhealthy);
    assert!(check.summary.contains(named), "{check:?}");
    assert!(
        check.remedy.contains("--protect-team") && check.remedy.contains("--protect-user"),
        "{check:?}"
    );
    assert_eq!(told.0.overall(), Unhealthy);
    assert!(
        told.0
            .checks
            .iter()
            .all(|check| check.id == MANAGEMENT || check.state() == Healthy)
    );

    bench.platform().validate().await.unwrap();
    bench.platform().resources("team").await.unwrap();
    assert_eq!(serves(&bench, "GrantManagerService").await, NotServing);
    for reads in ["ConnectorService", "ResourcesService", "GrantsService"] {
        assert_eq!(serves(&bench, reads).await, Serving, "{reads}");
    }
}

#[tokio::test]
async fn names_that_lead_somewhere_cost_each_list_once_while_it_is_kept() {
    let world = sandbox(sized(3, 2, 9)).await;
    let token = world.token().clone();
    let bench = Bench::on(world, &token, protecting(&["team-0"], &["person-1@sized.example"])).await;
    assert_eq!(bench.fresh().await.state(MANAGEMENT), Healthy);
    // A look at either list, and what the names lead to.
    assert_eq!((lists(&bench), bench.requests()), (4, 8));
    let (team, user) = bench.sandbox.with_organization(|organization| {
        let (teams, people) = (organization.teams(), organization.people());
        (teams[1].id.to_string(), people[8].id.to_string())
    });
    bench.platform().grant(&team, "maintainer", &user).await.unwrap();
    assert_eq!(lists(&bench), 4);
    // Fresh looks ask for one window of either list again, and not for what the names lead to.
    assert_eq!(bench.fresh().await.state(MANAGEMENT), Healthy);
    assert_eq!(lists(&bench), 6);
}

#[tokio::test]
async fn names_are_not_looked_up_while_changes_are_off() {
    let mut setup = protecting(&["typo"], &[]);
    setup.access.provisioning = false;
    let bench = bench(setup).await;
    assert_eq!(bench.fresh().await.state(MANAGEMENT), NotRequired);
    assert_eq!(bench.requests(), 6);
}

#[tokio::test]
async fn a_name_that_led_somewhere_and_does_not_any_more_is_degraded_and_protects_all_the_same() {
    let world = sandbox(sized(2, 0, 9)).await;
    let token = world.token().clone();
    let mut setup = protecting(&["team-0"], &["person-8@sized.example"]);
    setup.access.directory_max_age = Duration::from_nanos(1);
    let bench = Bench::on(world, &token, setup).await;
    assert_eq!(bench.fresh().await.state(MANAGEMENT), Healthy);
    let team = bench
        .sandbox
        .with_organization(|organization| organization.teams()[0].id);
    let user = bench
        .sandbox
        .with_organization(|organization| organization.people()[1].id.to_string());
    bench
        .sandbox
        .edit(|organization| "renamed".clone_into(&mut organization.team_mut(team).unwrap().slug));
    until_state(&bench, Degraded, "`team-0`").await;
    bench.platform().validate().await.unwrap();
    let refused = bench
        .platform()
        .grant(&team.to_string(), "member", &user)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);

    bench
        .sandbox
        .edit(|organization| "team-0".clone_into(&mut organization.team_mut(team).unwrap().slug));
    until_state(&bench, Healthy, "").await;
    bench.sandbox.edit(|organization| {
        let user = organization.people()[8].id;
        organization.remove_person(user, MemberRows::Dropped)
    });
    until_state(&bench, Degraded, "person-8@sized.example").await;
}

async fn until_state(bench: &Bench, state: ScopeState, naming: &str) {
    loop {
        let told = bench.fresh().await;
        if told.state(MANAGEMENT) == state {
            assert!(told.summary(MANAGEMENT).contains(naming), "{told:?}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_written_is_unhealthy_and_heals_by_a_look() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("records/audit.jsonl");
    let bench = bench(recording(&path)).await;
    let told = bench.fresh().await;
    told.assert_well_told();
    assert_eq!((told.state(MANAGEMENT), told.0.overall()), (Unhealthy, Unhealthy));
    bench.platform().validate().await.unwrap();
    assert_eq!(serves(&bench, "GrantManagerService").await, NotServing);
    assert_eq!(serves(&bench, "ConnectorService").await, Serving);

    std::fs::create_dir(path.parent().unwrap()).unwrap();
    until_state(&bench, Healthy, "").await;
}

#[tokio::test]
async fn a_pipe_as_audit_file_is_refused_and_points_to_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let bench = bench(recording(&path)).await;
    let told = bench.fresh().await;
    assert_eq!(told.state(MANAGEMENT), Unhealthy);
    let summary = told.summary(MANAGEMENT);
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
