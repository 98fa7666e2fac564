//! A connector that serves in this process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use buildkite_connector::governance::connections::Connections;
use buildkite_connector::governance::{AllowedChanges, Change, Governance, GovernanceSettings};
use buildkite_connector::grpc::server::{ListenAddress, Listener, Server, ServerOptions};
use buildkite_connector::providers::buildkite::{
    ApiToken, Client, ClientOptions, Coverage, Credential, IncludedType, Scope, govern,
};
use buildkite_connector::sandbox::Sandbox;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::body::Body;
use tonic::codegen::http::Uri;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use super::platform::Platform;
use super::wait::within;

/// The settings of a connector under test.
#[derive(Clone)]
pub struct Setup {
    pub client: ClientOptions,
    pub access: GovernanceSettings,
    /// The resource types beside users and teams.
    pub include: Vec<IncludedType>,
    /// The scopes that other integrations require.
    pub require: Vec<Scope>,
}

impl Setup {
    /// What is covered: the included types, and the changes that the settings allow.
    pub fn coverage(&self) -> Coverage {
        let allowed = self.access.allowed.clone();
        Coverage::new(self.include.iter().copied(), allowed, self.require.iter().copied()).unwrap()
    }
}

impl Default for Setup {
    fn default() -> Self {
        let client = ClientOptions {
            // Longer than any response takes that comes, also on a busy machine.
            attempt_timeout: Duration::from_secs(20),
            retry_for: Duration::from_secs(5),
            ..ClientOptions::default()
        };
        Self {
            client,
            access: GovernanceSettings {
                allowed: AllowedChanges::from_iter([Change::Membership]),
                ..GovernanceSettings::default()
            },
            include: Vec::new(),
            require: Vec::new(),
        }
    }
}

/// A connector behind a real listener; it is aborted when this is dropped.
pub struct TestServer {
    pub address: SocketAddr,
    shutdown: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
}

impl TestServer {
    /// On `sandbox` with its own token.
    pub async fn on(sandbox: &Sandbox) -> Self {
        Self::with(sandbox, sandbox.token(), Setup::default()).await
    }

    /// On `sandbox` with this token and these settings.
    pub async fn with(sandbox: &Sandbox, token: &SecretString, setup: Setup) -> Self {
        Self::at(sandbox.url(), sandbox.slug(), token, setup).await
    }

    /// On any HTTP server.
    pub async fn at(url: &str, slug: &str, token: &SecretString, setup: Setup) -> Self {
        let token: ApiToken = token.expose_secret().parse().unwrap();
        Self::serving(governance(url, slug, token.into(), setup)).await
    }

    /// On `sandbox` with its own token and these options of the server.
    pub async fn with_options(sandbox: &Sandbox, options: ServerOptions) -> Self {
        let token: ApiToken = sandbox.token().expose_secret().parse().unwrap();
        Self::with_credential(sandbox, token.into(), options).await
    }

    /// On `sandbox` with a token that may change.
    pub async fn with_credential(sandbox: &Sandbox, credential: Credential, options: ServerOptions) -> Self {
        let governance = governance(sandbox.url(), sandbox.slug(), credential, Setup::default());
        Self::start(governance, options).await
    }

    /// On `sandbox` with this token, these settings and these options of the server.
    pub async fn with_all(sandbox: &Sandbox, token: &SecretString, setup: Setup, options: ServerOptions) -> Self {
        let token: ApiToken = token.expose_secret().parse().unwrap();
        Self::start(governance(sandbox.url(), sandbox.slug(), token.into(), setup), options).await
    }

    /// Of a core that the test has made.
    pub async fn serving(governance: Governance) -> Self {
        Self::start(governance, ServerOptions::default()).await
    }

    async fn start(governance: Governance, options: ServerOptions) -> Self {
        Self::choosing(Arc::new(governance).into(), options).await
    }

    /// Of these connections, among which calls choose.
    pub async fn choosing(connections: Connections, options: ServerOptions) -> Self {
        let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
        let ListenAddress::Tcp(address) = listener.address().unwrap() else {
            panic!("not on TCP")
        };
        let server = Server::new(connections, options).await;
        let (shutdown, requested) = oneshot::channel();
        let running = tokio::spawn(async move {
            server.run(listener, async { drop(requested.await) }).await.unwrap();
        });
        Self {
            address,
            shutdown: Some(shutdown),
            running,
        }
    }

    /// A transport that leaves the deadline of a call to the server, and its origin. A channel of tonic's would end the call itself,
    /// as CANCELLED.
    pub fn transport(&self) -> (HttpClient<HttpConnector, Body>, Uri) {
        let http = HttpClient::builder(TokioExecutor::new()).http2_only(true).build_http();
        (http, format!("http://{}", self.address).parse().unwrap())
    }

    /// A connected channel without TLS.
    pub async fn channel(&self) -> Channel {
        let endpoint = Endpoint::try_from(format!("http://{}", self.address)).unwrap();
        endpoint.connect().await.unwrap()
    }

    /// A channel over TLS that connects on its first call.
    pub fn tls(&self, config: ClientTlsConfig) -> Channel {
        let endpoint = Endpoint::try_from(format!("https://localhost:{}", self.address.port())).unwrap();
        endpoint.tls_config(config).unwrap().connect_lazy()
    }

    /// A platform on a channel of its own.
    pub async fn platform(&self) -> Platform {
        Platform::new(self.channel().await)
    }

    /// Begins the shutdown, as a signal does.
    pub fn shut_down(&mut self) {
        drop(self.shutdown.take());
    }

    /// Shuts the server down and waits until it has ended.
    pub async fn stop(mut self) {
        self.shut_down();
        within("the end of the server", &mut self.running).await.unwrap();
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// The governance of an organization on any HTTP server.
pub fn governance(url: &str, slug: &str, credential: Credential, setup: Setup) -> Governance {
    let coverage = setup.coverage();
    let client = Client::with_credential(url.parse().unwrap(), slug.parse().unwrap(), credential, setup.client);
    govern(Arc::new(client.unwrap()), coverage, setup.access)
}
