use metrics_exporter_prometheus::PrometheusBuilder;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tower::service_fn;

use super::*;
use crate::grpc::middleware::concurrency_limit::ConcurrencyLimits;
use crate::grpc::middleware::connections::Connections;
use crate::grpc::server::Limits;

fn door(ending: &CancellationToken) -> ConnectionContext {
    ConnectionContext {
        routes: Routes::default(),
        tls: None,
        callers: None,
        host: None,
        places: ConcurrencyLimits::until(ending.clone(), &Limits::default(), None),
        unread_timeout: limits::UNREAD,
        ending: ending.clone(),
    }
}

/// The layers of a connection of its own.
fn service<S>(
    door: &ConnectionContext,
    inner: S,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let permit = Connections::new(1).admit().unwrap();
    layered(door, None, Arc::clone(permit.connection()), inner)
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
    let layered = service(&door, inner);
    let answer = layered.clone().oneshot(to("/panic")).await.unwrap();
    assert_eq!(status(&answer), "13");
    assert!(!format!("{:?}", answer.headers()).contains("disco"));
    assert!(layered.oneshot(to("/calm")).await.unwrap().headers().is_empty());
    door.places.free().await;
}

#[tokio::test]
async fn what_is_turned_away_or_panics_is_counted_as_what_its_caller_was_told() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let ending = CancellationToken::new();
    let door = door(&ending);
    let inner = service_fn(async |_: Request<Body>| -> Result<Response<Body>, _> { panic!("at the disco") });
    let layered = service(&door, inner);
    let _ = layered.clone().oneshot(to("/panic")).await;
    ending.cancel();
    let _ = layered.oneshot(to("/late")).await;
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
    let answer = service(&door, inner).oneshot(to("/late")).await.unwrap();
    assert_eq!(status(&answer), "14");
}
