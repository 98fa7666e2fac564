//! One connection, from its handshake to its end.

use std::convert::Infallible;
use std::io::{self, Cursor};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::either::Either;
use tonic::body::Body;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_http::catch_panic::CatchPanicLayer;

use super::admission::{Admission, PeerCertificate};
use super::counted::Counted;
use super::listener::Stream;
use super::{Door, bounds, deadline};

/// The first bytes of every HTTP/2 client.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Opens the connection, then serves it to its end. One that is still being opened when the server ends is dropped.
pub(super) async fn connect(door: &Door, stream: Stream, watcher: Watcher, _place: OwnedSemaphorePermit) {
    let opened = tokio::select! {
        biased;
        () = door.ending.cancelled() => return,
        opened = timeout(bounds::OPENING, open(door, stream)) => opened,
    };
    match opened {
        Ok(Ok((stream, certificate))) => serve(door, stream, certificate, watcher).await,
        Ok(Err(error)) => tracing::info!(%error, "a connection was not opened"),
        Err(_) => tracing::info!("a connection took too long to open"),
    }
}

/// Shakes hands where TLS is spoken, and waits for HTTP/2's first bytes: a client that says nothing holds no place for long.
async fn open(
    door: &Door,
    stream: Stream,
) -> io::Result<(
    impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    Option<PeerCertificate>,
)> {
    let (mut stream, certificate) = match &door.tls {
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

async fn serve<S>(door: &Door, stream: S, certificate: Option<PeerCertificate>, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let calls = layered(door, certificate, door.routes.clone())
        .map_request(|request: Request<Incoming>| request.map(Body::new));
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(bounds::KEEP_ALIVE)
        .keep_alive_timeout(bounds::KEEP_ALIVE_ANSWER)
        .max_concurrent_streams(bounds::CALLS_PER_CONNECTION)
        .max_pending_accept_reset_streams(bounds::RESETS)
        .max_header_list_size(bounds::HEADERS)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(calls));
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection ended");
    }
}

/// What every call passes on its way to `inner`, the outermost first.
fn layered<S>(
    door: &Door,
    certificate: Option<PeerCertificate>,
    inner: S,
) -> impl Service<
    Request<Body>,
    Response = Response<Body>,
    Error = Infallible,
    Future: Future<Output = Result<Response<Body>, Infallible>> + Send,
> + Clone
+ Send
+ 'static
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let callers = door.callers.clone();
    let host = door.host.clone();
    let places = door.places.clone();
    ServiceBuilder::new()
        .layer_fn(Counted::new)
        .map_response(|response: Response<_>| response.map(Body::new))
        .layer(CatchPanicLayer::custom(panicked))
        .layer_fn(move |inner| Admission::new(inner, callers.clone(), certificate.clone()).for_host(host.clone()))
        .layer_fn(move |inner| places.bound(inner))
        .layer_fn(deadline::Deadlines::new)
        .service(inner)
}

/// A panic ends its call, and says so without saying what was in it.
fn panicked(_: Box<dyn std::any::Any + Send>) -> Response<Body> {
    tracing::error!("a call ended in a panic");
    tonic::Status::internal("the connector failed in this call: see its log").into_http()
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;
    use tokio_util::sync::CancellationToken;
    use tonic::service::Routes;
    use tower::service_fn;

    use super::*;
    use crate::server::places::Places;

    fn door(ending: &CancellationToken) -> Door {
        Door {
            routes: Routes::default(),
            tls: None,
            callers: None,
            host: None,
            places: Places::until(ending.clone()),
            ending: ending.clone(),
        }
    }

    fn to(path: &str) -> Request<Body> {
        Request::post(path).body(Body::empty()).unwrap()
    }

    fn status(response: &Response<Body>) -> &str {
        response.headers()["grpc-status"].to_str().unwrap()
    }

    #[tokio::test]
    async fn a_panic_ends_one_call_as_internal_and_gives_its_place_back() {
        let ending = CancellationToken::new();
        let door = door(&ending);
        let inner = service_fn(async |request: Request<Body>| {
            assert!(request.uri().path() != "/panic", "at the disco");
            Ok(Response::new(Body::empty()))
        });
        let service = layered(&door, None, inner);
        let answer = service.clone().oneshot(to("/panic")).await.unwrap();
        assert_eq!(status(&answer), "13");
        assert!(!format!("{:?}", answer.headers()).contains("disco"));
        assert!(service.oneshot(to("/calm")).await.unwrap().headers().is_empty());
        door.places.free().await;
    }

    #[tokio::test]
    async fn what_is_turned_away_or_panics_is_counted_as_what_its_caller_was_told() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _recording = metrics::set_default_local_recorder(&recorder);
        let ending = CancellationToken::new();
        let door = door(&ending);
        let inner = service_fn(async |_: Request<Body>| -> Result<Response<Body>, _> { panic!("at the disco") });
        let service = layered(&door, None, inner);
        let _ = service.clone().oneshot(to("/panic")).await;
        ending.cancel();
        let _ = service.oneshot(to("/late")).await;
        let text = recorder.handle().render();
        for code in ["INTERNAL", "UNAVAILABLE"] {
            assert!(text.contains(&format!("code=\"{code}\"}} 1")), "{text}");
        }
    }

    #[tokio::test]
    async fn a_call_that_comes_after_the_end_has_begun_is_told_so() {
        let ending = CancellationToken::new();
        let door = door(&ending);
        ending.cancel();
        let inner = service_fn(async |_: Request<Body>| Ok(Response::new(Body::empty())));
        let answer = layered(&door, None, inner).oneshot(to("/late")).await.unwrap();
        assert_eq!(status(&answer), "14");
    }
}
