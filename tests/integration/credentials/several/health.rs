//! What health reports of several credentials.

use std::time::Duration;

use buildkite_connector::proto::connector::health::v1::scope_health_service_client::ScopeHealthServiceClient;
use buildkite_connector::proto::connector::health::v1::{
    CheckScopesRequest, CheckScopesResponse, ScopeCheck, ScopeState,
};
use buildkite_connector::providers::buildkite::budget::CredentialUse;
use buildkite_connector::sandbox::{OrganizationRole, TokenSpec};

use super::harness::{ServiceUsers, impatient, spec};
use crate::support::TestServer;

async fn report(connector: &TestServer) -> CheckScopesResponse {
    let mut client = ScopeHealthServiceClient::new(connector.channel().await);
    let request = CheckScopesRequest { fresh: true };
    client.check_scopes(request).await.unwrap().into_inner()
}

fn row<'a>(report: &'a CheckScopesResponse, id: &str) -> (ScopeState, &'a str, &'a ScopeCheck) {
    let row = report.checks.iter().find(|check| check.id == id).unwrap();
    (row.state(), &row.summary, row)
}

#[tokio::test]
async fn each_credential_has_a_row_without_a_scope_and_its_record() {
    let place = ServiceUsers::new(2).await;
    let connector = place.connector(place.one_each()).await;
    let report = report(&connector).await;
    assert_eq!(report.overall(), ScopeState::Healthy);
    let ids: Vec<&str> = report.checks.iter().map(|check| check.id.as_str()).collect();
    assert_eq!(ids[6..], ["credential.0", "credential.1"]);
    for id in &ids[6..] {
        let (state, summary, row) = row(&report, id);
        assert_eq!(
            (state, summary, row.scope.as_str()),
            (ScopeState::Healthy, "the token is accepted and never expires", "")
        );
    }
    let owners: Vec<&str> = report.credentials.iter().map(|of| of.owner_email.as_str()).collect();
    assert_eq!(owners, ["service-0@example.com", "service-1@example.com"]);
}

#[tokio::test]
async fn one_credential_has_no_row() {
    let place = ServiceUsers::new(1).await;
    let connector = place.connector(place.one_each()).await;
    let report = report(&connector).await;
    assert_eq!((report.checks.len(), report.credentials.len()), (6, 1));
}

#[tokio::test]
async fn two_credentials_of_one_user_are_one_bucket() {
    let place = ServiceUsers::new(1).await;
    let specs = ["one", "two"].map(|name| place.credential(name, CredentialUse::Any, 0));
    let connector = place.connector(specs.into()).await;
    let report = report(&connector).await;
    let (state, summary, _) = row(&report, "credential.two");
    assert_eq!(state, ScopeState::Healthy);
    assert!(
        summary.ends_with("it shares one bucket with `one`, because both are of one user"),
        "{summary}"
    );
    assert!(!row(&report, "credential.one").1.contains("shares"));
}

#[tokio::test]
async fn a_rejected_credential_is_degraded_while_another_does_its_work() {
    let place = ServiceUsers::new(2).await;
    let tokens = [place.token(0), place.token(1)];
    let specs = vec![
        spec("first", CredentialUse::Any, &tokens[0]),
        spec("second", CredentialUse::Any, &tokens[1]),
    ];
    let connector = place.connector(specs).await;
    place.sandbox.revoke(&tokens[0]);
    let degraded = report(&connector).await;
    let (state, summary, rejected) = row(&degraded, "credential.first");
    assert_eq!(state, ScopeState::Degraded);
    assert!(
        summary.starts_with("buildkite rejects the token") && summary.ends_with("another credential does its work")
    );
    assert!(
        rejected
            .remedy
            .contains("write it to the file of the credential `first`"),
        "{}",
        rejected.remedy
    );
    assert_eq!(row(&degraded, "authentication").0, ScopeState::Healthy);
    assert_eq!(degraded.overall(), ScopeState::Degraded);
    place.sandbox.revoke(&tokens[1]);
    let unhealthy = report(&connector).await;
    for id in ["authentication", "credential.first", "credential.second"] {
        assert_eq!(row(&unhealthy, id).0, ScopeState::Unhealthy, "{id}");
    }
}

#[tokio::test]
async fn a_rejected_credential_for_syncs_is_no_stand_in_for_changes() {
    let place = ServiceUsers::new(2).await;
    let token = place.token(0);
    let specs = vec![
        spec("any", CredentialUse::Any, &token),
        place.credential("sync", CredentialUse::Sync, 1),
    ];
    place.sandbox.revoke(&token);
    let connector = place.connector(specs).await;
    let report = report(&connector).await;
    assert_eq!(row(&report, "credential.any").0, ScopeState::Unhealthy);
    assert_eq!(row(&report, "credential.sync").0, ScopeState::Healthy);
    assert_eq!(row(&report, "team_listing").0, ScopeState::Healthy);
}

#[tokio::test]
async fn the_row_names_a_missing_scope_and_an_owner_who_is_no_admin() {
    let place = ServiceUsers::new(3).await;
    place
        .sandbox
        .edit(|organization| organization.set_role(place.users[1], OrganizationRole::Member));
    let read_only = TokenSpec::owned_by(place.users[2]).with_scopes(&["read_user", "read_organizations", "read_teams"]);
    let read_only = place.sandbox.mint(read_only);
    let connector = place
        .connector(vec![
            place.credential("admin", CredentialUse::Any, 0),
            place.credential("member", CredentialUse::Sync, 1),
            spec("reads", CredentialUse::Sync, &read_only),
            spec("changes", CredentialUse::Provisioning, &read_only),
        ])
        .await;
    let report = report(&connector).await;
    assert_eq!(row(&report, "credential.admin").0, ScopeState::Healthy);
    assert_eq!(row(&report, "credential.reads").0, ScopeState::Healthy);
    let (state, summary, _) = row(&report, "credential.member");
    assert_eq!(state, ScopeState::Unhealthy);
    assert!(summary.contains("not an organization admin"), "{summary}");
    let (state, summary, _) = row(&report, "credential.changes");
    assert_eq!(state, ScopeState::Unhealthy);
    assert!(
        summary.starts_with("the token lacks the scope `write_teams`"),
        "{summary}"
    );
    // The check is about the credential that makes the lists incomplete, and names it.
    let (state, summary, _) = row(&report, "team_listing");
    assert_eq!(state, ScopeState::Unhealthy);
    assert!(summary.starts_with("credential `member`: "), "{summary}");
    let (state, summary, _) = row(&report, "team_membership_management");
    assert_eq!(state, ScopeState::Unhealthy);
    assert!(summary.starts_with("credential `changes`: "), "{summary}");
}

#[tokio::test]
async fn a_report_of_an_unused_connection_knows_nothing_of_its_credentials() {
    let place = ServiceUsers::new(2).await;
    let governance = place.governance(place.one_each(), impatient());
    let report = governance.health().latest();
    let states: Vec<_> = report
        .checks
        .iter()
        .map(|check| (check.id().into_owned(), check.state.as_str()))
        .collect();
    assert!(states.iter().all(|(_, state)| *state == "UNKNOWN"), "{states:?}");
    assert_eq!(
        governance.health().check(Duration::ZERO, None).await.overall.as_str(),
        "HEALTHY"
    );
}
