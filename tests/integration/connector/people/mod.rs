//! Inviting and off-boarding people, and creating and deleting teams, over a real channel.

mod accounts;
mod lost_replies;
mod off_boarding;
mod own_changes;
mod resources;
mod settings;

use std::collections::BTreeMap;
use std::path::PathBuf;

use buildkite_connector::governance::{AllowedChanges, Change, GovernanceSettings};
use buildkite_connector::proto::c1::connector::v2::account_manager_service_client::AccountManagerServiceClient;
use buildkite_connector::proto::c1::connector::v2::create_account_response::Result as Arm;
use buildkite_connector::proto::c1::connector::v2::resource_deleter_service_client::ResourceDeleterServiceClient;
use buildkite_connector::proto::c1::connector::v2::resource_manager_service_client::ResourceManagerServiceClient;
use buildkite_connector::proto::c1::connector::v2::{
    AccountInfo, CreateAccountRequest, CreateResourceRequest, DeleteResourceRequest, DeleteResourceV2Request, Resource,
};
use buildkite_connector::providers::buildkite::IncludedType;
use buildkite_connector::sandbox::{
    Endpoint, InvitationState, Organization, OrganizationRole, Person, Sandbox, TokenSpec,
};
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use secrecy::SecretString;
use tempfile::TempDir;
use tonic::Status;
use tonic::transport::Channel;
use uuid::Uuid;

use super::provisioning::write_timeouts;
use crate::support::platform::id_of;
use crate::support::{Caller, Setup, TestServer, resource, sandbox, sized};

/// An organization of twelve people and four teams without members, and a connector that may change all of it.
pub struct World {
    pub sandbox: Sandbox,
    pub connector: TestServer,
    pub channel: Channel,
    /// Without the owner of the token.
    pub people: Vec<Person>,
    pub directory: TempDir,
}

pub const ADA: &str = "ada@joiner.example";

/// All that this is about is allowed. The record is in `directory`.
pub fn setup(directory: &TempDir) -> Setup {
    Setup {
        include: vec![IncludedType::Organization, IncludedType::Invitation],
        access: GovernanceSettings {
            allowed: AllowedChanges::from_iter([
                Change::Membership,
                Change::OrganizationRoles,
                Change::Invitations,
                Change::OffBoarding,
                Change::Teams,
            ]),
            audit_file: Some(audit_file(directory)),
            write_timeouts: write_timeouts(),
            ..GovernanceSettings::default()
        },
        ..Setup::default()
    }
}

/// A token of the owner with every scope.
fn token(sandbox: &Sandbox) -> SecretString {
    sandbox.mint(TokenSpec::owned_by(sandbox.owner()).with_all_scopes())
}

fn audit_file(directory: &TempDir) -> PathBuf {
    directory.path().join("audit.jsonl")
}

