//! The client of the platform. Each call has a token, and is repeated once with a new one if the token is not accepted.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{Stream, unfold};
use prost_types::Any;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Response, Status};

use super::error::PlatformError;
use super::timing::Timing;
use super::token::Tokens;
use super::{ServiceError, ServiceOptions, machine};
use crate::proto::c1::connector::v2::ConnectorMetadata;
use crate::proto::c1::connectorapi::baton::v1::baton_service_client::BatonServiceClient;
use crate::proto::c1::connectorapi::baton::v1::baton_service_upload_asset_request::{
    Msg, UploadData, UploadEof, UploadMetadata,
};
use crate::proto::c1::connectorapi::baton::v1::{
    BatonServiceFinishTaskRequest, BatonServiceGetTaskRequest, BatonServiceGetTaskResponse,
    BatonServiceHeartbeatRequest, BatonServiceHeartbeatResponse, BatonServiceHelloRequest,
    BatonServiceUploadAssetRequest,
};

/// Bytes of one message of an upload.
const CHUNK_BYTES: usize = 512 * 1024;

/// The product and the protocol, as platforms read them.
const USER_AGENT: &str = concat!("buildkite-connector/", env!("CARGO_PKG_VERSION"), " baton-sdk/0.25.0");

/// Interval of HTTP/2 pings, which detect a lost connection.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// Timeout of opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to the platform.
#[derive(Debug)]
pub(super) struct Platform {
    channel: Channel,
    tokens: Tokens,
    host_id: String,
    timing: Timing,
}

type Client = BatonServiceClient<Channel>;
type PendingResponse<A> = BoxFuture<'static, Result<Response<A>, Status>>;

impl Platform {
    pub(super) fn new(options: ServiceOptions) -> Result<Self, ServiceError> {
        let host = options
            .api_host
            .unwrap_or_else(|| options.client_id.authority().to_owned());
        let unusable = |error: &dyn std::error::Error| ServiceError::Setup(error.to_string());
        let mut http = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(options.timing.call);
        let mut tls = ClientTlsConfig::new();
        if let Some(ca) = &options.platform_ca {
            let roots = reqwest::Certificate::from_pem_bundle(ca).map_err(|error| unusable(&error))?;
            http = http.tls_certs_only(roots);
            tls = tls.ca_certificate(Certificate::from_pem(ca));
        } else {
            tls = tls.with_native_roots();
        }
        let http = http.build().map_err(|error| unusable(&error))?;
        let channel = Endpoint::from_shared(format!("https://{host}"))
            .and_then(|endpoint| endpoint.user_agent(USER_AGENT))
            .and_then(|endpoint| endpoint.tls_config(tls))
            .map_err(|error| unusable(&error))?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .connect_lazy();
        Ok(Self {
            channel,
            tokens: Tokens::new(http, &host, options.client_id, options.client_secret),
            host_id: options.host_id,
            timing: options.timing,
        })
    }

    /// Opens the session, or completes a task of kind `hello`.
    pub(super) async fn hello(&self, task_id: &str, metadata: ConnectorMetadata) -> Result<(), PlatformError> {
        let message = BatonServiceHelloRequest {
            host_id: self.host_id.clone(),
            task_id: task_id.to_owned(),
            build_info: Some(machine::build_info()),
            os_info: Some(machine::os_info()),
            connector_metadata: Some(metadata),
            annotations: vec![],
        };
        let sent = self.call(
            self.timing.call,
            || message.clone(),
            |mut client, request| async move { client.hello(request).await }.boxed(),
        );
        sent.await.map(|_| ())
    }

    pub(super) async fn task(&self) -> Result<BatonServiceGetTaskResponse, PlatformError> {
        let message = BatonServiceGetTaskRequest {
            host_id: self.host_id.clone(),
        };
        let sent = self.call(
            self.timing.poll,
            || message.clone(),
            |mut client, request| async move { client.get_task(request).await }.boxed(),
        );
        sent.await
    }

    pub(super) async fn heartbeat(
        &self,
        task_id: &str,
        annotations: Vec<Any>,
    ) -> Result<BatonServiceHeartbeatResponse, PlatformError> {
        let message = BatonServiceHeartbeatRequest {
            host_id: self.host_id.clone(),
            task_id: task_id.to_owned(),
            annotations,
            task_ids: vec![],
        };
        let sent = self.call(
            self.timing.call,
            || message.clone(),
            |mut client, request| async move { client.heartbeat(request).await }.boxed(),
        );
        sent.await
    }

