//! `BatonService`: what a connector sends is checked as the protocol demands, and kept.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use http::Extensions;
use prost_types::Any;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::PlatformOptions;
use super::connection::ConnectionEnd;
use super::credentials::{Client, Tokens};
use super::faults::{FaultKind, Faults, Method};
use super::ledger::{SharedLedger, Upload};
use crate::proto::c1::connectorapi::baton::v1::baton_service_server::BatonService;
use crate::proto::c1::connectorapi::baton::v1::baton_service_upload_asset_request::Msg;
use crate::proto::c1::connectorapi::baton::v1::{
    BatonServiceFinishTaskRequest, BatonServiceFinishTaskResponse, BatonServiceGetTaskRequest,
    BatonServiceGetTaskResponse, BatonServiceGetTasksRequest, BatonServiceGetTasksResponse,
    BatonServiceHeartbeatRequest, BatonServiceHeartbeatResponse, BatonServiceHelloRequest, BatonServiceHelloResponse,
    BatonServiceUploadAssetRequest, BatonServiceUploadAssetResponse, StartDebuggingRequest, StartDebuggingResponse,
};

/// Bytes of one message's data.
const LARGEST_DATA: usize = 1 << 20;

/// Annotations of one message.
const MOST_ANNOTATIONS: usize = 16;

/// Everything that answering needs.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) client: Client,
    pub(super) tokens: Tokens,
    pub(super) ledger: SharedLedger,
    pub(super) faults: Faults,
    next_poll: Duration,
    next_heartbeat: Duration,
}

/// What is still to go wrong once a call was carried out.
pub(super) struct After {
    struck: Vec<FaultKind>,
    connection: Option<ConnectionEnd>,
}

impl After {
    fn has(&self, kind: FaultKind) -> bool {
        self.struck.contains(&kind)
    }

    /// Loses the answer, where that is what goes wrong.
    pub(super) async fn lose(&self) {
        if self.has(FaultKind::Lost) {
            close(self.connection.as_ref()).await;
        }
    }
}

/// Closes the connection, and with it the call that waits here.
async fn close(connection: Option<&ConnectionEnd>) {
    if let Some(ConnectionEnd(end)) = connection {
        end.cancel();
    }
    std::future::pending::<()>().await;
}

impl Service {
    pub(super) fn new(client: Client, options: &PlatformOptions) -> Self {
        let service = Self {
            client,
            tokens: Tokens::new(options.token_life),
            ledger: SharedLedger::default(),
            faults: Faults::default(),
            next_poll: options.next_poll,
            next_heartbeat: options.next_heartbeat,
        };
        for fault in &options.faults {
            service.faults.add(*fault);
        }
        service
    }

    /// Notes a call and lets its faults strike.
    pub(super) async fn strike(&self, method: Method, extensions: &Extensions) -> Result<After, Status> {
        self.ledger.edit(|ledger| ledger.calls.push(method));
        let connection = extensions.get::<ConnectionEnd>().cloned();
        let struck = self.faults.strike(method);
        for kind in &struck {
            match kind {
                FaultKind::Refuse(code) => return Err(Status::new(*code, "the sandbox refuses it on purpose")),
                FaultKind::Hang => std::future::pending().await,
                FaultKind::Close => close(connection.as_ref()).await,
                FaultKind::Delay(time) => tokio::time::sleep(*time).await,
                FaultKind::Expire => self.tokens.expire(),
                FaultKind::Lost | FaultKind::Cancel | FaultKind::Twice => {}
            }
        }
        Ok(After { struck, connection })
    }

    /// The same for a call of `BatonService`, which needs a token.
    async fn enter<T>(&self, method: Method, request: &Request<T>) -> Result<After, Status> {
        let after = self.strike(method, request.extensions()).await?;
        let authorization = request.metadata().get("authorization");
        let authorization = authorization.and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !self.tokens.accept(authorization) {
            return Err(Status::unauthenticated("the token is unknown or has expired"));
        }
        Ok(after)
    }
}

fn refuse_unless(condition: bool, problem: &str) -> Result<(), Status> {
    if condition {
        Ok(())
    } else {
        Err(Status::invalid_argument(problem))
    }
}

fn check_host(id: &str) -> Result<(), Status> {
    refuse_unless((1..=256).contains(&id.len()), "host_id: 1 to 256 bytes")
}

fn check_task(id: &str) -> Result<(), Status> {
    let plain = id.len() == 27 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    refuse_unless(plain, "task_id: 27 letters and digits")
}

fn check_annotations(annotations: &[Any]) -> Result<(), Status> {
    refuse_unless(annotations.len() <= MOST_ANNOTATIONS, "annotations: at most 16")
}

fn check_hello(hello: &BatonServiceHelloRequest) -> Result<(), Status> {
    check_host(&hello.host_id)?;
    if !hello.task_id.is_empty() {
        check_task(&hello.task_id)?;
    }
    check_annotations(&hello.annotations)?;
    let build = hello.build_info.clone().unwrap_or_default();
    let os = hello.os_info.clone().unwrap_or_default();
    let texts = [
        build.lang_version,
        build.package,
        build.package_version,
        os.hostname,
        os.os,
        os.platform,
        os.platform_version,
        os.platform_family,
        os.kernel_version,
        os.kernel_arch,
        os.virtualization_system,
    ];
    let whole = texts.iter().all(|text| (1..=256).contains(&text.len()));
    refuse_unless(whole, "build_info and os_info: every field, 1 to 256 bytes")?;
    refuse_unless(hello.connector_metadata.is_some(), "connector_metadata: required")
}

