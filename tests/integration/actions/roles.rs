//! Which callers may invoke what, and what the settings do not allow.

use buildkite_connector::governance::{AllowedChanges, Change};
use buildkite_connector::grpc::server::{BearerToken, Callers, ServerOptions};
use buildkite_connector::proto::c1::connector::v2::action_service_client::ActionServiceClient;
use buildkite_connector::proto::c1::connector::v2::{GetActionStatusRequest, InvokeActionRequest};
use buildkite_connector::sandbox::TokenSpec;
use prost_types::value::Kind;
use prost_types::{Struct, Value};
use rstest::rstest;
use serde_json::json;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use super::{World, settings};
use crate::security::callers::entry;
use crate::support::{TestServer, reason, sandbox, sized};

#[rstest]
#[case("create_team", json!({"name": "x"}), "teams")]
#[case("list_team_members", json!({}), "teams")]
#[case("trigger_build", json!({}), "builds")]
#[case("rest_get", json!({}), "rest-read")]
#[tokio::test]
async fn an_action_that_is_not_allowed_names_the_setting(
    #[case] action: &str,
    #[case] arguments: serde_json::Value,
    #[case] setting: &str,
) {
    let world = World::with(|setup| {
        setup.access.allowed = AllowedChanges::from_iter([Change::Membership]);
        setup.access.build_pipelines.clear();
    })
    .await;
    let status = world.invoke(action, arguments).await.unwrap_err();
    assert_eq!(
        reason(&status),
        (Code::FailedPrecondition, "PROVISIONING_DISABLED".to_owned())
    );
    assert!(
        status.message().starts_with(&format!("{setting} is not allowed")),
        "{}",
        status.message()
    );
}

/// The status of the action, and its id, as a caller with this bearer gets them.
async fn invoked(channel: &Channel, bearer: &str, action: &str, args: Option<Struct>) -> Result<String, Status> {
    let mut request = Request::new(InvokeActionRequest {
        name: action.to_owned(),
        args,
        ..Default::default()
    });
    authorize(&mut request, bearer);
    let response = ActionServiceClient::new(channel.clone()).invoke_action(request).await?;
    Ok(response.into_inner().id)
}

async fn is_known(channel: &Channel, bearer: &str, id: &str) -> bool {
    let mut request = Request::new(GetActionStatusRequest {
        id: id.to_owned(),
        ..Default::default()
    });
    authorize(&mut request, bearer);
    let response = ActionServiceClient::new(channel.clone())
        .get_action_status(request)
        .await;
    response.is_ok_and(|response| response.into_inner().id == id)
}

fn authorize<T>(request: &mut Request<T>, bearer: &str) {
    let value = format!("Bearer {bearer}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
}

#[tokio::test]
async fn a_reader_invokes_what_reads_and_an_id_belongs_to_the_caller_that_began_it() {
    let directory = tempfile::tempdir().unwrap();
    let (reader, provisioner) = (BearerToken::generate().unwrap(), BearerToken::generate().unwrap());
    let file = directory.path().join("callers.toml");
    let both = entry("nightly", "reader", &reader) + &entry("platform", "provisioner", &provisioner);
    std::fs::write(&file, both).unwrap();
    let sandbox = sandbox(sized(1, 1, 3)).await;
    let token = sandbox.mint(TokenSpec::owned_by(sandbox.owner()).with_all_scopes());
    let options = ServerOptions {
        callers: Some(Callers::watch(file, false).unwrap()),
        ..ServerOptions::default()
    };
    let server = TestServer::with_all(&sandbox, &token, settings(&directory), options).await;
    let channel = server.channel().await;
    for action in [
        "create_team",
        "update_team",
        "delete_team",
        "trigger_build",
        "unblock_job",
        "rest_get",
    ] {
        let status = invoked(&channel, &reader.bearer, action, None).await.unwrap_err();
        assert_eq!(
            reason(&status),
            (Code::PermissionDenied, "CALLER_NOT_ALLOWED".to_owned()),
            "{action}"
        );
        let status = invoked(&channel, &provisioner.bearer, action, None).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{action}");
    }
    let email = sandbox.with_organization(|organization| organization.people()[1].email.clone());
    let args = Struct {
        fields: [(
            "email".to_owned(),
            Value {
                kind: Some(Kind::StringValue(email)),
            },
        )]
        .into(),
    };
    let id = invoked(&channel, &reader.bearer, "find_user", Some(args))
        .await
        .unwrap();
    assert!(is_known(&channel, &reader.bearer, &id).await);
    assert!(!is_known(&channel, &provisioner.bearer, &id).await);
}

#[tokio::test]
async fn an_unknown_action_is_not_found() {
    let world = World::new().await;
    let status = world.invoke("drop_tables", json!({})).await.unwrap_err();
    assert_eq!(reason(&status), (Code::NotFound, "ACTION_NOT_FOUND".to_owned()));
}