    /// Reports the result of a task; one attempt.
    pub(super) async fn finish(
        &self,
        mut message: BatonServiceFinishTaskRequest,
        limit: Duration,
    ) -> Result<(), PlatformError> {
        message.host_id.clone_from(&self.host_id);
        let sent = self.call(
            limit,
            || message.clone(),
            |mut client, request| async move { client.finish_task(request).await }.boxed(),
        );
        sent.await.map(|_| ())
    }

    /// Sends a file; one attempt.
    pub(super) async fn upload(&self, task_id: &str, path: &Path) -> Result<(), PlatformError> {
        let failed = Arc::new(Mutex::new(None));
        let metadata = UploadMetadata {
            host_id: self.host_id.clone(),
            task_id: task_id.to_owned(),
            annotations: vec![],
        };
        let message = || messages(metadata.clone(), path.to_owned(), Arc::clone(&failed));
        let sent = self.call(self.timing.upload, message, |mut client, request| {
            async move { client.upload_asset(request).await }.boxed()
        });
        let sent = sent.await.map(|_| ());
        let unreadable: Option<io::Error> = failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        match unreadable {
            Some(error) => Err(Status::internal(format!("the sync's file cannot be read: {error}")).into()),
            None => sent,
        }
    }

    /// Makes a call within `limit`. If the token is not accepted, another is fetched and the call is repeated, once.
    async fn call<Q, A>(
        &self,
        limit: Duration,
        message: impl Fn() -> Q,
        send: impl Fn(Client, Request<Q>) -> PendingResponse<A>,
    ) -> Result<A, PlatformError> {
        let mut repeated = false;
        loop {
            let token = self.tokens.current().await?;
            let mut request = Request::new(message());
            request.metadata_mut().insert("authorization", token.header());
            let answer = timeout(limit, send(Client::new(self.channel.clone()), request)).await;
            let late = |_| Err(Status::deadline_exceeded("the platform does not answer"));
            match answer.unwrap_or_else(late) {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) if status.code() == Code::Unauthenticated && !repeated => {
                    self.tokens.discard(&token).await;
                    repeated = true;
                }
                Err(status) => return Err(status.into()),
            }
        }
    }
}

/// The state of an upload.
enum Sending {
    Begin,
    Data(File, Context),
    Done,
}

/// The messages of an upload. If the file cannot be read, they end without the checksum, and `failed` holds the error.
fn messages(
    metadata: UploadMetadata,
    path: std::path::PathBuf,
    failed: Arc<Mutex<Option<io::Error>>>,
) -> impl Stream<Item = BatonServiceUploadAssetRequest> + Send + 'static {
    unfold(Sending::Begin, move |sending| {
        let (metadata, path, failed) = (metadata.clone(), path.clone(), Arc::clone(&failed));
        async move {
            match next(sending, metadata, &path).await {
                Ok(next) => next,
                Err(error) => {
                    *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    None
                }
            }
        }
    })
}

async fn next(
    sending: Sending,
    metadata: UploadMetadata,
    path: &Path,
) -> io::Result<Option<(BatonServiceUploadAssetRequest, Sending)>> {
    let (message, sending) = match sending {
        Sending::Begin => {
            let file = File::open(path).await?;
            (Msg::Metadata(metadata), Sending::Data(file, Context::new(&SHA256)))
        }
        Sending::Data(mut file, mut digest) => {
            let mut data = Vec::with_capacity(CHUNK_BYTES);
            (&mut file).take(CHUNK_BYTES as u64).read_to_end(&mut data).await?;
            if data.is_empty() {
                let end = UploadEof {
                    sha256_checksum: digest.finish().as_ref().to_vec(),
                    annotations: vec![],
                };
                (Msg::Eof(end), Sending::Done)
            } else {
                digest.update(&data);
                (Msg::Data(UploadData { data }), Sending::Data(file, digest))
            }
        }
        Sending::Done => return Ok(None),
    };
    Ok(Some((BatonServiceUploadAssetRequest { msg: Some(message) }, sending)))
}
