//! Pipelines, and the access of teams to them.

use buildkite_connector::sandbox::{CreatedLevel, Echo, PipelineLevel, SECRET_MARKER, TokenSpec, WriteLag};
use http::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::probe::Probe;

#[tokio::test]
async fn a_pipeline_holds_secrets_wherever_buildkite_may() {
    let probe = Probe::full().await;
    let row = probe.get(&probe.path("pipelines/deploy")).await.json();
    assert_eq!(row["id"], json!(probe.pipeline("deploy")));
    for secret in [
        &row["env"]["DEPLOY_TOKEN"],
        &row["repository"],
        &row["configuration"],
        &row["steps"][0]["command"],
        &row["provider"]["webhook_url"],
    ] {
        assert!(secret.as_str().unwrap().contains(SECRET_MARKER), "{secret}");
    }
    assert!(row["repository"].as_str().unwrap().starts_with("https://ci:"));
    for field in [
        "graphql_id",
        "url",
        "web_url",
        "name",
        "default_branch",
        "visibility",
        "created_at",
    ] {
        assert!(row[field].is_string(), "{field}");
    }
    assert_eq!(row["archived_at"], Value::Null);
    let listed = probe.get(&probe.path("pipelines")).await.rows();
    assert_eq!((listed.len(), &listed[0]), (5, &row));
    assert!(listed[3]["archived_at"].is_string());
}

#[tokio::test]
async fn the_webhook_is_shown_only_to_who_can_edit_and_has_the_scope() {
    let probe = Probe::full().await;
    let path = probe.path("pipelines/deploy");
    let owner = TokenSpec::owned_by(probe.sandbox.owner());
    let reader = probe.sandbox.mint(owner.with_scopes(&["read_pipelines"]));
    assert_eq!(probe.get_as(&reader, &path).await.json()["provider"]["webhook_url"], "");
    // Priya reads the pipeline through `everyone`; Amara's team manages it.
    let priya = Probe::full().await.acting_as("priya");
    assert_eq!(priya.get(&path).await.json()["provider"]["webhook_url"], "");
    let amara = Probe::full().await.acting_as("amara");
    assert_ne!(amara.get(&path).await.json()["provider"]["webhook_url"], "");
}

#[tokio::test]
async fn pipelines_are_filtered_by_name_and_repository_without_case() {
    let probe = Probe::full().await;
    for (query, slugs) in [
        ("name=MOBILE", vec!["mobile-app"]),
        ("name=e&repository=git@", vec!["mobile-app"]),
        ("repository=/SOURCE/docs", vec!["docs-site"]),
        ("name=none", vec![]),
    ] {
        let reply = probe.get(&probe.path(&format!("pipelines?{query}"))).await;
        assert_eq!(reply.column("slug"), slugs, "{query}");
    }
}

#[tokio::test]
async fn a_member_sees_only_the_pipelines_of_their_teams_and_no_sign_of_the_others() {
    let probe = Probe::full().await.acting_as("sam.lee");
    let list = probe.get(&probe.path("pipelines")).await;
    assert_eq!(list.column("slug"), ["deploy", "mobile-app", "docs-site"]);
    for (slug, status) in [
        ("deploy", 200),
        ("break-glass", 404),
        ("timetable-solver", 404),
        ("none", 404),
    ] {
        let reply = probe.get(&probe.path(&format!("pipelines/{slug}"))).await;
        assert_eq!(reply.status, status, "{slug}");
    }
    let rows = probe
        .get(&probe.path(&format!("teams/{}/pipelines", probe.team("timetables").id)))
        .await;
    assert!(rows.rows().is_empty());
}

#[tokio::test]
async fn a_teams_pipelines_have_four_fields() {
    let probe = Probe::full().await;
    let list = probe
        .get(&probe.path(&format!("teams/{}/pipelines", probe.team("platform").id)))
        .await
        .rows();
    let one = probe.get(&probe.team_pipeline("platform", "deploy")).await.json();
    assert_eq!(list, std::slice::from_ref(&one));
    assert_eq!(one["pipeline_id"], json!(probe.pipeline("deploy")));
    assert_eq!(one["access_level"], "manage_build_and_read");
    assert!(one["pipeline_url"].as_str().unwrap().ends_with("/pipelines/deploy"));
    assert!(one["created_at"].is_string());
    assert_eq!(one.as_object().unwrap().len(), 4);
}

