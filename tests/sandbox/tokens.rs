//! What a token is refused, and what its owner is not shown.

use buildkite_connector::sandbox::{ExpiresAt, MemberRows, TEAM_SCOPES, TokenSpec};
use http::{Method, StatusCode};
use jiff::{Span, Timestamp};
use rstest::rstest;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::probe::Probe;

#[rstest]
#[case::none("")]
#[case::unknown("bkua_0000000000000000000000000000000000000000")]
#[tokio::test]
async fn a_request_without_a_valid_token_is_401(#[case] token: &str) {
    let probe = Probe::example().await;
    let paths = [
        "/v2/access-token",
        "/v2/user",
        "/v2/organizations",
        &probe.path("teams"),
        &probe.path("members"),
    ];
    for path in paths {
        let reply = probe.send(Method::GET, path, token, None).await.unwrap();
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{path}");
        assert!(reply.message().starts_with("Authentication required"));
    }
}

#[tokio::test]
async fn expired_and_revoked_tokens_are_401() {
    let probe = Probe::example().await;
    let expired = TokenSpec {
        expires_at: Some(Timestamp::now() - Span::new().seconds(1)),
        ..TokenSpec::owned_by(probe.sandbox.owner())
    };
    let expired = probe.sandbox.mint(expired);
    assert_eq!(
        probe.get_as(&expired, "/v2/user").await.status,
        StatusCode::UNAUTHORIZED
    );
    probe.sandbox.revoke(probe.sandbox.token());
    assert_eq!(probe.get("/v2/user").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_missing_scope_is_403_and_named() {
    let probe = Probe::example().await;
    let needs = [
        (Method::GET, "/v2/user".to_owned(), "read_user"),
        (Method::GET, "/v2/organizations".to_owned(), "read_organizations"),
        (
            Method::GET,
            "/v2/organizations/northwind-rail".to_owned(),
            "read_organizations",
        ),
        (Method::GET, probe.path("members"), "read_organizations"),
        (Method::GET, probe.path("rate_limit"), "read_organizations"),
        (Method::GET, probe.path("teams"), "read_teams"),
        (Method::GET, probe.members("platform"), "read_teams"),
        (Method::POST, probe.members("platform"), "write_teams"),
        (
            Method::PATCH,
            probe.member("platform", probe.person("amara")),
            "write_teams",
        ),
        (
            Method::DELETE,
            probe.member("platform", probe.person("amara")),
            "write_teams",
        ),
    ];
    for (method, path, scope) in needs {
        let others: Vec<&str> = TEAM_SCOPES.into_iter().filter(|held| *held != scope).collect();
        let token = probe
            .sandbox
            .mint(TokenSpec::owned_by(probe.sandbox.owner()).with_scopes(&others));
        let reply = probe.send(method, &path, token.expose_secret(), None).await.unwrap();
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{path}");
        assert!(
            reply.message().contains(&format!("doesn't have the {scope} scope")),
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_access_token_endpoint_needs_no_scope() {
    let probe = Probe::example().await;
    let token = probe
        .sandbox
        .mint(TokenSpec::owned_by(probe.sandbox.owner()).with_scopes(&[]));
    let reply = probe.get_as(&token, "/v2/access-token").await;
    assert_eq!((reply.status, &reply.json()["scopes"]), (StatusCode::OK, &json!([])));
}

#[tokio::test]
async fn a_token_that_does_not_reach_the_organization_finds_none() {
    let probe = Probe::example().await;
    let spec = TokenSpec {
        reaches_organization: false,
        ..TokenSpec::owned_by(probe.sandbox.owner())
    };
    let token = probe.sandbox.mint(spec);
    let reply = probe.get_as(&token, &probe.path("teams")).await;
    assert_eq!(
        (reply.status, reply.message().as_str()),
        (StatusCode::NOT_FOUND, "No organization found")
    );
    assert!(probe.get_as(&token, "/v2/organizations").await.rows().is_empty());
    assert_eq!(probe.get_as(&token, "/v2/user").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_token_of_a_user_who_left_does_not_reach_the_organization() {
    let probe = Probe::example().await;
    let priya = probe.person("priya");
    let token = probe.token_of("priya");
    probe
        .sandbox
        .edit(|organization| organization.remove_person(priya, MemberRows::Dropped));
    assert_eq!(
        probe.get_as(&token, &probe.path("teams")).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn secret_teams_are_hidden_from_users_outside_them() {
    let probe = Probe::example().await;
    let outsider = probe.token_of("priya");
    let insider = probe.token_of("leilani");
    let slugs = probe.get_as(&outsider, &probe.path("teams")).await.column("slug");
    assert_eq!(
        slugs,
        ["everyone", "platform", "timetables", "mobile", "data", "interns"]
    );
    assert_eq!(probe.get_as(&insider, &probe.path("teams")).await.rows().len(), 7);
    let secret = probe.path(&format!("teams/{}", probe.team("incident-response").id));
    assert_eq!(probe.get_as(&outsider, &secret).await.status, StatusCode::NOT_FOUND);
    assert_eq!(
        probe.get_as(&outsider, &format!("{secret}/members")).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(probe.get_as(&insider, &secret).await.status, StatusCode::OK);
}

#[tokio::test]
async fn only_admins_and_maintainers_write() {
    let probe = Probe::example().await;
    let body = json!({ "user_id": probe.person("viktor"), "role": "member" });
    let post = async |who: &str, slug: &str| {
        let token = probe.token_of(who);
        let path = probe.members(slug);
        probe
            .send(Method::POST, &path, token.expose_secret(), Some(body.clone()))
            .await
            .unwrap()
            .status
    };
    assert_eq!(post("lukasz", "platform").await, StatusCode::FORBIDDEN);
    assert_eq!(post("priya", "incident-response").await, StatusCode::NOT_FOUND);
    assert_eq!(post("amara", "platform").await, StatusCode::CREATED);
    assert_eq!(post("tomas", "timetables").await, StatusCode::CREATED);
}

#[tokio::test]
async fn sso_mode_is_for_admins_and_for_ones_own_row() {
    let probe = Probe::example().await;
    let priya = probe.person("priya");
    let rows = probe
        .get_as(&probe.token_of("priya"), &probe.path("members"))
        .await
        .rows();
    let shown: Vec<&Value> = rows.iter().filter(|row| row.get("sso_mode").is_some()).collect();
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0]["id"], json!(priya));
}

#[rstest]
#[case(ExpiresAt::SpaceUtc, Some(json!("2031-02-03 04:05:06 UTC")))]
#[case(ExpiresAt::Iso, Some(json!("2031-02-03T04:05:06.000Z")))]
#[case(ExpiresAt::Null, Some(Value::Null))]
#[case(ExpiresAt::Absent, None)]
#[tokio::test]
async fn an_expiry_is_written_in_any_known_way(#[case] behavior: ExpiresAt, #[case] written: Option<Value>) {
    let probe = Probe::with_behaviors(|behaviors| behaviors.expires_at = behavior).await;
    let expires_at = Some("2031-02-03T04:05:06Z".parse().unwrap());
    let token = probe.sandbox.mint(TokenSpec {
        expires_at,
        ..TokenSpec::owned_by(probe.sandbox.owner())
    });
    assert_eq!(
        probe
            .get_as(&token, "/v2/access-token")
            .await
            .json()
            .get("expires_at")
            .cloned(),
        written
    );
}

#[tokio::test]
async fn no_debug_output_holds_a_token() {
    let probe = Probe::example().await;
    let secret = probe.sandbox.token().expose_secret();
    assert_eq!((secret.len(), &secret[..5]), (45, "bkua_"));
    probe.get("/v2/user").await;
    assert!(!format!("{:?} {:?}", probe.sandbox, probe.sandbox.requests()).contains(secret));
}
