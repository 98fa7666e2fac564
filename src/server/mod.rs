//! The gRPC server: listeners, TLS, who may call what, deadlines, bounds, reflection, and a clean end; and beside it the listener
//! for monitors.
//!
//! The server is given its listener and the future that ends it, so that a test owns both. It runs on hyper rather than on
//! tonic's own transport, because certificates change while it runs, and because deadlines have to end as
//! `DEADLINE_EXCEEDED` (tonic's come out as `CANCELLED`).

mod admission;
mod arrival;
mod bounds;
mod callers;
mod connection;
mod counted;
mod deadline;
mod listener;
mod monitoring;
mod places;
mod refusal;
mod socket;
mod tls;
mod watched;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use hyper_util::server::graceful::GracefulShutdown;
use rustls::ServerConfig;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::service::{Routes, RoutesBuilder};

pub use admission::{Rule, rule};
pub use callers::{CallerRole, Callers, CallersError, Known, NewBearer};
pub use listener::{BoundAddress, ListenAddress, ListenError, Listener};
pub use monitoring::{Monitoring, MonitoringError};
pub use socket::SocketFile;
pub use tls::{TlsError, TlsFiles};
pub use watched::Watched;

use crate::access::Access;
use crate::connector::{Connector, MESSAGE_SIZE};
use crate::health::Health;
use crate::proto::FILE_DESCRIPTOR_SET;
use places::Places;

/// What a server is protected by, and how it ends.
#[derive(Debug)]
pub struct ServerOptions {
    /// TLS, where the listener speaks it.
    pub tls: Option<Watched<ServerConfig>>,
    /// Who may call; without it, whoever reaches the listener.
    pub callers: Option<Watched<Callers>>,
    /// Without callers, the name by which audit records know whoever reaches the listener: a host that started this process.
    pub host: Option<Arc<str>>,
    /// How long calls that are under way may take to finish once the server was told to end.
    pub drain: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            tls: None,
            callers: None,
            host: None,
            drain: Duration::from_secs(20),
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
    access: Arc<Access>,
    health: Health,
    door: Arc<Door>,
    drain: Duration,
}

/// What every connection needs.
struct Door {
    routes: Routes,
    tls: Option<Watched<ServerConfig>>,
    callers: Option<Arc<Watched<Callers>>>,
    host: Option<Arc<str>>,
    places: Places,
    ending: CancellationToken,
}

impl Server {
    /// A server of the connector's services on `access`, with health and reflection beside them.
    ///
    /// # Errors
    /// When reflection cannot be set up.
    pub async fn new(access: Arc<Access>, options: ServerOptions) -> Result<Self, ServerError> {
        Self::with_services(access, options, |_, _| {}).await
    }

    /// The same with further services, which are added with the token that is cancelled once the server was told to end.
    ///
    /// # Errors
    /// When reflection cannot be set up.
    pub async fn with_services(
        access: Arc<Access>,
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
        let door = Door {
            routes: routes.routes(),
            tls: options.tls,
            callers: options.callers.map(Arc::new),
            host: options.host,
            places: Places::until(ending.clone()),
            ending,
        };
        Ok(Self {
            access,
            health,
            door: Arc::new(door),
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
        let connections = GracefulShutdown::new();
        let places = Arc::new(Semaphore::new(bounds::CONNECTIONS));
        let mut shutdown = std::pin::pin!(shutdown.fuse());
        loop {
            let stream = tokio::select! {
                stream = listener.accept() => stream?,
                () = &mut shutdown => break,
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                tracing::warn!("too many connections: one more was dropped");
                continue;
            };
            let (door, watcher) = (Arc::clone(&self.door), connections.watcher());
            tokio::spawn(async move { connection::connect(&door, stream, watcher, place).await });
        }
        tracing::info!("ending: nothing new is begun, what is under way is finished");
        self.access.begin_no_more();
        drop(listener);
        self.health.end().await;
        self.door.ending.cancel();
        let finished = timeout(self.drain, self.finish(connections)).await;
        if finished.is_err() {
            tracing::warn!("some calls did not finish in time and were cut off");
        }
        Ok(())
    }

    /// Resolves once every change and every call is finished and the connections are closed. Those that are stuck, with
    /// nothing under way, are not waited for.
    async fn finish(&self, connections: GracefulShutdown) {
        let closed = async {
            tokio::join!(connections.shutdown(), self.access.finish_changes());
        };
        let idle = async {
            tokio::join!(self.door.places.free(), self.access.finish_changes());
            sleep(bounds::GOODBYE).await;
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
