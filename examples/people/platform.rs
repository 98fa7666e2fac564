//! The calls of a platform: it creates and deletes accounts, and grants and revokes team roles.

use buildkite_connector::proto::c1::connector::v2::account_manager_service_client::AccountManagerServiceClient;
use buildkite_connector::proto::c1::connector::v2::create_account_response::Result as Arm;
use buildkite_connector::proto::c1::connector::v2::grant_manager_service_client::GrantManagerServiceClient;
use buildkite_connector::proto::c1::connector::v2::resource_manager_service_client::ResourceManagerServiceClient;
use buildkite_connector::proto::c1::connector::v2::{
    AccountInfo, CreateAccountRequest, DeleteResourceRequest, Entitlement, Grant, GrantManagerServiceGrantRequest,
    GrantManagerServiceRevokeRequest, Resource, ResourceId,
};
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

/// A connected platform.
pub(crate) struct Platform {
    channel: Channel,
}

/// The result of a request for an account.
pub(crate) enum Account {
    /// The person is a user with this id.
    User { id: String },
    /// The person has an invitation with this id and has to accept it.
    Invited { id: String, message: String },
}

impl Platform {
    pub(crate) async fn connect(address: &str) -> Result<Self, tonic::transport::Error> {
        let channel = Endpoint::try_from(address.to_owned())?.connect().await?;
        Ok(Self { channel })
    }

    /// Invites the person, unless they are a user or have an invitation.
    pub(crate) async fn create_account(&self, email: &str, teams: &[&str]) -> Result<Account, Status> {
        let teams = teams.iter().map(|team| text(team)).collect();
        let teams = Value {
            kind: Some(Kind::ListValue(ListValue { values: teams })),
        };
        let fields = [("email".to_owned(), text(email)), ("teams".to_owned(), teams)];
        let request = CreateAccountRequest {
            account_info: Some(AccountInfo {
                profile: Some(Struct { fields: fields.into() }),
                ..Default::default()
            }),
            ..Default::default()
        };
        let mut connector = AccountManagerServiceClient::new(self.channel.clone());
        let response = connector.create_account(request).await?.into_inner();
        match response.result {
            Some(Arm::AlreadyExists(found)) => Ok(Account::User {
                id: id_of(found.resource),
            }),
            Some(Arm::ActionRequired(required)) => Ok(Account::Invited {
                id: id_of(required.resource),
                message: required.message,
            }),
            other => Err(Status::internal(format!("the connector answers {other:?}"))),
        }
    }

    /// Removes the user from the organization.
    pub(crate) async fn delete_user(&self, user: &str) -> Result<(), Status> {
        let mut connector = ResourceManagerServiceClient::new(self.channel.clone());
        let request = DeleteResourceRequest {
            resource_id: resource("user", user).id,
            parent_resource_id: None,
        };
        connector.delete_resource(request).await.map(drop)
    }

    pub(crate) async fn grant(&self, team: &str, role: &str, user: &str) -> Result<(), Status> {
        let mut connector = GrantManagerServiceClient::new(self.channel.clone());
        let request = GrantManagerServiceGrantRequest {
            entitlement: Some(entitlement(team, role)),
            principal: Some(resource("user", user)),
            annotations: vec![],
        };
        connector.grant(request).await.map(drop)
    }

    pub(crate) async fn revoke(&self, team: &str, role: &str, user: &str) -> Result<(), Status> {
        let mut connector = GrantManagerServiceClient::new(self.channel.clone());
        let grant = Grant {
            entitlement: Some(entitlement(team, role)),
            principal: Some(resource("user", user)),
            ..Default::default()
        };
        let request = GrantManagerServiceRevokeRequest {
            grant: Some(grant),
            annotations: vec![],
        };
        connector.revoke(request).await.map(drop)
    }
}

fn text(text: &str) -> Value {
    Value {
        kind: Some(Kind::StringValue(text.to_owned())),
    }
}

fn entitlement(team: &str, role: &str) -> Entitlement {
    Entitlement {
        id: format!("team:{team}:{role}"),
        resource: Some(resource("team", team)),
        ..Default::default()
    }
}

fn resource(resource_type: &str, id: &str) -> Resource {
    Resource {
        id: Some(ResourceId {
            resource_type: resource_type.to_owned(),
            resource: id.to_owned(),
            baton_resource: false,
        }),
        ..Default::default()
    }
}

fn id_of(resource: Option<Resource>) -> String {
    let id = resource.and_then(|resource| resource.id);
    id.map(|id| id.resource).unwrap_or_default()
}
