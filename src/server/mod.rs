//! The gRPC server: listeners, deadlines, reflection, health of the process, and a clean end.
//!
//! The server is given its listener and the future that ends it, so that a test owns both. It runs on hyper rather than on
//! tonic's own transport, because deadlines have to end as `DEADLINE_EXCEEDED` (tonic's come out as `CANCELLED`).

mod deadline;
mod listener;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tonic::body::Body;
use tonic::service::{Routes, RoutesBuilder};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_http::catch_panic::CatchPanicLayer;

pub use listener::{BoundAddress, ListenAddress, ListenError, Listener};

use crate::access::Access;
use crate::connector::Connector;
use crate::health::Health;
use crate::proto::FILE_DESCRIPTOR_SET;

/// How long calls that are under way may take to finish once the server was told to end.
const DRAIN: Duration = Duration::from_secs(20);

/// Calls under way at once on one connection: above what a platform with many workers makes, below what fills memory.
const CALLS_PER_CONNECTION: u32 = 256;

/// A client that is gone without a word is noticed within this time.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Why a server cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The descriptors that reflection answers from cannot be read.
    #[error("reflection could not be set up: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Everything that is served.
pub struct Server {
    routes: Routes,
    health: Health,
}

impl Server {
    /// A server of the connector's services on `access`, with health and reflection beside them.
    ///
    /// # Errors
    /// When reflection cannot be set up.
    pub async fn new(access: Arc<Access>) -> Result<Self, ServerError> {
        let mut routes = RoutesBuilder::default();
        let health = Health::register(Arc::clone(&access), &mut routes).await;
        Connector::new(access).register(&mut routes);
        routes.add_service(reflection().build_v1()?);
        routes.add_service(reflection().build_v1alpha()?);
        Ok(Self {
            routes: routes.routes(),
            health,
        })
    }

    /// Serves until `shutdown` resolves, then finishes what is under way, within the drain.
    ///
    /// # Errors
    /// When the listener fails for good.
    pub async fn run(self, mut listener: Listener, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let connections = GracefulShutdown::new();
        let mut shutdown = std::pin::pin!(shutdown.fuse());
        loop {
            let stream = tokio::select! {
                stream = listener.accept() => stream?,
                () = &mut shutdown => break,
            };
            let service = TowerToHyperService::new(layered(self.routes.clone()));
            let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .keep_alive_interval(KEEP_ALIVE)
                .max_concurrent_streams(CALLS_PER_CONNECTION)
                .serve_connection(TokioIo::new(stream), service);
            let connection = connections.watch(connection);
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection ended");
                }
            });
        }
        tracing::info!("ending: no new calls, finishing those under way");
        drop(listener);
        self.health.end().await;
        if tokio::time::timeout(DRAIN, connections.shutdown()).await.is_err() {
            tracing::warn!("some calls did not finish in time and were cut off");
        }
        Ok(())
    }
}

fn layered(
    routes: Routes,
) -> impl Service<
    Request<Incoming>,
    Response = Response<Body>,
    Error = Infallible,
    Future: Future<Output = Result<Response<Body>, Infallible>> + Send,
> + Clone
+ Send
+ 'static {
    ServiceBuilder::new()
        .layer(CatchPanicLayer::custom(panicked))
        .map_request(|request: Request<Incoming>| request.map(Body::new))
        .layer_fn(deadline::Deadlines::new)
        .service(routes)
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