impl World {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Setup)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut setup = setup(&directory);
        change(&mut setup);
        let sandbox = sandbox(sized(4, 0, 12)).await;
        let token = token(&sandbox);
        let connector = TestServer::with(&sandbox, &token, setup).await;
        let people = sandbox.with_organization(|organization| organization.people().iter().skip(1).cloned().collect());
        Self {
            channel: connector.channel().await,
            sandbox,
            connector,
            people,
            directory,
        }
    }

    /// A second process on the same organization and the same record.
    pub async fn restart(&mut self, change: impl FnOnce(&mut Setup)) {
        let mut setup = setup(&self.directory);
        change(&mut setup);
        self.connector = TestServer::with(&self.sandbox, &token(&self.sandbox), setup).await;
        self.channel = self.connector.channel().await;
    }

    pub async fn invite(&self, email: &str) -> Result<Account, Status> {
        self.create(request(email, &[])).await
    }

    pub async fn create(&self, request: CreateAccountRequest) -> Result<Account, Status> {
        create(self.channel.clone(), request).await
    }

    pub async fn delete(&self, kind: &str, id: Uuid) -> Result<(), Status> {
        delete(self.channel.clone(), kind, id).await
    }

    /// As `delete`, by the other service that does the same.
    pub async fn delete_v2(&self, kind: &str, id: Uuid) -> Result<(), Status> {
        let request = DeleteResourceV2Request {
            resource_id: resource(kind, &id.to_string()).id,
            parent_resource_id: None,
        };
        let mut client = ResourceDeleterServiceClient::new(self.channel.clone());
        client.delete_resource_v2(request).await.map(drop)
    }

    pub async fn create_resource(&self, resource: Resource) -> Result<Resource, Status> {
        let mut client = ResourceManagerServiceClient::new(self.channel.clone());
        let request = CreateResourceRequest {
            resource: Some(resource),
        };
        let response = client.create_resource(request).await?.into_inner();
        Ok(response.created.unwrap())
    }

    pub fn count(&self, endpoint: Endpoint) -> u64 {
        self.sandbox.request_log().count(endpoint)
    }

    pub fn edit<T>(&self, change: impl FnOnce(&mut Organization) -> T) -> T {
        self.sandbox.edit(change)
    }

    /// The addresses with pending invitations.
    pub fn pending(&self) -> Vec<String> {
        self.sandbox.with_organization(|organization| {
            let rows = organization.invitations().iter();
            rows.filter(|row| row.state == InvitationState::Pending)
                .map(|row| row.email.clone())
                .collect()
        })
    }

    pub fn is_member(&self, user: Uuid) -> bool {
        self.sandbox
            .with_organization(|organization| organization.person(user).is_some())
    }

    pub fn make_admin(&self, user: Uuid) {
        self.edit(|organization| organization.set_role(user, OrganizationRole::Admin));
    }

    /// The outcome lines of the record.
    pub fn outcomes(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(audit_file(&self.directory)).unwrap_or_default();
        let lines = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.filter(|line| line["record"] == "outcome").collect()
    }

    pub fn last_outcome(&self) -> serde_json::Value {
        self.outcomes().pop().unwrap()
    }
}

/// The result of a request for an account: its arm, and what it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    AlreadyExists(String),
    ActionRequired { kind: String, id: String, message: String },
}

pub async fn create(channel: impl Into<Caller>, request: CreateAccountRequest) -> Result<Account, Status> {
    let mut client = AccountManagerServiceClient::new(channel.into());
    let response = client.create_account(request).await?.into_inner();
    assert!(response.encrypted_data.is_empty());
    Ok(match response.result.unwrap() {
        Arm::AlreadyExists(found) => {
            assert!(found.is_create_account_result);
            let user = found.resource.unwrap();
            assert_eq!(user.id.as_ref().unwrap().resource_type, "user");
            Account::AlreadyExists(id_of(&user))
        }
        Arm::ActionRequired(required) => {
            assert!(required.is_create_account_result);
            let invitation = required.resource.unwrap();
            Account::ActionRequired {
                kind: invitation.id.as_ref().unwrap().resource_type.clone(),
                id: id_of(&invitation),
                message: required.message,
            }
        }
        other => panic!("{other:?}"),
    })
}

pub async fn delete(channel: impl Into<Caller>, kind: &str, id: Uuid) -> Result<(), Status> {
    let request = DeleteResourceRequest {
        resource_id: resource(kind, &id.to_string()).id,
        parent_resource_id: None,
    };
    let mut client = ResourceManagerServiceClient::new(channel.into());
    client.delete_resource(request).await.map(drop)
}

/// A request by the profile alone.
pub fn request(email: &str, fields: &[(&str, Value)]) -> CreateAccountRequest {
    let fields = fields.iter().map(|(field, value)| ((*field).to_owned(), value.clone()));
    let fields: BTreeMap<String, Value> = fields.chain([("email".to_owned(), text(email))]).collect();
    CreateAccountRequest {
        account_info: Some(AccountInfo {
            profile: Some(Struct { fields }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub fn text(text: &str) -> Value {
    Value {
        kind: Some(Kind::StringValue(text.to_owned())),
    }
}

pub fn flag(flag: bool) -> Value {
    Value {
        kind: Some(Kind::BoolValue(flag)),
    }
}

pub fn list(texts: &[&str]) -> Value {
    let values = texts.iter().map(|one| text(one)).collect();
    Value {
        kind: Some(Kind::ListValue(ListValue { values })),
    }
}
