//! `AccountManagerService`: an account is created by inviting the person.

use tonic::{Request, Response, Status, async_trait};

use super::Connector;
use crate::governance::lifecycle::Account;
use crate::grpc::context;
use crate::proto::c1::connector::v2::account_manager_service_server::AccountManagerService;
use crate::proto::c1::connector::v2::create_account_response::{
    ActionRequiredResult, AlreadyExistsResult, Result as Outcome,
};
use crate::proto::c1::connector::v2::{CreateAccountRequest, CreateAccountResponse};
use crate::wire::{lifecycle, rows};

#[async_trait]
impl AccountManagerService for Connector {
    async fn create_account(
        &self,
        request: Request<CreateAccountRequest>,
    ) -> Result<Response<CreateAccountResponse>, Status> {
        let governance = self.governance(&request)?;
        let context = context::from_request(&request, &[]);
        context::respond(&context.clone(), async {
            let catalog = governance.listings().catalog();
            let account = lifecycle::invite(governance.lifecycle(), catalog, &request.into_inner(), context).await?;
            Ok(CreateAccountResponse {
                result: Some(result(account)),
                ..Default::default()
            })
        })
        .await
    }
}

fn result(account: Account) -> Outcome {
    match account {
        Account::User(user) => Outcome::AlreadyExists(AlreadyExistsResult {
            resource: Some(rows::resource(user)),
            is_create_account_result: true,
        }),
        Account::Invited { invitation, is_new } => {
            let email = invitation.handle.as_deref().unwrap_or("the person");
            let message = if is_new {
                format!("{email} was invited and has to accept")
            } else {
                format!("{email} was invited before and has to accept; no second invitation was sent")
            };
            Outcome::ActionRequired(ActionRequiredResult {
                message,
                resource: Some(rows::resource(invitation)),
                is_create_account_result: true,
            })
        }
    }
}
