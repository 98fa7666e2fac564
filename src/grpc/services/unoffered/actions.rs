//! `ActionService`: there are no actions, so any name and any id is unknown.

use tonic::{Code, Request, Response, Status, async_trait};

use super::Unoffered;
use crate::grpc::services::status_with_reason;
use crate::proto::c1::connector::v2::action_service_server::ActionService;
use crate::proto::c1::connector::v2::{
    GetActionSchemaRequest, GetActionSchemaResponse, GetActionStatusRequest, GetActionStatusResponse,
    InvokeActionRequest, InvokeActionResponse, ListActionSchemasRequest, ListActionSchemasResponse,
};

#[async_trait]
impl ActionService for Unoffered {
    async fn invoke_action(&self, _: Request<InvokeActionRequest>) -> Result<Response<InvokeActionResponse>, Status> {
        Err(no_such_action())
    }

    async fn get_action_status(
        &self,
        _: Request<GetActionStatusRequest>,
    ) -> Result<Response<GetActionStatusResponse>, Status> {
        Err(no_such_action())
    }

    async fn get_action_schema(
        &self,
        _: Request<GetActionSchemaRequest>,
    ) -> Result<Response<GetActionSchemaResponse>, Status> {
        Err(no_such_action())
    }

    async fn list_action_schemas(
        &self,
        _: Request<ListActionSchemasRequest>,
    ) -> Result<Response<ListActionSchemasResponse>, Status> {
        Ok(Response::new(ListActionSchemasResponse::default()))
    }
}

fn no_such_action() -> Status {
    status_with_reason(
        Code::NotFound,
        "ACTION_NOT_FOUND",
        "this connector offers no actions: ListActionSchemas lists those that there are".to_owned(),
        None,
    )
}
