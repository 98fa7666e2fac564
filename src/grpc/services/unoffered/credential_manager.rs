//! `CredentialManagerService`: no credentials are rotated or issued.

use tonic::{Code, Request, Response, Status, async_trait};

use super::{Unoffered, not_offered};
use crate::proto::c1::connector::v2::credential_manager_service_server::CredentialManagerService;
use crate::proto::c1::connector::v2::{
    IssueCredentialRequest, IssueCredentialResponse, RotateCredentialRequest, RotateCredentialResponse,
};

#[async_trait]
impl CredentialManagerService for Unoffered {
    async fn rotate_credential(
        &self,
        _: Request<RotateCredentialRequest>,
    ) -> Result<Response<RotateCredentialResponse>, Status> {
        Err(not_offered(
            Code::Unimplemented,
            "this connector rotates no credentials: replace them in Buildkite",
        ))
    }

    async fn issue_credential(
        &self,
        _: Request<IssueCredentialRequest>,
    ) -> Result<Response<IssueCredentialResponse>, Status> {
        Err(not_offered(
            Code::Unimplemented,
            "this connector issues no credentials: create them in Buildkite",
        ))
    }
}
