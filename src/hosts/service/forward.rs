//! Tasks that are one call of a connector's service each: events, actions, accounts, credentials, resources. This connector's
//! own services execute them, so a task for what is not offered ends like the call.

use super::outcome::Outcome;
use crate::hosts::LocalService;
use crate::proto::c1::connector::v2::account_manager_service_client::AccountManagerServiceClient;
use crate::proto::c1::connector::v2::action_service_client::ActionServiceClient;
use crate::proto::c1::connector::v2::credential_manager_service_client::CredentialManagerServiceClient;
use crate::proto::c1::connector::v2::event_service_client::EventServiceClient;
use crate::proto::c1::connector::v2::resource_manager_service_client::ResourceManagerServiceClient;
use crate::proto::c1::connector::v2::{
    CreateAccountRequest, CreateResourceRequest, DeleteResourceRequest, GetActionSchemaRequest, GetActionStatusRequest,
    InvokeActionRequest, IssueCredentialRequest, ListActionSchemasRequest, ListEventFeedsRequest, ListEventsRequest,
    RotateCredentialRequest,
};
use crate::proto::c1::connectorapi::baton::v1::task::TaskType;

/// Makes the call that a task of one of these kinds stands for; the task itself where it is of another kind.
pub(super) async fn call(service: LocalService, id: &str, task: TaskType) -> Result<Outcome, TaskType> {
    Ok(match task {
        TaskType::ListEventFeeds(task) => {
            let request = ListEventFeedsRequest {
                annotations: task.annotations,
            };
            let answer = EventServiceClient::new(service).list_event_feeds(request).await;
            Outcome::of(answer, |answer| &answer.annotations)
        }
        TaskType::ListEvents(task) => {
            let request = ListEventsRequest {
                cursor: task.cursor,
                start_at: task.start_at,
                page_size: task.page_size,
                annotations: task.annotations,
                event_feed_id: task.event_feed_id,
            };
            let answer = EventServiceClient::new(service).list_events(request).await;
            Outcome::of(answer, |answer| &answer.annotations)
        }
        TaskType::ActionListSchemas(task) => {
            let request = ListActionSchemasRequest {
                annotations: task.annotations,
                resource_type_id: task.resource_type_id,
            };
            let answer = ActionServiceClient::new(service).list_action_schemas(request).await;
            Outcome::of(answer, |answer| &answer.annotations)
        }
        TaskType::ActionGetSchema(task) => {
            let request = GetActionSchemaRequest {
                name: task.name,
                annotations: task.annotations,
            };
            let answer = ActionServiceClient::new(service).get_action_schema(request).await;
            Outcome::of(answer, |answer| &answer.annotations)
        }
        TaskType::ActionInvoke(task) => {
            let request = InvokeActionRequest {
                name: task.name,
                args: task.args,
                annotations: task.annotations,
                resource_type_id: task.resource_type_id,
                ..Default::default()
            };
            let answer = ActionServiceClient::new(service).invoke_action(request).await;
            Outcome::of(answer, |answer| &answer.annotations)
        }
        TaskType::ActionStatus(task) => {
            let request = GetActionStatusRequest {
                id: task.id,
                annotations: task.annotations,
                ..Default::default()
            };
            let answer = ActionServiceClient::new(service).get_action_status(request).await;
            Outcome::of(answer, |answer| &answer.annotations)
        }
        other => return manage(service, id, other).await,
    })
}

/// The same for what makes or removes accounts, credentials and resources.
async fn manage(service: LocalService, id: &str, task: TaskType) -> Result<Outcome, TaskType> {
    Ok(match task {
        TaskType::CreateAccount(task) => {
            let request = CreateAccountRequest {
                account_info: task.account_info,
                credential_options: task.credential_options,
                encryption_configs: task.encryption_configs,
                resource_type_id: task.resource_type_id,
            };
            let answer = AccountManagerServiceClient::new(service).create_account(request).await;
            Outcome::of(answer, |answer| &answer.annotations)
        }
        TaskType::RotateCredentials(task) => {
            let request = RotateCredentialRequest {
                resource_id: task.resource_id,
                credential_options: task.credential_options,
                encryption_configs: task.encryption_configs,
            };
            let answer = CredentialManagerServiceClient::new(service)
                .rotate_credential(request)
                .await;
            Outcome::of(answer, |answer| &answer.annotations)
        }
        TaskType::IssueCredential(task) => {
            let request = IssueCredentialRequest {
                identity_id: task.identity_id,
                credential_options: task.credential_options,
                encryption_configs: task.encryption_configs,
                request_id: id.to_owned(),
                expires_at: task.expires_at,
            };
            let answer = CredentialManagerServiceClient::new(service)
                .issue_credential(request)
                .await;
            Outcome::of(answer, |answer| &answer.annotations)
        }
        TaskType::CreateResource(task) => {
            let request = CreateResourceRequest {
                resource: task.resource,
            };
            let answer = ResourceManagerServiceClient::new(service)
                .create_resource(request)
                .await;
            Outcome::of(answer, |answer| &answer.annotations)
        }
        TaskType::DeleteResource(task) => {
            let request = DeleteResourceRequest {
                resource_id: task.resource_id,
                parent_resource_id: task.parent_resource_id,
            };
            let answer = ResourceManagerServiceClient::new(service)
                .delete_resource(request)
                .await;
            Outcome::of(answer, |answer| &answer.annotations)
        }
        other => return Err(other),
    })
}
