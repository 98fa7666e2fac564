//! `ResourceDeleterService`: deletes resources as `ResourceManagerService` does.

use tonic::{Request, Response, Status, async_trait};

use super::Connector;
use super::resource_manager::delete;
use crate::grpc::context;
use crate::proto::c1::connector::v2::resource_deleter_service_server::ResourceDeleterService;
use crate::proto::c1::connector::v2::{DeleteResourceV2Request, DeleteResourceV2Response};

#[async_trait]
impl ResourceDeleterService for Connector {
    async fn delete_resource_v2(
        &self,
        request: Request<DeleteResourceV2Request>,
    ) -> Result<Response<DeleteResourceV2Response>, Status> {
        let governance = self.governance(&request)?;
        let context = context::from_request(&request, &[]);
        context::respond(&context.clone(), async {
            delete(&governance, request.into_inner().resource_id.as_ref(), context).await?;
            Ok(DeleteResourceV2Response { annotations: vec![] })
        })
        .await
    }
}
