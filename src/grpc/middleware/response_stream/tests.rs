use std::io;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use futures::{poll, stream};
use h2::client::SendRequest;
use h2::{Reason, RecvStream};
use http::Request;
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::io::duplex;
use tokio::task::JoinHandle;
use tokio::time::{advance, sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;

use super::*;
use crate::governance::connections::examples;
use crate::grpc::middleware::concurrency_limit::ConcurrencyLimits;
use crate::grpc::middleware::connections::PeerConnections;
use crate::grpc::server::{ConnectionContext, Limits, connection};

/// A method that is bounded as every unary one.
const UNARY: &str = "/c1.connector.v2.GrantsService/ListGrants";
const WATCH: &str = "/connector.health.v1.ScopeHealthService/WatchScopes";

/// Several frames.
const LARGE: usize = 20 * limits::RESPONSE_FRAME_BYTES;

/// A client of a server with one place for calls, over a connection in memory.
struct Client {
    requests: SendRequest<Bytes>,
    context: Arc<ConnectionContext>,
    tasks: [JoinHandle<()>; 2],
}

impl Client {
    async fn of(routes: Router, window: u32) -> Self {
        let shutdown = CancellationToken::new();
        let limits = Limits {
            calls: 1,
            ..Limits::default()
        };
        let context = Arc::new(ConnectionContext {
            connections: examples::one(),
            routes: Routes::from(routes),
            tls: None,
            callers: None,
            host: None,
            concurrency: ConcurrencyLimits::new(shutdown.clone(), &limits, None),
            unread_timeout: limits.unread_timeout,
            shutdown,
        });
        let (ours, theirs) = duplex(1 << 20);
        let serving = Arc::clone(&context);
        let served = tokio::spawn(async move {
            let permit = PeerConnections::new(1).admit().unwrap();
            connection::serve(&serving, ours, None, permit.connection()).await;
        });
        let (requests, connection) = h2::client::Builder::new()
            .initial_window_size(window)
            .handshake(theirs)
            .await
            .unwrap();
        let driven = tokio::spawn(async move { drop(connection.await) });
        Self {
            requests,
            context,
            tasks: [served, driven],
        }
    }

    /// Calls a method; the response's head has arrived.
    async fn call(&self, path: &str, timeout: Option<&str>) -> RecvStream {
        let mut request = Request::post(format!("http://localhost{path}"));
        if let Some(timeout) = timeout {
            request = request.header("grpc-timeout", timeout);
        }
        let mut requests = self.requests.clone().ready().await.unwrap();
        let (response, _) = requests.send_request(request.body(()).unwrap(), true).unwrap();
        response.await.unwrap().into_body()
    }

    /// The time until the place for calls is free.
    async fn free_after(&self) -> Duration {
        let started_at = Instant::now();
        timeout(Duration::from_secs(3600), self.context.concurrency.idle())
            .await
            .unwrap();
        started_at.elapsed()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// A method that answers with one message of this length, which it does not announce.
fn answering(length: usize) -> Router {
    let message = move || stream::iter([Ok::<_, io::Error>(Bytes::from(vec![0; length]))]);
    let answer = async move || axum::body::Body::from_stream(message());
    Router::new().route(UNARY, post(answer))
}

fn large() -> Router {
    answering(LARGE)
}

fn is_reset(ended: Option<Result<Bytes, h2::Error>>) -> bool {
    ended.is_some_and(|frame| frame.is_err_and(|error| error.reason() == Some(Reason::CANCEL)))
}

/// Timers are as exact as a millisecond.
fn is_about(took: Duration, seconds: u64) -> bool {
    let expected = Duration::from_secs(seconds);
    took >= expected && took < expected + Duration::from_millis(50)
}

#[tokio::test(start_paused = true)]
async fn a_response_of_which_the_client_takes_nothing_for_10_s_is_reset_and_its_place_is_free() {
    let client = Client::of(large(), 0).await;
    let mut body = client.call(UNARY, None).await;
    let took = client.free_after().await;
    assert!(is_about(took, 10), "{took:?}");
    assert!(is_reset(body.data().await));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_took_the_beginning_and_no_more_is_not_waited_for_longer() {
    let window = u32::try_from(3 * limits::RESPONSE_FRAME_BYTES).unwrap();
    let client = Client::of(large(), window).await;
    let _body = client.call(UNARY, None).await;
    let took = client.free_after().await;
    assert!(is_about(took, 10), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn once_the_drain_has_begun_it_is_1_s() {
    let client = Client::of(large(), 0).await;
    let _body = client.call(UNARY, None).await;
    advance(Duration::from_secs(3)).await;
    client.context.shutdown.cancel();
    let took = client.free_after().await;
    assert!(is_about(took, 1), "{took:?}");
}

/// Takes a frame after each pause until the response ends: how much, and the status behind it; none for a reset.
async fn take_slowly(body: &mut RecvStream, pause: Duration) -> (usize, Option<String>) {
    let mut taken = 0;
    while let Some(frame) = body.data().await {
        let Ok(frame) = frame else {
            return (taken, None);
        };
        taken += frame.len();
        sleep(pause).await;
        body.flow_control().release_capacity(frame.len()).unwrap();
    }
    let trailers = body.trailers().await.unwrap();
    let status = trailers.map(|trailers| trailers["grpc-status"].to_str().unwrap().to_owned());
    (taken, Some(status.unwrap_or_default()))
}

#[tokio::test(start_paused = true)]
async fn the_deadline_covers_the_response_to_its_last_byte() {
    let window = u32::try_from(limits::RESPONSE_FRAME_BYTES).unwrap();
    let client = Client::of(large(), window).await;
    for (deadline, pause, ends_after, expected) in [
        // Slow, and in time.
        (None, Duration::from_secs(9), 180, Some("")),
        (Some("5S"), Duration::from_millis(400), 5, Some("4")),
        // Too slow to take even the status.
        (None, Duration::from_millis(9_900 * 3 / 2), 10, None),
    ] {
        let started_at = Instant::now();
        let mut body = client.call(UNARY, deadline).await;
        let ((taken, status), free_after) = tokio::join!(take_slowly(&mut body, pause), client.free_after());
        assert_eq!(status.as_deref(), expected, "{deadline:?} {pause:?}");
        assert_eq!(taken == LARGE, expected == Some(""), "{taken}");
        assert!(free_after <= Duration::from_secs(ends_after + 1), "{free_after:?}");
        assert!(started_at.elapsed() >= free_after);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_deadline_ends_after_five_minutes_however_slowly_its_response_is_taken() {
    let window = u32::try_from(limits::RESPONSE_FRAME_BYTES).unwrap();
    let client = Client::of(answering(100 * limits::RESPONSE_FRAME_BYTES), window).await;
    let mut body = client.call(UNARY, None).await;
    let pause = Duration::from_secs(9);
    let (_, free_after) = tokio::join!(take_slowly(&mut body, pause), client.free_after());
    assert!(is_about(free_after, 301), "{free_after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_passes_while_nothing_is_taken_counts_as_such() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let client = Client::of(large(), 0).await;
    let mut body = client.call(UNARY, Some("3S")).await;
    let took = client.free_after().await;
    assert!(is_about(took, 4), "{took:?}");
    assert!(is_reset(body.data().await));
    let text = recorder.handle().render();
    assert!(
        text.contains("method=\"ListGrants\",code=\"DEADLINE_EXCEEDED\"} 1"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_watch_outlives_every_deadline_and_is_dropped_where_its_client_takes_nothing() {
    for (window, is_taken) in [(1 << 16, true), (0, false)] {
        let (changes, body) = tokio::sync::mpsc::channel::<io::Result<Bytes>>(1);
        let body = axum::body::Body::from_stream(ReceiverStream::new(body));
        let body = Arc::new(Mutex::new(Some(body)));
        let watch = post(async move || body.lock().unwrap().take().unwrap());
        let client = Client::of(Router::new().route(WATCH, watch), window).await;
        let mut body = client.call(WATCH, Some("1S")).await;
        // A change that does not come is not one that is not taken.
        sleep(Duration::from_secs(1200)).await;
        changes.send(Ok(Bytes::from_static(b"change"))).await.unwrap();
        let received = timeout(Duration::from_secs(3600), body.data()).await.unwrap();
        if is_taken {
            assert_eq!(received.unwrap().unwrap(), "change");
            sleep(Duration::from_secs(1200)).await;
            assert!(poll!(std::pin::pin!(changes.closed())).is_pending());
        } else {
            assert!(is_reset(received));
            changes.closed().await;
        }
    }
}
