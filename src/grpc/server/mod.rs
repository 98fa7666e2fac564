//! The gRPC server: listeners, TLS, connections, reflection and a graceful shutdown.
//!
//! The caller passes the listener and the future that ends the server, so that a test owns both. The server runs on hyper
//! rather than on tonic's transport, because tonic turns an expired deadline into `CANCELLED` instead of `DEADLINE_EXCEEDED`.

pub(crate) mod connection;
pub mod listener;
mod tls;
pub mod unix_socket;

use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use rustls::ServerConfig;
use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::{Routes, RoutesBuilder};

pub use crate::grpc::middleware::caller_connections::CallerConnections;
pub use crate::grpc::middleware::callers::{BearerToken, CallerRole, Callers, CallersError, Identity};
pub use crate::monitoring::{Monitoring, MonitoringError};
pub use crate::reload::{ReloadTrigger, Reloadable};
pub use listener::{BoundAddress, ListenAddress, ListenError, Listener};
pub use tls::{TlsError, TlsFiles, TlsPart};
pub use unix_socket::SocketFile;

use crate::governance::connections::Connections;
use crate::grpc::middleware::concurrency_limit::ConcurrencyLimits;
use crate::grpc::middleware::connections::PeerConnections;
use crate::grpc::services::health::HealthPublisher;
use crate::grpc::services::{Connector, reflection};

/// Security, limits and shutdown of a server.
#[derive(Debug)]
pub struct ServerOptions {
    /// The TLS configuration. `None` for a listener without TLS.
    pub tls: Option<Reloadable<ServerConfig>>,
    /// The callers. `None` admits every client that reaches the listener.
    pub callers: Option<Reloadable<Callers>>,
    /// The name in audit records of the host that started this process, where there are no callers. `None` for a server.
    pub host: Option<Arc<str>>,
    /// Time for calls in progress to finish at shutdown.
    pub drain: Duration,
    /// Calls per second of one caller; a burst may hold five times as many. `None` for no limit.
    pub calls_per_second: Option<NonZeroU32>,
    /// The concurrency limits.
    pub limits: Limits,
}

/// The concurrency limits. The reasons for the defaults are in `middleware/limits.rs`.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open connections; at least one.
    pub connections: usize,
    /// Calls in progress, over all connections.
    pub calls: usize,
    /// Open streams of callers; and as many `grpc.health.v1` watches.
    pub streams: usize,
    /// Time for a client to take a frame of a response before the response is dropped.
    pub unread_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: crate::grpc::middleware::limits::MAX_CONNECTIONS,
            calls: crate::grpc::middleware::limits::MAX_CALLS,
            streams: crate::grpc::middleware::limits::MAX_STREAMS,
            unread_timeout: crate::grpc::middleware::limits::UNREAD_TIMEOUT,
        }
    }
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            tls: None,
            callers: None,
            host: None,
            drain: Duration::from_secs(20),
            calls_per_second: Some(crate::grpc::middleware::limits::CALLS_PER_SECOND),
            limits: Limits::default(),
        }
    }
}

/// The server with its services.
pub struct Server {
    connections: Connections,
    health: HealthPublisher,
    context: Arc<ConnectionContext>,
    peers: Arc<PeerConnections>,
    drain: Duration,
}

/// Replaces the limit of one caller's calls per second.
#[derive(Debug, Clone)]
pub struct RateLimitHandle(ConcurrencyLimits);

impl RateLimitHandle {
    /// Puts a limit into force. `None` for no limit. Every caller starts with a whole burst.
    pub fn set(&self, calls_per_second: Option<NonZeroU32>) {
        self.0.set_calls_per_second(calls_per_second);
    }
}

/// The state that all connections share.
pub(crate) struct ConnectionContext {
    pub(crate) routes: Routes,
    pub(crate) connections: Connections,
    pub(crate) tls: Option<Reloadable<ServerConfig>>,
    pub(crate) callers: Option<Arc<Reloadable<Callers>>>,
    pub(crate) host: Option<Arc<str>>,
    pub(crate) concurrency: ConcurrencyLimits,
    pub(crate) unread_timeout: Duration,
    pub(crate) shutdown: CancellationToken,
}

