//! The gRPC server: listeners, TLS, who may call what, deadlines, bounds, reflection, and a clean end.
//!
//! The server is given its listener and the future that ends it, so that a test owns both. It runs on hyper rather than on
//! tonic's own transport, because certificates change while it runs, and because deadlines have to end as
//! `DEADLINE_EXCEEDED` (tonic's come out as `CANCELLED`).

mod admission;
mod bounds;
mod callers;
mod deadline;
mod listener;
mod refusal;
mod tls;
mod watched;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tonic::body::Body;
use tonic::service::{Routes, RoutesBuilder};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_http::catch_panic::CatchPanicLayer;

pub use admission::{Rule, rule};
pub use callers::{CallerRole, Callers, CallersError, Known, NewBearer};
pub use listener::{BoundAddress, ListenAddress, ListenError, Listener};
pub use tls::{TlsError, TlsFiles};
pub use watched::Watched;

use crate::access::Access;
use crate::connector::Connector;
use crate::health::Health;
use crate::proto::FILE_DESCRIPTOR_SET;
use admission::{Admission, PeerCertificate};
use bounds::Calls;
use listener::Stream;

/// What a server is protected by, and how it ends.
#[derive(Debug)]
pub struct ServerOptions {
    /// TLS, where the listener speaks it.
    pub tls: Option<Watched<ServerConfig>>,
    /// Who may call; without it, whoever reaches the listener.
    pub callers: Option<Watched<Callers>>,
    /// How long calls that are under way may take to finish once the server was told to end.
    pub drain: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            tls: None,
            callers: None,
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
    calls: Calls,
}

impl Server {
    /// A server of the connector's services on `access`, with health and reflection beside them.
    ///
    /// # Errors
    /// When reflection cannot be set up.
    pub async fn new(access: Arc<Access>, options: ServerOptions) -> Result<Self, ServerError> {
        let mut routes = RoutesBuilder::default();
        let health = Health::register(Arc::clone(&access), &mut routes).await;
        Connector::new(Arc::clone(&access)).register(&mut routes);
        routes.add_service(reflection().build_v1()?);
        routes.add_service(reflection().build_v1alpha()?);
        let door = Door {
            routes: routes.routes(),
            tls: options.tls,
            callers: options.callers.map(Arc::new),
            calls: Calls::new(),
        };
        Ok(Self {
            access,
            health,
            door: Arc::new(door),
            drain: options.drain,
        })
    }

    /// Serves until `shutdown` resolves, then begins nothing new and finishes what is under way, within the drain.
    ///
    /// # Errors
    /// When the listener fails for good.
    pub async fn run(self, mut listener: Listener, shutdown: impl Future<Output = ()>) -> io::Result<()> {
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
            tokio::spawn(connect(Arc::clone(&self.door), stream, connections.watcher(), place));
        }
        tracing::info!("ending: nothing new is begun, what is under way is finished");
        self.access.begin_no_more();
        drop(listener);
        self.health.end().await;
        let finished = async {
            tokio::join!(connections.shutdown(), self.access.finish_changes());
        };
        if timeout(self.drain, finished).await.is_err() {
            tracing::warn!("some calls did not finish in time and were cut off");
        }
        Ok(())
    }
}

/// Shakes hands where TLS is spoken, then serves the connection to its end.
async fn connect(door: Arc<Door>, stream: Stream, watcher: Watcher, _place: OwnedSemaphorePermit) {
    let Some(tls) = &door.tls else {
        return serve(&door, stream, None, watcher).await;
    };
    let handshake = TlsAcceptor::from(tls.current()).accept(stream);
    match timeout(bounds::HANDSHAKE, handshake).await {
        Ok(Ok(stream)) => {
            let certificates = stream.get_ref().1.peer_certificates();
            let certificate = certificates
                .and_then(<[_]>::first)
                .map(|first| PeerCertificate(first.clone().into_owned()));
            serve(&door, stream, certificate, watcher).await;
        }
        Ok(Err(error)) => tracing::info!(%error, "a TLS handshake failed"),
        Err(_) => tracing::info!("a TLS handshake took too long"),
    }
}

async fn serve<S>(door: &Door, stream: S, certificate: Option<PeerCertificate>, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(bounds::KEEP_ALIVE)
        .max_concurrent_streams(bounds::CALLS_PER_CONNECTION)
        .max_header_list_size(bounds::HEADERS)
        .serve_connection(
            TokioIo::new(stream),
            TowerToHyperService::new(layered(door, certificate)),
        );
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection ended");
    }
}

fn layered(
    door: &Door,
    certificate: Option<PeerCertificate>,
) -> impl Service<
    Request<Incoming>,
    Response = Response<Body>,
    Error = Infallible,
    Future: Future<Output = Result<Response<Body>, Infallible>> + Send,
> + Clone
+ Send
+ 'static {
    let callers = door.callers.clone();
    let calls = door.calls.clone();
    ServiceBuilder::new()
        .layer(CatchPanicLayer::custom(panicked))
        .map_request(|request: Request<Incoming>| request.map(Body::new))
        .layer_fn(move |inner| Admission::new(inner, callers.clone(), certificate.clone()))
        .layer_fn(move |inner| calls.bound(inner))
        .layer_fn(deadline::Deadlines::new)
        .service(door.routes.clone())
        .map_response(|response: Response<_>| response.map(Body::new))
}

/// A panic ends its call, and says so without saying what was in it.
fn panicked(_: Box<dyn std::any::Any + Send>) -> Response<Body> {
    tracing::error!("a call ended in a panic");
    tonic::Status::internal("the connector failed in this call: see its log").into_http()
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}
