//! `AccountManagerService`: no accounts are created.

use tonic::{Code, Request, Response, Status, async_trait};

use super::{Unoffered, not_offered};
use crate::proto::c1::connector::v2::account_manager_service_server::AccountManagerService;
use crate::proto::c1::connector::v2::{CreateAccountRequest, CreateAccountResponse};

#[async_trait]
impl AccountManagerService for Unoffered {
    async fn create_account(
        &self,
        _: Request<CreateAccountRequest>,
    ) -> Result<Response<CreateAccountResponse>, Status> {
        Err(not_offered(
            Code::Unimplemented,
            "this connector creates no accounts: invite the person in Buildkite",
        ))
    }
}
