//! Actions over a real channel.

mod builds;
mod invocations;
mod late_builds;
mod rest_get;
mod roles;
mod schemas;
mod teams;

use std::path::PathBuf;

use buildkite_connector::governance::{AllowedChanges, Change, GovernanceSettings};
use buildkite_connector::proto::c1::connector::v2::action_service_client::ActionServiceClient;
use buildkite_connector::proto::c1::connector::v2::{
    BatonActionSchema, BatonActionStatus, GetActionStatusRequest, InvokeActionRequest, ListActionSchemasRequest,
};
use buildkite_connector::providers::buildkite::IncludedType;
use buildkite_connector::sandbox::{Endpoint, Pipeline, Sandbox, TokenSpec};
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tonic::Status;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::connector::provisioning::write_timeouts;
use crate::support::{Caller, Setup, TestServer, sandbox, sized};

/// An organization with four teams of three people and two pipelines, and a connector that allows every action. Builds may be started
/// in the pipeline `deploy`.
pub struct World {
    pub sandbox: Sandbox,
    pub connector: TestServer,
    pub channel: Channel,
    pub teams: Vec<Uuid>,
    pub pipeline: Uuid,
    pub directory: TempDir,
}

/// How an action ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    pub id: String,
    pub status: BatonActionStatus,
    pub response: Json,
}

impl Ended {
    /// The response of an action that was carried out.
    pub fn complete(self) -> Json {
        assert_eq!(self.status, BatonActionStatus::Complete, "{self:?}");
        assert_eq!(self.response["success"], true);
        self.response
    }

    /// The reason and the sentence of one that was not.
    pub fn failed(self) -> (String, String) {
        assert_eq!(self.status, BatonActionStatus::Failed, "{self:?}");
        assert_eq!(self.response["success"], false);
        let text = |field: &str| self.response[field].as_str().unwrap().to_owned();
        (text("reason"), text("error"))
    }
}

pub fn settings(directory: &TempDir) -> Setup {
    Setup {
        include: vec![IncludedType::Pipeline],
        access: GovernanceSettings {
            allowed: AllowedChanges::from_iter([Change::Teams, Change::Builds, Change::RestRead]),
            build_pipelines: vec!["deploy".to_owned()],
            audit_file: Some(audit_file(directory)),
            write_timeouts: write_timeouts(),
            ..GovernanceSettings::default()
        },
        ..Setup::default()
    }
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
        let mut setup = settings(&directory);
        change(&mut setup);
        let sandbox = sandbox(sized(4, 3, 12)).await;
        let pipeline = sandbox.edit(|organization| {
            organization.add_pipeline(Pipeline::new("docs", "Docs"));
            let mut deploy = Pipeline::new("deploy", "Deploy");
            deploy.approval = true;
            organization.add_pipeline(deploy)
        });
        let token = sandbox.mint(TokenSpec::owned_by(sandbox.owner()).with_all_scopes());
        let connector = TestServer::with(&sandbox, &token, setup).await;
        let teams = sandbox.with_organization(|organization| organization.teams().iter().map(|team| team.id).collect());
        Self {
            channel: connector.channel().await,
            sandbox,
            connector,
            teams,
            pipeline,
            directory,
        }
    }

    /// Invokes an action and waits for its end.
    pub async fn invoke(&self, action: &str, arguments: Json) -> Result<Ended, Status> {
        invoke(self.channel.clone(), action, arguments, 60).await
    }

    pub async fn status(&self, id: &str) -> Result<Ended, Status> {
        status(self.channel.clone(), id).await
    }

    pub async fn schemas(&self, resource_type: &str) -> Vec<BatonActionSchema> {
        let request = ListActionSchemasRequest {
            resource_type_id: resource_type.to_owned(),
            ..Default::default()
        };
        let mut client = ActionServiceClient::new(self.channel.clone());
        client.list_action_schemas(request).await.unwrap().into_inner().schemas
    }

    pub fn count(&self, endpoint: Endpoint) -> u64 {
        self.sandbox.request_log().count(endpoint)
    }

    /// The argument that names the team with this index.
    pub fn team(&self, index: usize) -> Json {
        json!({ "resource_type_id": "team", "resource_id": self.teams[index].to_string() })
    }

    /// The argument that names the pipeline with this slug.
    pub fn pipeline(&self, slug: &str) -> Json {
        let id = self
            .sandbox
            .with_organization(|organization| organization.pipeline_by_slug(slug).unwrap().id);
        json!({ "resource_type": "pipeline", "resource": id.to_string() })
    }

    /// The outcome lines of the record.
    pub fn outcomes(&self) -> Vec<Json> {
        let text = std::fs::read_to_string(audit_file(&self.directory)).unwrap_or_default();
        let lines = text.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
        lines.filter(|line| line["record"] == "outcome").collect()
    }
}

pub async fn invoke(channel: impl Into<Caller>, action: &str, arguments: Json, wait: i64) -> Result<Ended, Status> {
    let Some(Kind::StructValue(args)) = value(arguments).kind else {
        panic!("the arguments are an object")
    };
    let request = InvokeActionRequest {
        name: action.to_owned(),
        args: Some(args),
        inline_wait: Some(prost_types::Duration {
            seconds: wait,
            nanos: 0,
        }),
        ..Default::default()
    };
    let response = ActionServiceClient::new(channel.into())
        .invoke_action(request)
        .await?
        .into_inner();
    assert_eq!(response.name, action);
    Ok(Ended {
        status: response.status(),
        id: response.id,
        response: response.response.map(json_of).unwrap_or_default(),
    })
}

pub async fn status(channel: impl Into<Caller>, id: &str) -> Result<Ended, Status> {
    let request = GetActionStatusRequest {
        id: id.to_owned(),
        ..Default::default()
    };
    let response = ActionServiceClient::new(channel.into())
        .get_action_status(request)
        .await?
        .into_inner();
    Ok(Ended {
        status: response.status(),
        id: response.id,
        response: response.response.map(json_of).unwrap_or_default(),
    })
}

fn value(json: Json) -> Value {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(flag) => Kind::BoolValue(flag),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap()),
        Json::String(text) => Kind::StringValue(text),
        Json::Array(values) => Kind::ListValue(ListValue {
            values: values.into_iter().map(value).collect(),
        }),
        Json::Object(fields) => Kind::StructValue(Struct {
            fields: fields.into_iter().map(|(name, json)| (name, value(json))).collect(),
        }),
    };
    Value { kind: Some(kind) }
}

fn json_of(fields: Struct) -> Json {
    fields
        .fields
        .into_iter()
        .map(|(name, value)| (name, json_value(value)))
        .collect()
}

fn json_value(value: Value) -> Json {
    match value.kind.unwrap() {
        Kind::NullValue(_) => Json::Null,
        Kind::BoolValue(flag) => flag.into(),
        Kind::NumberValue(number) => number.into(),
        Kind::StringValue(text) => text.into(),
        Kind::ListValue(list) => list.values.into_iter().map(json_value).collect(),
        Kind::StructValue(fields) => json_of(fields),
    }
}
