//! Test suites, the access of teams to them, and package registries.

use std::collections::HashSet;

use buildkite_connector::sandbox::{FeatureAccess, SuiteLevel, SuiteLevels, SuitePostPath};
use http::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};

use crate::probe::Probe;

#[tokio::test]
async fn suites_and_registries_are_listed_and_read_by_slug() {
    let probe = Probe::full().await;
    let suites = probe.get(&probe.suites()).await;
    assert_eq!(suites.column("slug"), ["solver-tests", "mobile-ui", "drills"]);
    let one = probe.get(&format!("{}/mobile-ui", probe.suites())).await.json();
    assert_eq!(
        (&suites.rows()[1], &one["id"]),
        (&one, &json!(probe.suite("mobile-ui")))
    );
    let by_id = format!("{}/{}", probe.suites(), probe.suite("mobile-ui"));
    assert_eq!(probe.get(&by_id).await.status, StatusCode::NOT_FOUND);

    let registries = probe.get(&probe.registries()).await;
    assert_eq!(
        registries.column("slug"),
        ["containers", "solver-packages", "incident-tools"]
    );
    let one = probe.get(&format!("{}/containers", probe.registries())).await.json();
    assert_eq!(registries.rows()[0], one);
    assert_eq!(
        one["team_ids"],
        json!([probe.team("platform").id, probe.team("mobile").id])
    );
    assert_eq!((&one["ecosystem"], &one["public"]), (&json!("docker"), &json!(false)));
    assert!(!probe.get(&probe.registries()).await.text.contains("access_level"));
}

#[tokio::test]
async fn a_member_sees_only_those_of_their_teams() {
    let probe = Probe::full().await.acting_as("nour");
    assert_eq!(probe.get(&probe.suites()).await.column("slug"), ["solver-tests"]);
    assert_eq!(probe.get(&probe.registries()).await.column("slug"), ["solver-packages"]);
    for hidden in [
        format!("{}/drills", probe.suites()),
        format!("{}/incident-tools", probe.registries()),
    ] {
        assert_eq!(probe.get(&hidden).await.status, StatusCode::NOT_FOUND, "{hidden}");
    }
}

#[rstest]
#[case(FeatureAccess::Forbidden, 403)]
#[case(FeatureAccess::NotFound, 404)]
#[tokio::test]
async fn a_feature_may_be_missing(#[case] access: FeatureAccess, #[case] status: u16) {
    let probe = Probe::full().await;
    probe.sandbox.change_behaviors(|behaviors| {
        behaviors.test_engine = access;
        behaviors.package_registries = access;
        behaviors.audit_log = access;
    });
    for path in [probe.suites(), probe.registries(), probe.path("audit_events")] {
        assert_eq!(probe.get(&path).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn a_suites_level_is_an_array_in_no_stable_order() {
    let probe = Probe::full().await;
    let path = probe.team_suite("timetables", "solver-tests");
    let mut orders = HashSet::new();
    for _ in 0..2 {
        orders.insert(probe.get(&path).await.json()["access_level"].to_string());
    }
    let expected = ["[\"edit\",\"read\"]", "[\"read\",\"edit\"]"].map(str::to_owned);
    assert_eq!(orders, HashSet::from(expected));
    let row = probe.get(&probe.team_suite("data", "solver-tests")).await.json();
    assert_eq!(row["access_level"], json!(["read"]));
    assert_eq!(row["suite_id"], json!(probe.suite("solver-tests")));
    assert!(row["suite_url"].as_str().unwrap().contains("/v2/analytics/"));
}

#[tokio::test]
async fn a_suites_level_may_be_a_scalar() {
    let probe = Probe::full().await;
    probe
        .sandbox
        .change_behaviors(|behaviors| behaviors.suite_levels = SuiteLevels::Scalar);
    let row = probe.get(&probe.team_suite("timetables", "solver-tests")).await.json();
    assert_eq!(row["access_level"], "edit");
}

#[rstest]
#[case(SuitePostPath::Plural, "suites", "suite")]
#[case(SuitePostPath::Singular, "suite", "suites")]
#[tokio::test]
async fn a_suite_is_added_at_one_of_two_paths(
    #[case] behavior: SuitePostPath,
    #[case] right: &str,
    #[case] wrong: &str,
) {
    let probe = Probe::full().await;
    probe
        .sandbox
        .change_behaviors(|behaviors| behaviors.suite_post_path = behavior);
    let team = probe.team("mobile");
    let body = json!({ "suite_id": probe.suite("solver-tests"), "access_level": ["read"] });
    let path = |name: &str| probe.path(&format!("teams/{}/{name}", team.id));
    let reply = probe.write(Method::POST, &path(wrong), body.clone()).await;
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
    let reply = probe.write(Method::POST, &path(right), body).await;
    assert_eq!(
        (reply.status, &reply.json()["access_level"]),
        (StatusCode::CREATED, &json!(["read"]))
    );
    let level = probe.team("mobile").suite_level(probe.suite("solver-tests"));
    assert_eq!(level, Some(SuiteLevel::Read));
}

#[rstest]
#[case(json!(["edit", "read"]), 200)]
#[case(json!("edit"), 422)]
#[case(json!(["write"]), 422)]
#[case(json!([]), 422)]
#[tokio::test]
async fn a_suites_level_is_changed_with_an_array_only(#[case] level: Value, #[case] status: u16) {
    let probe = Probe::full().await;
    let path = probe.team_suite("data", "solver-tests");
    let reply = probe
        .write(Method::PATCH, &path, json!({ "access_level": level }))
        .await;
    assert_eq!(reply.status, status);
    let changed = probe.team("data").suite_level(probe.suite("solver-tests"));
    assert_eq!(changed == Some(SuiteLevel::Edit), status == 200);
    assert_eq!(probe.delete(&path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(probe.get(&path).await.status, StatusCode::NOT_FOUND);
}
