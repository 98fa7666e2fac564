//! A server in this process with everything that protects it, and calls to any method of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use buildkite_connector::governance::Governance;
use buildkite_connector::grpc::server::{ListenAddress, Listener, Server, ServerOptions};
use buildkite_connector::providers::buildkite::{ApiToken, Client, Credential};
use buildkite_connector::sandbox::Sandbox;
use futures::StreamExt;
use http::uri::PathAndQuery;
use secrecy::ExposeSecret;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::client::Grpc;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt;

use super::support::Setup;

/// Longer than anything takes that ends at all.
const BOUND: Duration = Duration::from_secs(120);

/// A running server.
pub struct House {
    pub address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
}

impl House {
    /// On `sandbox` with its own token.
    pub async fn open(sandbox: &Sandbox, options: ServerOptions) -> Self {
        let token: ApiToken = sandbox.token().expose_secret().parse().unwrap();
        Self::with(sandbox, token.into(), options).await
    }

    /// With a token that may change.
    pub async fn with(sandbox: &Sandbox, credential: Credential, options: ServerOptions) -> Self {
        let setup = Setup::default();
        let client = Client::with_credential(
            sandbox.url().parse().unwrap(),
            sandbox.slug().parse().unwrap(),
            credential,
            setup.client,
        );
        let access = Arc::new(Governance::new(Arc::new(client.unwrap()), setup.access));
        let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
        let ListenAddress::Tcp(address) = listener.address().unwrap() else {
            panic!("not on TCP")
        };
        let server = Server::new(access, options).await.unwrap();
        let (end, ended) = oneshot::channel();
        let running = tokio::spawn(async move {
            server.run(listener, async { drop(ended.await) }).await.unwrap();
        });
        Self {
            address,
            end: Some(end),
            running,
        }
    }

    /// A plain channel, opened.
    pub async fn channel(&self) -> Channel {
        let endpoint = Endpoint::try_from(format!("http://{}", self.address)).unwrap();
        endpoint.connect().await.unwrap()
    }

    /// A channel over TLS, opened when it is first used.
    pub fn tls(&self, config: ClientTlsConfig) -> Channel {
        let endpoint = Endpoint::try_from(format!("https://localhost:{}", self.address.port())).unwrap();
        endpoint.tls_config(config).unwrap().connect_lazy()
    }

    /// Tells it to end, as a signal would.
    pub fn tell(&mut self) {
        drop(self.end.take());
    }

    /// Waits for its end.
    pub async fn ended(mut self) {
        self.tell();
        tokio::time::timeout(BOUND, &mut self.running)
            .await
            .expect("it does not end")
            .unwrap();
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// The sandbox's token in a file, and the directory that holds it.
pub fn write_token(sandbox: &Sandbox) -> (tempfile::TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, sandbox.token().expose_secret()).unwrap();
    (directory, path)
}

/// What a caller shows.
pub fn bearer(token: &str) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    metadata.insert("authorization", format!("Bearer {token}").parse().unwrap());
    metadata
}

/// Calls any method with an empty message: the first answer, or the status.
pub async fn call(channel: &Channel, path: &str, metadata: &MetadataMap) -> Result<(), Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready()
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let mut request = Request::new(());
    *request.metadata_mut() = metadata.clone();
    let codec: ProstCodec<(), ()> = ProstCodec::default();
    let path = PathAndQuery::try_from(path.to_owned()).unwrap();
    let mut answers = grpc.server_streaming(request, path, codec).await?.into_inner();
    answers.next().await.transpose().map(|_| ())
}

/// The reason of a status of ours; empty for one of somebody else's.
pub fn reason_of(status: &Status) -> String {
    let info = status.get_error_details().error_info().cloned();
    info.filter(|info| info.domain == "buildkite-connector")
        .map(|info| info.reason)
        .unwrap_or_default()
}

/// How a call was received: let in, or turned away for this reason.
pub fn received(answer: &Result<(), Status>) -> String {
    match answer {
        Ok(()) => "let in".to_owned(),
        Err(status) => match reason_of(status) {
            reason if reason.starts_with("CALLER_") => reason,
            reason if reason.is_empty() && status.code() == Code::Unimplemented => "unimplemented".to_owned(),
            _ => "let in".to_owned(),
        },
    }
}

/// Polls until it is so.
pub async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + BOUND;
    while !so().await {
        assert!(Instant::now() < end, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
