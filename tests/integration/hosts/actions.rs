//! Tasks that are about actions: carried out through this connector's own service, and reported with its response.

use buildkite_connector::governance::{AllowedChanges, Change};
use buildkite_connector::proto::c1::connector::v2::{
    BatonActionStatus, GetActionSchemaResponse, GetActionStatusResponse, InvokeActionResponse,
    ListActionSchemasResponse,
};
use buildkite_connector::proto::c1::connectorapi::baton::v1::baton_service_finish_task_request::FinalState;
use buildkite_connector::proto::c1::connectorapi::baton::v1::task::{
    ActionGetSchemaTask, ActionInvokeTask, ActionListSchemasTask, ActionStatusTask, TaskType,
};
use buildkite_connector::sandbox::{BodyStyle, Endpoint, Fault, FaultKind};
use http::StatusCode;
use prost::{Message, Name};
use prost_types::value::Kind;
use prost_types::{Struct, Value};
use tonic::Code;

use super::harness::{Harness, HarnessOptions, failure};
use crate::support::Setup;

/// A service whose settings allow the actions of teams.
async fn with_teams() -> Harness {
    let mut setup = Setup::default();
    setup.access.allowed = AllowedChanges::from_iter([Change::Teams]);
    Harness::start_with(HarnessOptions {
        setup,
        ..HarnessOptions::default()
    })
    .await
}

/// The response that the report of a task holds.
async fn response<T: Message + Name + Default>(harness: &Harness, task: TaskType) -> T {
    let id = harness.platform.add(task);
    let finished = harness.finished(&id).await;
    let Some(FinalState::Success(success)) = finished.report.final_state else {
        panic!("no success: {finished:#?}");
    };
    let response = success.response.unwrap();
    assert_eq!(response.type_url, T::type_url());
    T::decode(&*response.value).unwrap()
}

fn create(name: &str) -> TaskType {
    let name = Value {
        kind: Some(Kind::StringValue(name.to_owned())),
    };
    TaskType::ActionInvoke(ActionInvokeTask {
        name: "create_team".to_owned(),
        args: Some(Struct {
            fields: [("name".to_owned(), name)].into(),
        }),
        resource_type_id: "team".to_owned(),
        ..Default::default()
    })
}

fn has_team(harness: &Harness, name: &str) -> bool {
    harness
        .sandbox
        .with_organization(|organization| organization.teams().iter().any(|team| team.name == name))
}

#[tokio::test]
async fn schemas_are_listed_and_found_by_name() {
    let harness = with_teams().await;
    let list = TaskType::ActionListSchemas(ActionListSchemasTask {
        resource_type_id: "user".to_owned(),
        ..Default::default()
    });
    let listed: ListActionSchemasResponse = response(&harness, list).await;
    let names: Vec<&str> = listed.schemas.iter().map(|schema| schema.name.as_str()).collect();
    assert_eq!(names, ["find_user"]);
    let find = TaskType::ActionGetSchema(ActionGetSchemaTask {
        name: "create_team".to_owned(),
        ..Default::default()
    });
    let found: GetActionSchemaResponse = response(&harness, find).await;
    assert_eq!(found.schema.unwrap().name, "create_team");
}

#[tokio::test]
async fn an_action_is_carried_out_and_its_status_is_known_to_the_same_platform() {
    let harness = with_teams().await;
    let invoked: InvokeActionResponse = response(&harness, create("Docs")).await;
    assert!(has_team(&harness, "Docs"));
    let status = TaskType::ActionStatus(ActionStatusTask {
        name: "create_team".to_owned(),
        id: invoked.id.clone(),
        ..Default::default()
    });
    let status: GetActionStatusResponse = response(&harness, status).await;
    let complete = i32::from(BatonActionStatus::Complete);
    assert_eq!((status.id, status.status), (invoked.id, complete));
    assert_eq!((invoked.status, status.response), (complete, invoked.response));
}

#[tokio::test]
async fn an_action_that_fails_at_buildkite_is_done_with_the_status_failed() {
    let harness = with_teams().await;
    let refused = FaultKind::Status(StatusCode::UNPROCESSABLE_ENTITY, BodyStyle::Message);
    harness.sandbox.faults().add(Fault::new(Endpoint::CreateTeam, refused));
    let invoked: InvokeActionResponse = response(&harness, create("Docs")).await;
    assert_eq!(invoked.status, i32::from(BatonActionStatus::Failed));
    assert!(!has_team(&harness, "Docs"));
}

#[tokio::test]
async fn an_action_that_is_not_allowed_is_a_task_that_failed() {
    let harness = Harness::start().await;
    let id = harness.platform.add(create("Docs"));
    let (code, status, again) = failure(&harness.finished(&id).await);
    assert_eq!((code, again), (Code::FailedPrecondition, false), "{status:?}");
    assert!(status.message.starts_with("teams is not allowed"), "{status:?}");
    assert!(!has_team(&harness, "Docs"));
}
