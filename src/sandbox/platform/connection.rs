//! The accept loop: TLS, then HTTP/1.1 for the token endpoint or HTTP/2 for calls, over connections that a fault can close.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tower::ServiceExt;

use super::service::{Baton, Service};
use super::token;
use crate::proto::c1::connectorapi::baton::v1::baton_service_server::BatonServiceServer;

/// How long to wait after a connection could not be accepted.
const AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(10);

/// The connection of a request: cancelled, it is closed.
#[derive(Clone, Debug)]
pub(super) struct ConnectionEnd(pub(super) CancellationToken);

/// Serves until it is stopped, and closes open connections then, even in the middle of a call.
pub(super) async fn accept(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    service: Arc<Service>,
    stopped: CancellationToken,
) {
    let router = Routes::new(BatonServiceServer::new(Baton(Arc::clone(&service))))
        .into_axum_router()
        .merge(
            Router::new()
                .route("/auth/v1/token", post(token::answer))
                .with_state(service),
        );
    let acceptor = TlsAcceptor::from(tls);
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped.cancelled() => break,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(AFTER_FAILED_ACCEPT).await;
            continue;
        };
        let end = stopped.child_token();
        let serving = serve(acceptor.clone(), stream, router.clone(), end.clone());
        connections.spawn(async move {
            tokio::select! {
                () = serving => {}
                () = end.cancelled() => {}
            }
        });
    }
    connections.close();
    connections.wait().await;
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, router: Router, end: CancellationToken) {
    let _ = stream.set_nodelay(true);
    // A client that does not trust the authority ends it here, and says so on its side.
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let calls = router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectionEnd(end.clone()));
        request.map(axum::body::Body::new)
    });
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(calls))
        .await;
}
