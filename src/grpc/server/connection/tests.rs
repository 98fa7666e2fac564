use metrics_exporter_prometheus::PrometheusBuilder;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tower::service_fn;

use super::*;
use crate::governance::connections::examples;
use crate::grpc::middleware::concurrency_limit::ConcurrencyLimits;
use crate::grpc::middleware::connections::PeerConnections;
use crate::grpc::server::Limits;

/// A method whose service panics in these tests, and one whose service returns.
const PANICS: &str = "/c1.connector.v2.GrantsService/ListGrants";
const RETURNS: &str = "/c1.connector.v2.ResourcesService/ListResources";

fn context(shutdown: &CancellationToken) -> ConnectionContext {
    ConnectionContext {
        routes: Routes::default(),
        connections: examples::one(),
        tls: None,
        callers: None,
        host: None,
        concurrency: ConcurrencyLimits::new(shutdown.clone(), &Limits::default(), None),
        unread_timeout: limits::UNREAD_TIMEOUT,
        shutdown: shutdown.clone(),
    }
}

/// The layers of a connection of its own.
fn service<S>(
    context: &ConnectionContext,
    inner: S,
) -> impl Service<Request, Response = Response, Error = Infallible> + Clone
where
    S: Service<Request, Response: IntoResponse, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static,
{
    let permit = PeerConnections::new(1).admit().unwrap();
    middleware(context, None, Arc::clone(permit.connection()), inner)
}

fn to(path: &str) -> Request {
    http::Request::post(path).body(Body::empty()).unwrap()
}

fn status(response: &Response) -> &str {
    response.headers()["grpc-status"].to_str().unwrap()
}

#[tokio::test]
async fn a_panic_ends_one_call_as_internal_and_gives_its_place_back() {
    let shutdown = CancellationToken::new();
    let context = context(&shutdown);
    let inner = service_fn(async |request: Request| {
        assert!(request.uri().path() != PANICS, "at the disco");
        Ok(Response::new(Body::empty()))
    });
    let middleware = service(&context, inner);
    let answer = middleware.clone().oneshot(to(PANICS)).await.unwrap();
    assert_eq!(status(&answer), "13");
    assert!(!format!("{:?}", answer.headers()).contains("disco"));
    assert!(middleware.oneshot(to(RETURNS)).await.unwrap().headers().is_empty());
    context.concurrency.idle().await;
}

#[tokio::test]
async fn what_is_turned_away_or_panics_is_counted_as_what_its_caller_was_told() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = ::metrics::set_default_local_recorder(&recorder);
    let shutdown = CancellationToken::new();
    let context = context(&shutdown);
    let inner = service_fn(async |_: Request| -> Result<Response, _> { panic!("at the disco") });
    let middleware = service(&context, inner);
    let _ = middleware.clone().oneshot(to(PANICS)).await;
    shutdown.cancel();
    let _ = middleware.oneshot(to(RETURNS)).await;
    let text = recorder.handle().render();
    for code in ["INTERNAL", "UNAVAILABLE"] {
        assert!(text.contains(&format!("code=\"{code}\"}} 1")), "{text}");
    }
}

#[tokio::test]
async fn a_call_that_comes_after_the_end_has_begun_is_told_so() {
    let shutdown = CancellationToken::new();
    let context = context(&shutdown);
    shutdown.cancel();
    let inner = service_fn(async |_: Request| Ok(Response::new(Body::empty())));
    let answer = service(&context, inner).oneshot(to(RETURNS)).await.unwrap();
    assert_eq!(status(&answer), "14");
}

#[tokio::test]
async fn a_method_without_a_row_is_denied_also_where_there_is_no_callers_file() {
    let shutdown = CancellationToken::new();
    let inner = service_fn(async |_: Request| Ok(Response::new(Body::empty())));
    let answer = service(&context(&shutdown), inner)
        .oneshot(to("/x.Y/Served"))
        .await
        .unwrap();
    assert_eq!(status(&answer), "12");
}