#[tokio::test]
async fn access_is_given_changed_and_taken_away() {
    let probe = Probe::full().await;
    let list = probe.path(&format!("teams/{}/pipelines", probe.team("mobile").id));
    let body = json!({ "pipeline_id": probe.pipeline("deploy"), "access_level": "read_only" });
    let given = probe.write(Method::POST, &list, body.clone()).await;
    assert_eq!(
        (given.status, &given.json()["access_level"]),
        (StatusCode::CREATED, &json!("read_only"))
    );
    let again = probe.write(Method::POST, &list, body).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(again.message().contains("already been added"));
    let path = probe.team_pipeline("mobile", "deploy");
    let level = || probe.team("mobile").pipeline_level(probe.pipeline("deploy"));
    let changed = probe
        .write(Method::PATCH, &path, json!({ "access_level": "build_and_read" }))
        .await;
    assert_eq!(
        (changed.status, level()),
        (StatusCode::OK, Some(PipelineLevel::BuildAndRead))
    );
    let removed = probe.delete(&path).await;
    assert_eq!((removed.status, level()), (StatusCode::NO_CONTENT, None));
    assert_eq!(probe.get(&path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(probe.delete(&path).await.status, StatusCode::NOT_FOUND);
    let absent = probe
        .write(Method::PATCH, &path, json!({ "access_level": "read_only" }))
        .await;
    assert_eq!(absent.status, StatusCode::NOT_FOUND);
}

#[rstest]
#[case(json!({ "access_level": "read_only" }), 422)]
#[case(json!({ "pipeline_id": "PIPELINE", "access_level": "read" }), 422)]
#[case(json!({ "pipeline_id": "PIPELINE" }), 422)]
#[case(json!({ "pipeline_id": Uuid::new_v4(), "access_level": "read_only" }), 404)]
#[tokio::test]
async fn access_that_cannot_be_given_is_refused(#[case] mut body: Value, #[case] status: u16) {
    let probe = Probe::full().await;
    if body["pipeline_id"] == "PIPELINE" {
        body["pipeline_id"] = json!(probe.pipeline("deploy"));
    }
    let list = probe.path(&format!("teams/{}/pipelines", probe.team("mobile").id));
    assert_eq!(probe.write(Method::POST, &list, body).await.status, status);
}

#[rstest]
#[case("amara", 200)]
#[case("priya", 403)]
#[case("viktor", 404)]
#[tokio::test]
async fn only_who_has_full_access_changes_it(#[case] name: &str, #[case] status: u16) {
    let probe = Probe::full().await.acting_as(name);
    let path = probe.team_pipeline("everyone", "deploy");
    let reply = probe
        .write(Method::PATCH, &path, json!({ "access_level": "build_and_read" }))
        .await;
    assert_eq!(reply.status, status);
}

#[tokio::test]
async fn a_caller_who_lowers_their_own_full_access_cannot_raise_it_again() {
    let probe = Probe::full().await.acting_as("amara");
    let path = probe.team_pipeline("platform", "deploy");
    let lowered = probe
        .write(Method::PATCH, &path, json!({ "access_level": "read_only" }))
        .await;
    assert_eq!(lowered.status, StatusCode::OK);
    let raised = probe
        .write(Method::PATCH, &path, json!({ "access_level": "manage_build_and_read" }))
        .await;
    assert_eq!(raised.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_new_access_may_echo_the_level_of_the_documentations_example() {
    let probe = Probe::full().await;
    probe
        .sandbox
        .change_behaviors(|behaviors| behaviors.created_level = CreatedLevel::Read);
    let list = probe.path(&format!("teams/{}/pipelines", probe.team("mobile").id));
    let body = json!({ "pipeline_id": probe.pipeline("deploy"), "access_level": "build_and_read" });
    let given = probe.write(Method::POST, &list, body).await;
    assert_eq!(given.json()["access_level"], "read");
    let read = probe.get(&probe.team_pipeline("mobile", "deploy")).await;
    assert_eq!(read.json()["access_level"], "build_and_read");
}

#[rstest]
#[case(Echo::Full, Some("build_and_read"))]
#[case(Echo::Lagging, Some("manage_build_and_read"))]
#[case(Echo::WithoutRole, None)]
#[tokio::test]
async fn the_echo_of_a_change_is_a_behavior(#[case] echo: Echo, #[case] level: Option<&str>) {
    let probe = Probe::full().await;
    probe.sandbox.change_behaviors(|behaviors| behaviors.echo = echo);
    let path = probe.team_pipeline("platform", "deploy");
    let changed = probe
        .write(Method::PATCH, &path, json!({ "access_level": "build_and_read" }))
        .await;
    assert_eq!(changed.json().get("access_level").and_then(Value::as_str), level);
}

#[tokio::test]
async fn a_change_of_access_may_show_late() {
    let probe = Probe::full().await;
    probe
        .sandbox
        .change_behaviors(|behaviors| behaviors.write_lag = WriteLag::Reads(2));
    let path = probe.team_pipeline("platform", "deploy");
    let list = probe.path(&format!("teams/{}/pipelines", probe.team("platform").id));
    assert_eq!(probe.delete(&path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(probe.get(&list).await.rows().len(), 1);
    assert_eq!(probe.get(&path).await.status, StatusCode::OK);
    assert!(probe.get(&list).await.rows().is_empty());
}
