//! `ActionService`: the actions that the settings allow, their schemas, and what became of those that were invoked.

use std::time::Duration;

use tonic::{Request, Response, Status, async_trait};

use super::Connector;
use crate::governance::GovernanceError;
use crate::governance::actions::{ActionInfo, ActionRequest};
use crate::grpc::context;
use crate::grpc::middleware::callers::CallerRole;
use crate::grpc::middleware::rejection::Rejection;
use crate::proto::c1::connector::v2::action_service_server::ActionService;
use crate::proto::c1::connector::v2::{
    GetActionSchemaRequest, GetActionSchemaResponse, GetActionStatusRequest, GetActionStatusResponse,
    InvokeActionRequest, InvokeActionResponse, ListActionSchemasRequest, ListActionSchemasResponse,
};
use crate::wire::{actions, lifecycle, request};

/// How long the response waits for the end of an action if the request does not say.
const INLINE_WAIT: Duration = Duration::from_secs(1);

/// The maximum time that the response waits.
const MAX_INLINE_WAIT: Duration = Duration::from_secs(3600);

#[async_trait]
impl ActionService for Connector {
    async fn invoke_action(
        &self,
        request: Request<InvokeActionRequest>,
    ) -> Result<Response<InvokeActionResponse>, Status> {
        let context = context::from_request(&request, &request.get_ref().annotations);
        let governance = self.governance(&request)?;
        let governance = governance.actions();
        let found = governance.find(&request.get_ref().name, &request.get_ref().resource_type_id);
        if let Ok(action) = found {
            check_role(action, request.extensions().get().copied(), &context.caller)?;
        }
        context::respond(&context.clone(), async {
            let request = request.into_inner();
            let valid = found.and_then(|action| Ok((action, inline_wait(request.inline_wait)?)));
            let (action, inline_wait) = match valid {
                Ok(valid) => valid,
                Err(error) => return Err(governance.record_refused(&request.name, context, error).await),
            };
            // The response arrives before the caller's deadline, if that is earlier.
            let left = context.answer_by.map_or(MAX_INLINE_WAIT, |answer_by| {
                answer_by.saturating_duration_since(tokio::time::Instant::now()) / 2
            });
            let invoked = ActionRequest {
                action,
                arguments: lifecycle::json(request.args.unwrap_or_default()),
                inline_wait: inline_wait.min(left),
            };
            let status = governance.invoke(invoked, context).await?;
            let (state, response) = actions::status(&status);
            Ok(InvokeActionResponse {
                id: status.id.to_string(),
                status: state.into(),
                annotations: vec![],
                response,
                name: status.action.to_owned(),
            })
        })
        .await
    }

    async fn get_action_status(
        &self,
        request: Request<GetActionStatusRequest>,
    ) -> Result<Response<GetActionStatusResponse>, Status> {
        let context = context::from_request(&request, &request.get_ref().annotations);
        let status = self
            .governance(&request)?
            .actions()
            .status(&request.get_ref().id, &context.caller)?;
        let (state, response) = actions::status(&status);
        Ok(Response::new(GetActionStatusResponse {
            name: status.action.to_owned(),
            id: status.id.to_string(),
            status: state.into(),
            annotations: vec![],
            response,
        }))
    }

    async fn get_action_schema(
        &self,
        request: Request<GetActionSchemaRequest>,
    ) -> Result<Response<GetActionSchemaResponse>, Status> {
        let governance = self.governance(&request)?;
        let action = governance.actions().find(&request.get_ref().name, "")?;
        Ok(Response::new(GetActionSchemaResponse {
            schema: Some(actions::schema(action)),
            annotations: vec![],
        }))
    }

    async fn list_action_schemas(
        &self,
        request: Request<ListActionSchemasRequest>,
    ) -> Result<Response<ListActionSchemasResponse>, Status> {
        let governance = self.governance(&request)?;
        let offered = governance.actions().offered(&request.get_ref().resource_type_id);
        Ok(Response::new(ListActionSchemasResponse {
            schemas: offered.map(actions::schema).collect(),
            annotations: vec![],
        }))
    }
}

/// Rejects an action that is not for the role of the caller. Without a file of callers, any caller has every role.
fn check_role(action: &ActionInfo, role: Option<CallerRole>, caller: &std::sync::Arc<str>) -> Result<(), Rejection> {
    if action.for_readers || role != Some(CallerRole::Reader) {
        return Ok(());
    }
    Err(Rejection::NotAllowed(std::sync::Arc::clone(caller)))
}

fn inline_wait(requested: Option<prost_types::Duration>) -> Result<Duration, GovernanceError> {
    let Some(requested) = requested else {
        return Ok(INLINE_WAIT);
    };
    let wait = Duration::try_from(requested);
    let wait = wait.map_err(|_| request::invalid("inline_wait", "give a time that is not negative"))?;
    Ok(wait.min(MAX_INLINE_WAIT))
}
