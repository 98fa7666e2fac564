//! The gRPC server: listeners, TLS, who may call what, deadlines, bounds, reflection, and a clean end; and beside it the listener
//! for monitors.
//!
//! The server is given its listener and the future that ends it, so that a test owns both. It runs on hyper rather than on
//! tonic's own transport, because certificates change while it runs, and because deadlines have to end as
//! `DEADLINE_EXCEEDED` (tonic's come out as `CANCELLED`).

pub(crate) mod connection;
pub mod listener;
mod tls;
pub mod unix_socket;

use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use rustls::ServerConfig;
use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::{Routes, RoutesBuilder};

pub use crate::grpc::middleware::authorization::{Rule, rule};
pub use crate::grpc::middleware::callers::{CallerRole, Callers, CallersError, Identity, NewBearer};
pub use crate::monitoring::{Monitoring, MonitoringError};
pub use crate::reload::{ReadAgain, Reloadable};
pub use listener::{BoundAddress, ListenAddress, ListenError, Listener};
pub use tls::{TlsError, TlsFiles, TlsPart};
pub use unix_socket::SocketFile;

use crate::governance::Governance;
use crate::grpc::middleware::concurrency_limit::ConcurrencyLimits;
use crate::grpc::middleware::connections::Connections;
use crate::grpc::services::health::Health;
use crate::grpc::services::{Connector, MESSAGE_SIZE};
use crate::proto::FILE_DESCRIPTOR_SET;

/// What a server is protected by, and how it ends.
#[derive(Debug)]
pub struct ServerOptions {
    /// TLS, where the listener speaks it.
    pub tls: Option<Reloadable<ServerConfig>>,
    /// Who may call; without it, whoever reaches the listener.
    pub callers: Option<Reloadable<Callers>>,
    /// Without callers, the name by which audit records know whoever reaches the listener: a host that started this process.
    pub host: Option<Arc<str>>,
    /// How long calls that are under way may take to finish once the server was told to end.
    pub drain: Duration,
    /// How many calls per second one caller may make, five times as many at once; without it, any number.
    pub calls_per_second: Option<NonZeroU32>,
    /// How much is served at once.
    pub limits: Limits,
}

/// How much is served at once. The reasons for the defaults are in `bounds.rs`.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open connections; at least one.
    pub connections: usize,
    /// Calls under way, over all connections.
    pub calls: usize,
    /// Open streams of callers; and as many `grpc.health.v1` watches.
    pub streams: usize,
    /// How long a client may leave a frame of a response untaken before the response is dropped.
    pub unread_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: crate::grpc::middleware::limits::CONNECTIONS,
            calls: crate::grpc::middleware::limits::CALLS,
            streams: crate::grpc::middleware::limits::STREAMS,
            unread_timeout: crate::grpc::middleware::limits::UNREAD,
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

/// Why a server cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The descriptors that reflection answers from cannot be read.
    #[error("reflection could not be set up: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Everything that is served.
pub struct Server {
    access: Arc<Governance>,
    health: Health,
    door: Arc<ConnectionContext>,
    connections: Arc<Connections>,
    drain: Duration,
}

/// What every connection needs.
pub(crate) struct ConnectionContext {
    pub(crate) routes: Routes,
    pub(crate) tls: Option<Reloadable<ServerConfig>>,
    pub(crate) callers: Option<Arc<Reloadable<Callers>>>,
    pub(crate) host: Option<Arc<str>>,
    pub(crate) places: ConcurrencyLimits,
    pub(crate) unread_timeout: Duration,
    pub(crate) ending: CancellationToken,
}

impl Server {
    /// A server of the connector's services on `access`, with health and reflection beside them.
    ///
    /// # Errors
    /// When reflection cannot be set up.
    pub async fn new(access: Arc<Governance>, options: ServerOptions) -> Result<Self, ServerError> {
        Self::with_services(access, options, |_, _| {}).await
    }

    /// The same with further services, which are added with the token that is cancelled once the server was told to end.
    ///
    /// # Errors
    /// When reflection cannot be set up.
    pub async fn with_services(
        access: Arc<Governance>,
        options: ServerOptions,
        add: impl FnOnce(&mut RoutesBuilder, &CancellationToken),
    ) -> Result<Self, ServerError> {
        let mut routes = RoutesBuilder::default();
        let health = Health::register(Arc::clone(&access), &mut routes).await;
        Connector::new(Arc::clone(&access)).register(&mut routes);
        routes.add_service(reflection().build_v1()?.max_decoding_message_size(MESSAGE_SIZE));
        routes.add_service(reflection().build_v1alpha()?.max_decoding_message_size(MESSAGE_SIZE));
        let ending = CancellationToken::new();
        add(&mut routes, &ending);
        let door = ConnectionContext {
            routes: routes.routes(),
            tls: options.tls,
            callers: options.callers.map(Arc::new),
            host: options.host,
            places: ConcurrencyLimits::until(ending.clone(), &options.limits, options.calls_per_second),
            unread_timeout: options.limits.unread_timeout,
            ending,
        };
        Ok(Self {
            access,
            health,
            door: Arc::new(door),
            connections: Connections::new(options.limits.connections),
            drain: options.drain,
        })
    }

    /// Tells probes of `service` that it is served.
    pub async fn announce(&self, service: &str) {
        self.health.announce(service).await;
    }

    /// Cancelled once the server was told to end.
    #[must_use]
    pub fn ending(&self) -> CancellationToken {
        self.door.ending.clone()
    }

    /// Serves until `shutdown` resolves, then begins nothing new and finishes what is under way, within the drain.
    ///
    /// # Errors
    /// When the listener fails for good.
    pub async fn run(mut self, mut listener: Listener, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let tasks = TaskTracker::new();
        let mut forget_idle = interval(crate::grpc::middleware::limits::FORGET_IDLE);
        let mut shutdown = std::pin::pin!(shutdown.fuse());
        loop {
            let stream = tokio::select! {
                stream = listener.accept() => stream?,
                _ = forget_idle.tick() => {
                    self.door.places.forget_idle_callers();
                    continue;
                }
                () = &mut shutdown => break,
            };
            let Some(permit) = self.connections.admit() else {
                tracing::warn!("too many connections with calls under way: a new one was closed");
                continue;
            };
            let door = Arc::clone(&self.door);
            tasks.spawn(async move { connection::connect(&door, stream, permit).await });
        }
        tracing::info!("ending: nothing new is begun, what is under way is finished");
        self.access.begin_no_more();
        drop(listener);
        self.health.end().await;
        self.door.ending.cancel();
        let finished = timeout(self.drain, self.finish(tasks)).await;
        if finished.is_err() {
            tracing::warn!("some calls did not finish in time and were cut off");
        }
        Ok(())
    }

    /// Resolves once every change and every call is finished and the connections are closed. Those that are stuck, with
    /// nothing under way, are not waited for.
    async fn finish(&self, connections: TaskTracker) {
        connections.close();
        let closed = async {
            tokio::join!(connections.wait(), self.access.finish_changes());
        };
        let idle = async {
            tokio::join!(self.door.places.free(), self.access.finish_changes());
            sleep(crate::grpc::middleware::limits::GOODBYE).await;
        };
        tokio::select! {
            () = closed => {}
            () = idle => {}
        }
    }
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}
