//! `ResourceManagerService` and `ResourceDeleterService`: no resources are created or deleted.

use tonic::{Code, Request, Response, Status, async_trait};

use super::{Unoffered, not_offered};
use crate::proto::c1::connector::v2::resource_deleter_service_server::ResourceDeleterService;
use crate::proto::c1::connector::v2::resource_manager_service_server::ResourceManagerService;
use crate::proto::c1::connector::v2::{
    CreateResourceRequest, CreateResourceResponse, DeleteResourceRequest, DeleteResourceResponse,
    DeleteResourceV2Request, DeleteResourceV2Response,
};

#[async_trait]
impl ResourceManagerService for Unoffered {
    async fn create_resource(
        &self,
        _: Request<CreateResourceRequest>,
    ) -> Result<Response<CreateResourceResponse>, Status> {
        Err(not_offered(
            Code::Unimplemented,
            "this connector creates no resources: create them in Buildkite",
        ))
    }

    async fn delete_resource(
        &self,
        _: Request<DeleteResourceRequest>,
    ) -> Result<Response<DeleteResourceResponse>, Status> {
        Err(no_deleting())
    }
}

#[async_trait]
impl ResourceDeleterService for Unoffered {
    async fn delete_resource_v2(
        &self,
        _: Request<DeleteResourceV2Request>,
    ) -> Result<Response<DeleteResourceV2Response>, Status> {
        Err(no_deleting())
    }
}

fn no_deleting() -> Status {
    not_offered(
        Code::Unimplemented,
        "this connector deletes no resources: delete them in Buildkite",
    )
}
