//! A sandbox, a connector on it over a real gRPC channel, and the calls that a platform makes.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

pub mod listing;
pub mod platform;
pub mod recorder;
pub mod scripted;
pub mod told;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use buildkite_connector::governance::{Governance, GovernanceSettings};
use buildkite_connector::grpc::server::{ListenAddress, Listener, Server, ServerOptions};
use buildkite_connector::providers::buildkite::{Client, ClientOptions, govern};
use buildkite_connector::sandbox::{LimitOptions, Options, Sandbox, Seed, Size};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};

pub use listing::{Listing, ROWS, first_team};
pub use platform::{Platform, entitlement, entitlement_of_nobody, resource};
pub use told::{reason, told};

/// A sandbox without rate limits, so that a test is about what it is about.
pub async fn sandbox(seed: Seed) -> Sandbox {
    Sandbox::start(Options {
        seed,
        limits: LimitOptions::unlimited(),
        ..Options::default()
    })
    .await
    .unwrap()
}

/// An organization of this size.
pub fn sized(teams: usize, members_per_team: usize, people: usize) -> Seed {
    Seed::Sized(Size {
        teams,
        members_per_team,
        people,
        seed: 7,
    })
}

/// Waits for a condition, which comes soon or never.
pub async fn until(condition: impl Fn() -> bool) {
    let waited = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), waited)
        .await
        .expect("the condition never came");
}

/// How a connector under test is set up.
#[derive(Clone)]
pub struct Setup {
    pub client: ClientOptions,
    pub access: GovernanceSettings,
}

impl Default for Setup {
    fn default() -> Self {
        let client = ClientOptions {
            // Longer than any answer takes that comes, however busy the machine is.
            attempt_timeout: Duration::from_secs(20),
            retry_for: Duration::from_secs(5),
            ..ClientOptions::default()
        };
        Self {
            client,
            access: GovernanceSettings {
                provisioning: true,
                ..GovernanceSettings::default()
            },
        }
    }
}

/// A connector that runs in this process; ends when it is dropped.
pub struct Connector {
    pub address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
}

impl Connector {
    /// On `sandbox`, with its own token.
    pub async fn on(sandbox: &Sandbox) -> Self {
        Self::with(sandbox, sandbox.token(), Setup::default()).await
    }

    /// On `sandbox`, with a token and a setup.
    pub async fn with(sandbox: &Sandbox, token: &SecretString, setup: Setup) -> Self {
        Self::at(sandbox.url(), sandbox.slug(), token, setup).await
    }

    /// On any server.
    pub async fn at(url: &str, slug: &str, token: &SecretString, setup: Setup) -> Self {
        let client = Client::new(
            url.parse().unwrap(),
            slug.parse().unwrap(),
            token.expose_secret().parse().unwrap(),
            setup.client,
        );
        Self::serving(govern(Arc::new(client.unwrap()), setup.access)).await
    }

    /// Of anything that is made.
    pub async fn serving(access: Governance) -> Self {
        let access = Arc::new(access);
        let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
        let ListenAddress::Tcp(address) = listener.address().unwrap() else {
            panic!("not on TCP")
        };
        let server = Server::new(access, ServerOptions::default()).await.unwrap();
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

    /// A channel to it.
    pub async fn channel(&self) -> Channel {
        Endpoint::try_from(format!("http://{}", self.address))
            .unwrap()
            .connect()
            .await
            .unwrap()
    }

    /// A platform that talks to it.
    pub async fn platform(&self) -> Platform {
        Platform::new(self.channel().await)
    }

    /// Ends it as a signal would, and waits until it has.
    pub async fn stop(mut self) {
        drop(self.end.take());
        (&mut self.running).await.unwrap();
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        self.running.abort();
    }
}
