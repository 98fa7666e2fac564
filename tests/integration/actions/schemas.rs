//! The schemas, and the arguments that they admit.

use buildkite_connector::governance::{AllowedChanges, Change};
use buildkite_connector::proto::c1::config::v1::field::Field;
use buildkite_connector::proto::c1::connector::v2::action_service_client::ActionServiceClient;
use buildkite_connector::proto::c1::connector::v2::connector_service_client::ConnectorServiceClient;
use buildkite_connector::proto::c1::connector::v2::{
    ActionType, Capability, ConnectorServiceGetMetadataRequest, GetActionSchemaRequest,
};
use rstest::rstest;
use serde_json::{Value, json};
use tonic::Code;

use super::World;
use crate::support::{details, reason};

async fn names(world: &World, resource_type: &str) -> Vec<String> {
    let schemas = world.schemas(resource_type).await;
    schemas.into_iter().map(|schema| schema.name).collect()
}

#[rstest]
#[case::nothing(&[], &[])]
#[case::no_actions(&[Change::Membership], &[])]
#[case::teams(&[Change::Teams], &["create_team", "update_team", "delete_team", "list_team_members", "find_user"])]
#[case::builds(&[Change::Builds], &["list_team_members", "find_user", "trigger_build", "build_status", "unblock_job"])]
#[case::rest(&[Change::RestRead], &["list_team_members", "find_user", "rest_get"])]
#[tokio::test]
async fn the_settings_decide_which_actions_are_offered(#[case] allowed: &[Change], #[case] expected: &[&str]) {
    let allowed: AllowedChanges = allowed.iter().copied().collect();
    let world = World::with(|setup| setup.access.allowed = allowed).await;
    assert_eq!(names(&world, "").await, expected);
    let metadata = ConnectorServiceClient::new(world.channel.clone())
        .get_metadata(ConnectorServiceGetMetadataRequest {})
        .await
        .unwrap()
        .into_inner()
        .metadata
        .unwrap();
    let capabilities = metadata.capabilities.unwrap();
    let has_actions = capabilities
        .connector_capabilities
        .contains(&Capability::Actions.into());
    assert_eq!(has_actions, !expected.is_empty());
    for row in capabilities.resource_type_capabilities {
        let of = row.resource_type.unwrap().id;
        let has_actions = row.capabilities.contains(&Capability::Actions.into());
        assert_eq!(has_actions, !names(&world, &of).await.is_empty(), "{of}");
    }
}

#[rstest]
#[case::builds(&[Change::Builds], "pipeline", &["read_pipelines", "write_builds", "read_builds"])]
#[case::teams(&[Change::Teams], "team", &["read_teams", "write_teams"])]
#[case::no_actions(&[Change::Membership], "pipeline", &["read_pipelines"])]
#[tokio::test]
async fn the_permissions_of_a_type_include_the_scopes_of_its_actions(
    #[case] allowed: &[Change],
    #[case] of: &str,
    #[case] expected: &[&str],
) {
    let allowed: AllowedChanges = allowed.iter().copied().collect();
    let world = World::with(|setup| setup.access.allowed = allowed).await;
    let metadata = ConnectorServiceClient::new(world.channel.clone())
        .get_metadata(ConnectorServiceGetMetadataRequest {})
        .await
        .unwrap()
        .into_inner()
        .metadata
        .unwrap();
    let mut rows = metadata.capabilities.unwrap().resource_type_capabilities.into_iter();
    let row = rows.find(|row| row.resource_type.as_ref().unwrap().id == of).unwrap();
    let permissions = row.permissions.unwrap().permissions.into_iter();
    let permissions: Vec<String> = permissions.map(|permission| permission.permission).collect();
    assert_eq!(permissions, expected);
}

#[tokio::test]
async fn a_schema_has_the_rules_of_its_arguments_and_is_found_by_its_name() {
    let world = World::new().await;
    assert_eq!(names(&world, "user").await, ["find_user"]);
    assert_eq!(names(&world, "suite").await, Vec::<String>::new());
    let mut client = ActionServiceClient::new(world.channel.clone());
    let mut get = async |name: &str| {
        let request = GetActionSchemaRequest {
            name: name.to_owned(),
            ..Default::default()
        };
        client
            .get_action_schema(request)
            .await
            .map(|response| response.into_inner().schema.unwrap())
    };
    let create = get("create_team").await.unwrap();
    assert_eq!(
        (create.resource_type_id.as_str(), create.action_type),
        ("team", vec![ActionType::ResourceCreate.into()])
    );
    let delete = get("delete_team").await.unwrap();
    assert_eq!(delete.action_type, [i32::from(ActionType::ResourceDelete)]);
    let Some(Field::ResourceIdField(team)) = delete.arguments[0].field.clone() else {
        panic!("{delete:?}")
    };
    assert_eq!(team.rules.unwrap().allowed_resource_type_ids, ["team"]);
    assert!(delete.arguments.iter().all(|argument| argument.is_required));
    let trigger = get("trigger_build").await.unwrap();
    let required = trigger.arguments.iter().filter(|argument| argument.is_required);
    let required: Vec<&str> = required.map(|argument| argument.name.as_str()).collect();
    assert_eq!(required, ["pipeline", "branch"]);
    let returned: Vec<&str> = trigger.return_types.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(returned, ["success", "number", "url", "state"]);
    let global = get("rest_get").await.unwrap();
    assert_eq!(global.resource_type_id, "");
    assert_eq!(
        reason(&get("drop_tables").await.unwrap_err()),
        (Code::NotFound, "ACTION_NOT_FOUND".to_owned())
    );
}

#[rstest]
#[case::missing("create_team", json!({}), "name", "the argument `name` is missing")]
#[case::null("create_team", json!({"name": null}), "name", "missing")]
#[case::blank("create_team", json!({"name": " "}), "name", "missing")]
#[case::kind("create_team", json!({"name": 7}), "name", "`name` is text")]
#[case::long("create_team", json!({"name": "x".repeat(256)}), "name", "at most 255")]
#[case::word("create_team", json!({"name": "x", "privacy": "hidden"}), "privacy", "`visible` or `secret`")]
#[case::flag("create_team", json!({"name": "x", "is_default": "yes"}), "is_default", "true or false")]
#[case::unknown("create_team", json!({"name": "x", "colour": "red"}), "args", "`colour` is not an argument of create_team")]
#[case::no_id("list_team_members", json!({"team": "x"}), "team", "`resource_type_id`")]
#[case::other_type("list_team_members", json!({"team": {"resource_type_id": "user", "resource_id": "0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d"}}), "team", "the id of a team")]
#[case::address("find_user", json!({"email": "ada"}), "email", "an e-mail address")]
#[case::fraction("build_status", json!({"pipeline": {"resource_type_id": "pipeline", "resource_id": "0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d"}, "number": 1.5}), "number", "whole number")]
#[case::zero("build_status", json!({"pipeline": {"resource_type_id": "pipeline", "resource_id": "0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d"}, "number": 0}), "number", "1 or more")]
#[case::map("rest_get", json!({"path": "/teams", "query": {"page": 1}}), "query", "not text")]
#[tokio::test]
async fn a_wrong_argument_is_refused_by_its_name_before_anything_begins(
    #[case] action: &str,
    #[case] arguments: Value,
    #[case] field: &str,
    #[case] sentence: &str,
) {
    let world = World::new().await;
    let before = world.sandbox.request_log().total();
    let status = world.invoke(action, arguments).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(details(&status).fields, [field]);
    assert!(status.message().contains(sentence), "{}", status.message());
    assert_eq!(world.sandbox.request_log().total(), before);
}