impl Server {
    /// A server of the connector's services on one governance, or on several connections, with health and reflection beside them.
    pub async fn new(connections: impl Into<Connections>, options: ServerOptions) -> Self {
        Self::with_services(connections, options, |_, _| {}).await
    }

    /// The same with further services. `add` registers them, and gets the token that is cancelled when shutdown starts.
    pub async fn with_services(
        connections: impl Into<Connections>,
        options: ServerOptions,
        add: impl FnOnce(&mut RoutesBuilder, &CancellationToken),
    ) -> Self {
        let connections = connections.into();
        let mut routes = RoutesBuilder::default();
        let health = HealthPublisher::register(connections.clone(), &mut routes).await;
        Connector::new(connections.clone()).register(&mut routes);
        reflection::register(&mut routes);
        let shutdown = CancellationToken::new();
        add(&mut routes, &shutdown);
        let context = ConnectionContext {
            routes: routes.routes(),
            connections: connections.clone(),
            tls: options.tls,
            callers: options.callers.map(Arc::new),
            host: options.host,
            concurrency: ConcurrencyLimits::new(shutdown.clone(), &options.limits, options.calls_per_second),
            unread_timeout: options.limits.unread_timeout,
            shutdown,
        };
        Self {
            connections,
            health,
            context: Arc::new(context),
            peers: PeerConnections::new(options.limits.connections),
            drain: options.drain,
        }
    }

    /// Reports `service`, a name of `grpc.health.v1` beside the table's, as `SERVING`.
    pub async fn announce(&self, service: &str) {
        self.health.announce(service).await;
    }

    /// The limit of one caller's calls per second, which can be replaced while the server runs.
    #[must_use]
    pub fn rate_limit(&self) -> RateLimitHandle {
        RateLimitHandle(self.context.concurrency.clone())
    }

    /// Cancelled when shutdown starts.
    #[must_use]
    pub fn shutdown_token(&self) -> CancellationToken {
        self.context.shutdown.clone()
    }

    /// Serves until `shutdown` resolves, then rejects new calls and finishes those in progress, within the drain time.
    ///
    /// # Errors
    /// The listener failed permanently.
    pub async fn run(mut self, mut listener: Listener, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let tasks = TaskTracker::new();
        let mut forget_idle = interval(crate::grpc::middleware::limits::FORGET_IDLE_INTERVAL);
        let mut shutdown = std::pin::pin!(shutdown.fuse());
        loop {
            let stream = tokio::select! {
                stream = listener.accept() => stream?,
                _ = forget_idle.tick() => {
                    self.context.concurrency.forget_idle_callers();
                    continue;
                }
                () = &mut shutdown => break,
            };
            let Some(permit) = self.peers.admit() else {
                tracing::warn!("too many connections with calls in progress: a new one was closed");
                continue;
            };
            let context = Arc::clone(&self.context);
            tasks.spawn(async move { connection::connect(&context, stream, permit).await });
        }
        tracing::info!("ending: new calls are rejected, calls in progress are finished");
        for provisioning in self.connections.provisioning() {
            provisioning.stop_accepting();
        }
        drop(listener);
        self.health.shutdown().await;
        self.context.shutdown.cancel();
        let finished = timeout(self.drain, self.finish(tasks)).await;
        if finished.is_err() {
            tracing::warn!("some calls did not finish in time and were cut off");
        }
        Ok(())
    }

    /// Resolves once every change and every call is finished and the connections are closed. Unresponsive connections
    /// without a call are not waited for.
    async fn finish(&self, connections: TaskTracker) {
        connections.close();
        let provisioning = self.connections.provisioning();
        let drained = || join_all(provisioning.iter().map(|provisioning| provisioning.drain()));
        let closed = async {
            tokio::join!(connections.wait(), drained());
        };
        let idle = async {
            tokio::join!(self.context.concurrency.idle(), drained());
            sleep(crate::grpc::middleware::limits::GOAWAY_GRACE).await;
        };
        tokio::select! {
            () = closed => {}
            () = idle => {}
        }
    }
}
