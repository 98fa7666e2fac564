//! Reading paths as they are.

use buildkite_connector::sandbox::{BodyStyle, Endpoint, Fault, FaultKind, SECRET_MARKER};
use http::StatusCode;
use rstest::rstest;
use serde_json::{Value, json};
use tonic::Code;

use super::World;
use crate::support::details;

async fn get(world: &World, path: &str, query: Value) -> Value {
    world
        .invoke("rest_get", json!({"path": path, "query": query}))
        .await
        .unwrap()
        .complete()
}

#[tokio::test]
async fn each_path_of_the_list_is_read_in_the_configured_organization() {
    let world = World::new().await;
    let team = world.teams[0];
    let paths = [
        ("/teams".to_owned(), Endpoint::Teams),
        (format!("/teams/{team}"), Endpoint::Team),
        (format!("/teams/{team}/members"), Endpoint::TeamMembers),
        (format!("/teams/{team}/pipelines"), Endpoint::TeamPipelines),
        (format!("/teams/{team}/suites"), Endpoint::TeamSuites),
        ("/members".to_owned(), Endpoint::OrganizationMembers),
        ("/pipelines".to_owned(), Endpoint::Pipelines),
        ("/pipelines/deploy".to_owned(), Endpoint::Pipeline),
        ("/pipelines/deploy/builds".to_owned(), Endpoint::PipelineBuilds),
        ("/agents".to_owned(), Endpoint::Agents),
        ("/clusters".to_owned(), Endpoint::Clusters),
        ("/suites".to_owned(), Endpoint::Suites),
        ("/registries".to_owned(), Endpoint::Registries),
    ];
    for (path, endpoint) in paths {
        let before = world.count(endpoint);
        let response = get(&world, &path, json!({})).await;
        assert_eq!(response["status"], 200.0, "{path}");
        assert!(
            serde_json::from_str::<Value>(response["body"].as_str().unwrap()).is_ok(),
            "{path}"
        );
        assert_eq!(world.count(endpoint), before + 1, "{path}");
    }
}

#[tokio::test]
async fn a_list_says_whether_it_has_more() {
    let world = World::new().await;
    let first = get(&world, "/teams", json!({"per_page": "3"})).await;
    let last = get(&world, "/teams", json!({"per_page": "3", "page": "2"})).await;
    let rows = |response: &Value| {
        let body: Vec<Value> = serde_json::from_str(response["body"].as_str().unwrap()).unwrap();
        body.len()
    };
    assert_eq!((rows(&first), &first["more"]), (3, &json!(true)));
    assert_eq!((rows(&last), &last["more"]), (1, &json!(false)));
}

#[rstest]
#[case::traversal("/pipelines/../../../access-token", json!({}), "path")]
#[case::encoded_slash("/pipelines/a%2Fb", json!({}), "path")]
#[case::encoded_dots("/pipelines/%2e%2e", json!({}), "path")]
#[case::other_organization("/organizations/other/teams", json!({}), "path")]
#[case::own_query("/teams?access_token=x", json!({}), "path")]
#[case::credential("/teams", json!({"access_token": "x"}), "query")]
#[case::token("/teams", json!({"name": "bkua_0123456789abcdef0123456789abcdef01234567"}), "query")]
#[case::page("/teams", json!({"per_page": "101"}), "query")]
#[tokio::test]
async fn what_leads_elsewhere_is_refused_before_anything_is_sent(
    #[case] path: &str,
    #[case] query: Value,
    #[case] field: &str,
) {
    let world = World::new().await;
    let before = world.sandbox.request_log().total();
    let status = world
        .invoke("rest_get", json!({"path": path, "query": query}))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), details(&status).fields),
        (Code::InvalidArgument, vec![field.to_owned()])
    );
    assert!(!status.message().contains("bkua_"));
    assert_eq!(world.sandbox.request_log().total(), before);
}

