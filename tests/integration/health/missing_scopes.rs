//! A scope that is missing is named, alone and in pairs, with the link that ticks all that are needed.

use buildkite_connector::governance::AllowedChanges;
use buildkite_connector::sandbox::TEAM_SCOPES;
use rstest::rstest;

use super::harness::{CHECKS, Degraded, HealthHarness, Healthy, NotRequired, Unhealthy, admin, non_admin, setup};
use crate::support::reason;
use tonic::Code;

/// The checks that fail without a scope.
fn without(scope: &str) -> &'static [&'static str] {
    match scope {
        "read_user" => &["user_identity"],
        "read_organizations" => &["organization_access", "organization_member_listing"],
        "read_teams" => &["team_listing"],
        "write_teams" => &["team_membership_management"],
        _ => unreachable!(),
    }
}

#[rstest]
#[case(&[])]
#[case(&["read_user"])]
#[case(&["read_organizations"])]
#[case(&["read_teams"])]
#[case(&["write_teams"])]
#[case(&["read_user", "read_organizations"])]
#[case(&["read_user", "read_teams"])]
#[case(&["read_user", "write_teams"])]
#[case(&["read_organizations", "read_teams"])]
#[case(&["read_organizations", "write_teams"])]
#[case(&["read_teams", "write_teams"])]
#[case(&["read_user", "read_organizations", "read_teams", "write_teams"])]
#[tokio::test]
async fn each_missing_scope_is_named_by_its_checks_alone(#[case] missing: &[&str]) {
    let granted: Vec<&str> = TEAM_SCOPES
        .into_iter()
        .filter(|scope| !missing.contains(scope))
        .collect();
    let harness = HealthHarness::with_token(|sandbox| admin(sandbox).with_scopes(&granted)).await;
    let report = harness.fresh().await;
    report.assert_well_formed();
    assert!(harness.requests() <= 6, "{} requests", harness.requests());
    for id in CHECKS {
        let scope = missing.iter().find(|scope| without(scope).contains(&id));
        let Some(scope) = scope else {
            assert_eq!(report.state(id), Healthy, "{:?}", report.of(id));
            continue;
        };
        let check = report.of(id);
        assert_eq!(check.state(), Unhealthy, "{check:?}");
        assert_eq!(
            (check.scope.as_str(), check.summary.as_str()),
            (*scope, format!("the token lacks the scope `{scope}`").as_str())
        );
        for missing in missing {
            assert!(check.remedy.contains(&format!("`{missing}`")), "{check:?}");
        }
        for needed in TEAM_SCOPES {
            assert!(check.remedy.contains(&format!("&scopes[]={needed}")), "{check:?}");
        }
    }
    let first = CHECKS.iter().find(|id| report.state(id) == Unhealthy);
    let validated = harness.platform().validate().await;
    match first {
        None => assert!(validated.is_ok()),
        Some(_) => assert_eq!(
            reason(&validated.unwrap_err()),
            (Code::PermissionDenied, "MISSING_SCOPE".to_owned())
        ),
    }
}

#[tokio::test]
async fn while_writes_are_off_their_scope_is_not_required() {
    let mut setup = setup();
    setup.access.allowed = AllowedChanges::none();
    let scopes = ["read_user", "read_organizations", "read_teams"];
    let harness = HealthHarness::with(|sandbox| sandbox.mint(admin(sandbox).with_scopes(&scopes)), setup).await;
    let report = harness.fresh().await;
    report.assert_well_formed();
    assert_eq!(report.state("team_membership_management"), NotRequired);
    assert_eq!(report.0.overall(), Healthy);
    harness.platform().validate().await.unwrap();
}

#[tokio::test]
async fn an_owner_who_is_not_an_admin_fails_the_team_listing_until_a_partial_view_is_allowed() {
    let harness = HealthHarness::with_token(non_admin).await;
    let report = harness.fresh().await;
    report.assert_well_formed();
    assert_eq!(report.state("team_listing"), Unhealthy);
    assert_eq!(report.state("team_membership_management"), Degraded);
    let refused = harness.platform().validate().await.unwrap_err();
    assert_eq!(
        reason(&refused),
        (Code::FailedPrecondition, "PARTIAL_VISIBILITY".to_owned())
    );

    let mut setup = setup();
    setup.access.partial_visibility = buildkite_connector::governance::PartialVisibility::Allow;
    let harness = HealthHarness::with(|sandbox| sandbox.mint(non_admin(sandbox)), setup).await;
    let report = harness.fresh().await;
    report.assert_well_formed();
    assert_eq!((report.state("team_listing"), report.0.overall()), (Degraded, Degraded));
    harness.platform().validate().await.unwrap();
}
