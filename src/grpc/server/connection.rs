//! One connection, from its handshake to its end.

use std::convert::Infallible;
use std::io::{self, Cursor};
use std::pin::pin;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::either::Either;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_http::catch_panic::CatchPanicLayer;

use super::ConnectionContext;
use super::listener::Stream;
use crate::grpc::middleware::authorization::{self, Authorizer, PeerCertificate};
use crate::grpc::middleware::connections::{ConnectionPermit, PeerConnection};
use crate::grpc::middleware::response_stream::StreamExecutor;
use crate::grpc::middleware::{concurrency_limit, deadline, limits, metrics, selection};

/// The HTTP/2 connection preface.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Opens a connection and serves it until it closes. During its handshake, it is dropped at shutdown or when it is evicted.
pub(crate) async fn connect(context: &ConnectionContext, stream: Stream, permit: ConnectionPermit) {
    let connection = permit.connection();
    let opened = tokio::select! {
        biased;
        () = context.shutdown.cancelled() => return,
        () = connection.evicted().cancelled() => return,
        opened = timeout(limits::HANDSHAKE_TIMEOUT, handshake(context, stream)) => opened,
    };
    match opened {
        Ok(Ok((stream, certificate))) => {
            if certificate.is_some() {
                connection.authenticated();
            }
            serve(context, stream, certificate, connection).await;
        }
        Ok(Err(error)) => tracing::info!(%error, "a connection was not opened"),
        Err(_) => tracing::info!("a connection took too long to open"),
    }
}

/// Performs the TLS handshake, if there is TLS, and waits for the HTTP/2 preface, so that a silent client is dropped soon.
async fn handshake(
    context: &ConnectionContext,
    stream: Stream,
) -> io::Result<(
    impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    Option<PeerCertificate>,
)> {
    let (mut stream, certificate) = match &context.tls {
        None => (Either::Left(stream), None),
        Some(tls) => {
            let stream = TlsAcceptor::from(tls.current()).accept(stream).await?;
            let certificates = stream.get_ref().1.peer_certificates();
            let certificate = certificates
                .and_then(<[_]>::first)
                .map(|first| PeerCertificate(first.clone().into_owned()));
            (Either::Right(stream), certificate)
        }
    };
    let mut head = [0; PREFACE.len()];
    stream.read_exact(&mut head).await?;
    if head != *PREFACE {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the client speaks no HTTP/2 here: is it set up for TLS, and the listener not?",
        ));
    }
    let (rest, out) = tokio::io::split(stream);
    Ok((tokio::io::join(Cursor::new(head).chain(rest), out), certificate))
}

/// Serves a connection until it closes.
pub(crate) async fn serve<S>(
    context: &ConnectionContext,
    stream: S,
    certificate: Option<PeerCertificate>,
    connection: &Arc<PeerConnection>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let calls = middleware(context, certificate, Arc::clone(connection), context.routes.clone())
        .map_request(|request: http::Request<Incoming>| request.map(Body::new));
    let executor = StreamExecutor {
        unread_timeout: context.unread_timeout,
        shutdown: context.shutdown.clone(),
    };
    let http = hyper::server::conn::http2::Builder::new(executor)
        .timer(TokioTimer::new())
        .keep_alive_interval(limits::KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(limits::KEEP_ALIVE_TIMEOUT)
        .max_concurrent_streams(limits::MAX_CALLS_PER_CONNECTION)
        .max_pending_accept_reset_streams(limits::MAX_PENDING_RESETS)
        .max_header_list_size(limits::MAX_HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(calls));
    let mut http = pin!(http);
    let ended = tokio::select! {
        ended = http.as_mut() => Some(ended),
        () = context.shutdown.cancelled() => {
            http.as_mut().graceful_shutdown();
            Some(http.await)
        }
        () = connection.evicted().cancelled() => {
            http.as_mut().graceful_shutdown();
            evicted(http, connection).await
        }
    };
    if let Some(Err(error)) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}

/// Waits until an evicted connection has closed, for as long as sending GOAWAY takes. A call that arrived meanwhile is
/// finished. `None` if the connection must be dropped.
async fn evicted<T>(mut http: impl Future<Output = T> + Unpin, connection: &PeerConnection) -> Option<T> {
    let permit = connection.closing_permit();
    if permit.is_none() {
        // It is polled once, which sends the GOAWAY.
        if let Some(ended) = (&mut http).now_or_never() {
            return Some(ended);
        }
    }
    while permit.is_some() || connection.is_busy() {
        match timeout(limits::GOAWAY_GRACE, &mut http).await {
            Ok(ended) => return Some(ended),
            Err(_) if connection.is_busy() => {}
            Err(_) => break,
        }
    }
    None
}

/// Wraps `inner` in the middleware, the outermost first.
fn middleware<S>(
    context: &ConnectionContext,
    certificate: Option<PeerCertificate>,
    connection: Arc<PeerConnection>,
    inner: S,
) -> impl Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static
where
    S: Service<Request, Response: IntoResponse, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static,
{
    let authorizer = Authorizer {
        callers: context.callers.clone(),
        certificate,
        connection,
        host: context.host.clone(),
    };
    ServiceBuilder::new()
        .layer(from_fn(metrics::record))
        .layer(CatchPanicLayer::custom(internal_error))
        .layer(from_fn_with_state(authorizer, authorization::authorize))
        .layer(from_fn_with_state(context.connections.clone(), selection::select))
        .layer(from_fn_with_state(
            context.concurrency.clone(),
            concurrency_limit::limit,
        ))
        .layer(from_fn(deadline::enforce))
        .service(inner)
}

/// The response to a call that panicked. It does not disclose the panic's message.
fn internal_error(_: Box<dyn std::any::Any + Send>) -> http::Response<Body> {
    tracing::error!("a call ended in a panic");
    tonic::Status::internal("the connector failed in this call: see its log").into_http()
}

#[cfg(test)]
mod tests;