#[tokio::test]
async fn no_secret_of_a_body_is_shown() {
    let world = World::new().await;
    let arguments = json!({"pipeline": world.pipeline("deploy"), "branch": "main"});
    world.invoke("trigger_build", arguments).await.unwrap().complete();
    for path in ["/pipelines", "/pipelines/deploy", "/pipelines/deploy/builds/1"] {
        let response = get(&world, path, json!({})).await;
        let body = response["body"].as_str().unwrap();
        assert!(
            body.contains("deploy") && !body.contains(SECRET_MARKER),
            "{path}: {body}"
        );
    }
}

#[rstest]
#[case::in_a_text("Release of https://ci:hush@git.example/x for all")]
#[case::of_a_shell("clone ci:hush@git.example:acme/x.git")]
#[case::in_a_query("https://git.example/x?private_token=hush&page=2")]
#[case::in_a_fragment("see https://git.example/x#access_token=hush")]
#[tokio::test]
async fn no_credential_of_an_address_is_shown(#[case] message: &str) {
    let world = World::new().await;
    let arguments = json!({"pipeline": world.pipeline("deploy"), "branch": "main", "message": message});
    world.invoke("trigger_build", arguments).await.unwrap().complete();
    for path in ["/pipelines/deploy/builds", "/pipelines/deploy/builds/1"] {
        let response = get(&world, path, json!({})).await;
        let body = response["body"].as_str().unwrap();
        assert!(body.contains("git.example") && !body.contains("hush"), "{path}: {body}");
    }
}

/// A repository is shown as its host and path, as in the rows of pipelines.
#[tokio::test]
async fn the_address_of_a_repository_holds_no_credential() {
    let world = World::new().await;
    for (address, shown) in [
        ("https://ci:hush@git.example/x.git", json!("git.example/x.git")),
        ("https://git.example/x.git?token=hush", json!("git.example/x.git")),
        ("ci:hush@git.example:acme/x.git", Value::Null),
    ] {
        world.sandbox.edit(|organization| {
            let pipeline = organization.pipeline_mut(world.pipeline).unwrap();
            address.clone_into(&mut pipeline.repository);
        });
        let response = get(&world, "/pipelines/deploy", json!({})).await;
        let body: Value = serde_json::from_str(response["body"].as_str().unwrap()).unwrap();
        assert_eq!(body["repository"], shown, "{address}");
        assert!(!body.to_string().contains("hush"), "{body}");
    }
}

#[tokio::test]
async fn any_status_is_returned_and_a_redirect_is_not_followed() {
    let world = World::new().await;
    let faults = world.sandbox.faults();
    let statuses = [
        StatusCode::FORBIDDEN,
        StatusCode::NOT_FOUND,
        StatusCode::UNPROCESSABLE_ENTITY,
        StatusCode::BAD_GATEWAY,
    ];
    for status in statuses {
        let fault = faults.add(Fault::new(
            Endpoint::Agents,
            FaultKind::Status(status, BodyStyle::Message),
        ));
        let response = get(&world, "/agents", json!({})).await;
        assert_eq!(response["status"], f64::from(status.as_u16()));
        let names_scope = response["message"]
            .as_str()
            .is_some_and(|message| message.contains("`read_agents`"));
        assert_eq!(names_scope, status == StatusCode::FORBIDDEN);
        fault.remove();
    }
    let elsewhere = format!("{}/v2/user", world.sandbox.url());
    faults.add(Fault::new(Endpoint::Agents, FaultKind::Redirect(elsewhere)).once());
    let before = world.count(Endpoint::User);
    let response = get(&world, "/agents", json!({})).await;
    assert!(
        (300.0..400.0).contains(&response["status"].as_f64().unwrap()),
        "{response}"
    );
    assert_eq!(world.count(Endpoint::User), before);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_not_shown() {
    let world = World::new().await;
    let large = Value::String("x".repeat(1 << 20));
    world
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::Agents, FaultKind::WrongShape(large)).once());
    let ended = world.invoke("rest_get", json!({"path": "/agents"})).await.unwrap();
    let (reason, sentence) = ended.failed();
    assert_eq!(reason, "TOO_LARGE");
    assert!(sentence.contains("1 MiB"), "{sentence}");
}