/// The service as tonic serves it.
#[derive(Clone, Debug)]
pub(super) struct Baton(pub(super) Arc<Service>);

#[async_trait]
impl BatonService for Baton {
    async fn hello(
        &self,
        request: Request<BatonServiceHelloRequest>,
    ) -> Result<Response<BatonServiceHelloResponse>, Status> {
        let after = self.0.enter(Method::Hello, &request).await?;
        let hello = request.into_inner();
        check_hello(&hello)?;
        self.0.ledger.edit(|ledger| ledger.hellos.push(hello));
        after.lose().await;
        Ok(Response::new(BatonServiceHelloResponse::default()))
    }

    async fn get_task(
        &self,
        request: Request<BatonServiceGetTaskRequest>,
    ) -> Result<Response<BatonServiceGetTaskResponse>, Status> {
        let after = self.0.enter(Method::GetTask, &request).await?;
        check_host(&request.get_ref().host_id)?;
        let task = self.0.ledger.take(after.has(FaultKind::Twice));
        after.lose().await;
        Ok(Response::new(BatonServiceGetTaskResponse {
            task,
            next_poll: prost_types::Duration::try_from(self.0.next_poll).ok(),
            next_heartbeat: prost_types::Duration::try_from(self.0.next_heartbeat).ok(),
            annotations: vec![],
        }))
    }

    async fn get_tasks(
        &self,
        _: Request<BatonServiceGetTasksRequest>,
    ) -> Result<Response<BatonServiceGetTasksResponse>, Status> {
        Err(Status::unimplemented("tasks are handed out one by one here"))
    }

    async fn heartbeat(
        &self,
        request: Request<BatonServiceHeartbeatRequest>,
    ) -> Result<Response<BatonServiceHeartbeatResponse>, Status> {
        let after = self.0.enter(Method::Heartbeat, &request).await?;
        let heartbeat = request.into_inner();
        check_host(&heartbeat.host_id)?;
        check_task(&heartbeat.task_id)?;
        check_annotations(&heartbeat.annotations)?;
        let cancelled = self.0.ledger.heartbeat(&heartbeat.task_id);
        let cancelled = cancelled.ok_or_else(|| Status::not_found("no such task runs"))?;
        after.lose().await;
        Ok(Response::new(BatonServiceHeartbeatResponse {
            next_heartbeat: prost_types::Duration::try_from(self.0.next_heartbeat).ok(),
            cancelled: cancelled || after.has(FaultKind::Cancel),
            ..Default::default()
        }))
    }

    async fn finish_task(
        &self,
        request: Request<BatonServiceFinishTaskRequest>,
    ) -> Result<Response<BatonServiceFinishTaskResponse>, Status> {
        let after = self.0.enter(Method::Finish, &request).await?;
        let report = request.into_inner();
        check_host(&report.host_id)?;
        check_task(&report.task_id)?;
        refuse_unless(report.final_state.is_some(), "final_state: required")?;
        if !self.0.ledger.finish(report) {
            return Err(Status::not_found("no such task runs"));
        }
        after.lose().await;
        Ok(Response::new(BatonServiceFinishTaskResponse::default()))
    }

    async fn upload_asset(
        &self,
        request: Request<Streaming<BatonServiceUploadAssetRequest>>,
    ) -> Result<Response<BatonServiceUploadAssetResponse>, Status> {
        let after = self.0.enter(Method::Upload, &request).await?;
        let upload = receive(request.into_inner()).await?;
        if !self.0.ledger.is_running(&upload.task_id) {
            return Err(Status::not_found("no such task runs"));
        }
        self.0.ledger.edit(|ledger| ledger.uploads.push(upload));
        after.lose().await;
        Ok(Response::new(BatonServiceUploadAssetResponse::default()))
    }

    async fn start_debugging(
        &self,
        _: Request<StartDebuggingRequest>,
    ) -> Result<Response<StartDebuggingResponse>, Status> {
        Err(Status::unimplemented("nothing is debugged here"))
    }
}

/// Reads an upload: its metadata, its data, its checksum, and nothing after that.
async fn receive(mut messages: Streaming<BatonServiceUploadAssetRequest>) -> Result<Upload, Status> {
    let first = messages.message().await?.and_then(|message| message.msg);
    let Some(Msg::Metadata(metadata)) = first else {
        return Err(Status::invalid_argument("an upload begins with its metadata"));
    };
    check_host(&metadata.host_id)?;
    check_task(&metadata.task_id)?;
    let mut upload = Upload {
        task_id: metadata.task_id,
        bytes: vec![],
        chunks: vec![],
    };
    let checksum = loop {
        match messages.message().await?.and_then(|message| message.msg) {
            Some(Msg::Data(data)) => {
                let size = data.data.len();
                refuse_unless((1..=LARGEST_DATA).contains(&size), "data: 1 byte to 1 MiB")?;
                upload.bytes.extend(data.data);
                upload.chunks.push(size);
            }
            Some(Msg::Eof(end)) => break end.sha256_checksum,
            _ => return Err(Status::invalid_argument("an upload ends with its checksum")),
        }
    };
    refuse_unless(
        checksum == digest(&SHA256, &upload.bytes).as_ref(),
        "the checksum is another",
    )?;
    refuse_unless(messages.message().await?.is_none(), "nothing follows the checksum")?;
    Ok(upload)
}
