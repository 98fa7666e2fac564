//! Each endpoint answers with the fields of the reference, and with its error shapes.

use buildkite_connector::sandbox::TokenSpec;
use http::{Method, StatusCode};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::probe::Probe;

fn fields(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn the_root_needs_no_token_and_returns_the_time() {
    let probe = Probe::example().await;
    let reply = probe.send(Method::GET, "/", "", None).await.unwrap();
    assert_eq!(reply.status, StatusCode::OK);
    assert!(reply.json()["message"].is_string());
    assert!(reply.json()["timestamp"].as_i64().unwrap() > 1_700_000_000);
}

#[tokio::test]
async fn meta_needs_no_token_and_mixes_ranges_with_addresses() {
    let probe = Probe::example().await;
    let reply = probe.send(Method::GET, "/v2/meta", "", None).await.unwrap();
    assert_eq!(reply.status, StatusCode::OK);
    assert!(reply.json()["webhook_ips"].as_array().unwrap().len() > 1);
}

#[tokio::test]
async fn the_access_token_endpoint_returns_scopes_and_an_owner_without_an_id() {
    let probe = Probe::example().await;
    let token = probe.get("/v2/access-token").await.json();
    assert_eq!(
        token["scopes"],
        json!(["read_user", "read_organizations", "read_teams", "write_teams"])
    );
    assert_eq!(fields(&token["user"]), ["email", "name"]);
    assert_eq!(token["expires_at"], Value::Null);
    assert!(token["created_at"].as_str().unwrap().ends_with(" UTC"));
    for field in ["uuid", "description"] {
        assert!(token[field].is_string(), "{field}");
    }
}

#[tokio::test]
async fn a_token_that_revokes_itself_is_worthless_afterwards_and_others_are_not() {
    let probe = Probe::example().await;
    let token = probe
        .sandbox
        .mint(TokenSpec::owned_by(probe.sandbox.owner()).with_scopes(&[]));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.delete(format!("{}/v2/access-token", probe.sandbox.url()));
    let reply = request.bearer_auth(token.expose_secret()).send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::NO_CONTENT);
    let reply = probe.get_as(&token, "/v2/access-token").await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    assert_eq!(probe.get("/v2/access-token").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_user_is_the_owner_of_the_token() {
    let probe = Probe::example().await;
    let user = probe.get("/v2/user").await.json();
    assert_eq!(user["id"], json!(probe.sandbox.owner()));
    for field in ["graphql_id", "name", "email", "avatar_url", "created_at"] {
        assert!(user[field].is_string(), "{field}");
    }
}

#[tokio::test]
async fn organizations_are_those_that_the_token_reaches() {
    let probe = Probe::example().await;
    assert_eq!(probe.get("/v2/organizations").await.column("slug"), ["northwind-rail"]);
    let one = probe.get("/v2/organizations/northwind-rail").await.json();
    for field in [
        "id",
        "graphql_id",
        "url",
        "web_url",
        "name",
        "pipelines_url",
        "agents_url",
        "emojis_url",
        "created_at",
    ] {
        assert!(one[field].is_string(), "{field}");
    }
}

#[tokio::test]
async fn a_slug_in_the_wrong_case_names_no_organization() {
    let probe = Probe::example().await;
    let reply = probe.get("/v2/organizations/Northwind-Rail/teams").await;
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
    assert_eq!(reply.message(), "No organization found");
}

#[tokio::test]
async fn a_team_shows_the_fields_of_the_reference() {
    let probe = Probe::example().await;
    let truth = probe.team("timetables");
    let team = probe.get(&probe.path(&format!("teams/{}", truth.id))).await.json();
    assert_eq!(team["id"], json!(truth.id));
    assert_eq!(team["name"], "Timetables 🚆");
    assert_eq!(team["slug"], "timetables");
    assert_eq!(team["privacy"], "visible");
    assert_eq!(team["default"], false);
    assert_eq!(team["default_member_role"], "member");
    assert_eq!(team["created_by"]["id"], json!(probe.sandbox.owner()));
    assert_eq!(team["created_at"], json!("2023-01-17T00:00:00.000Z"));
    assert!(team["members_can_create_pipelines"].is_boolean());
}

#[tokio::test]
async fn a_team_is_addressed_by_uuid_only() {
    let probe = Probe::example().await;
    for name in [
        "platform",
        "../../access-token",
        &probe.team("platform").id.simple().to_string(),
    ] {
        let path = probe.path(&format!("teams/{}", name.replace('/', "%2F")));
        assert_eq!(probe.get(&path).await.status, StatusCode::NOT_FOUND, "{name}");
    }
}

#[tokio::test]
async fn teams_of_a_user_are_those_they_are_in() {
    let probe = Probe::example().await;
    let leilani = probe
        .get(&probe.path(&format!("teams?user_id={}", probe.person("leilani"))))
        .await;
    assert_eq!(leilani.column("slug"), ["everyone", "platform", "incident-response"]);
    let viktor = probe
        .get(&probe.path(&format!("teams?user_id={}", probe.person("viktor"))))
        .await;
    assert!(viktor.rows().is_empty());
}

#[tokio::test]
async fn a_team_member_has_four_fields_and_no_email() {
    let probe = Probe::example().await;
    let amara = probe.person("amara");
    let row = probe.get(&probe.member("platform", amara)).await.json();
    assert_eq!(fields(&row), ["created_at", "role", "user_id", "user_name"]);
    assert_eq!((&row["user_id"], &row["role"]), (&json!(amara), &json!("maintainer")));
    assert!(probe.get(&probe.members("platform")).await.rows().contains(&row));
}

#[tokio::test]
async fn a_user_outside_the_team_is_not_found_in_it() {
    let probe = Probe::example().await;
    let reply = probe.get(&probe.member("platform", probe.person("viktor"))).await;
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
    let reply = probe
        .get(&probe.path(&format!("teams/{}/members", Uuid::new_v4())))
        .await;
    assert_eq!(
        (reply.status, reply.message().as_str()),
        (StatusCode::NOT_FOUND, "No team found")
    );
}

#[tokio::test]
async fn organization_members_show_role_and_sso_mode_to_an_admin() {
    let probe = Probe::example().await;
    let rows = probe.get(&probe.path("members")).await.rows();
    assert_eq!(rows.len(), 14);
    assert_eq!(fields(&rows[0]), ["email", "id", "name", "role", "sso_mode"]);
    assert_eq!(
        (&rows[0]["role"], &rows[13]["sso_mode"]),
        (&json!("admin"), &json!("optional"))
    );
    let one = probe
        .get(&probe.path(&format!("members/{}", probe.person("leilani"))))
        .await
        .json();
    assert_eq!(one["name"], "Leilani Kealoha");
}

#[tokio::test]
async fn an_outsider_is_not_an_organization_member() {
    let probe = Probe::example().await;
    assert_eq!(
        probe
            .get(&probe.path(&format!("members/{}", Uuid::new_v4())))
            .await
            .status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_path_that_the_sandbox_does_not_serve_is_not_found() {
    let probe = Probe::example().await;
    for path in ["/v3", "/v2/organizations/northwind-rail/rules"] {
        let reply = probe.get(path).await;
        assert_eq!(
            (reply.status, reply.message().as_str()),
            (StatusCode::NOT_FOUND, "Not Found")
        );
    }
}

#[tokio::test]
async fn a_slash_at_the_end_changes_nothing() {
    let probe = Probe::example().await;
    assert_eq!(probe.get(&probe.path("teams/")).await.rows().len(), 7);
}
