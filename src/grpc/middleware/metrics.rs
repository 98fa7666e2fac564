//! Every call counted once, when it ends, with the status that its caller was told: the outermost of what a call passes, so that
//! refusals and panics count too.
//!
//! A status is in the answer's headers where there is nothing else in it, and in the trailers behind its messages otherwise. An
//! answer that goes before its status was sent is one that nobody waits for any more.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;

use super::authorization::rule;
use super::limits::Kind;
use super::response_stream;
use crate::telemetry::metrics::{GRPC_DURATION, GRPC_REQUESTS};

/// The name of every service and method that is not served: callers choose paths as they like.
const OTHER: &str = "other";

/// The service that counts the calls of the one inside.
#[derive(Debug, Clone)]
pub(crate) struct Counted<S> {
    inner: S,
}

impl<S> Counted<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S> Service<Request<Body>> for Counted<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let mut call = Call::begun(request.uri().path());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            if let Some(code) = told(answer.headers()) {
                call.ended(code);
            } else if answer.body().is_end_stream() {
                call.ended(Code::Unknown);
            }
            Ok(answer.map(|body| Body::new(Followed { body, call })))
        })
    }
}

fn told(headers: &HeaderMap) -> Option<Code> {
    headers
        .get(Status::GRPC_STATUS)
        .map(|status| Code::from_bytes(status.as_bytes()))
}

/// A call that is under way until it ended, or is dropped.
struct Call {
    /// `/service/method`, where that is served.
    path: Option<String>,
    kind: Kind,
    begun: Instant,
    over: bool,
}

impl Call {
    fn begun(path: &str) -> Self {
        Self {
            path: rule(path).map(|_| path.to_owned()),
            kind: Kind::of(path),
            begun: Instant::now(),
            over: false,
        }
    }

    fn ended(&mut self, code: Code) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        let served = self.path.as_deref().and_then(|path| path.strip_prefix('/'));
        let (service, method) = served.and_then(|path| path.split_once('/')).unwrap_or((OTHER, OTHER));
        GRPC_REQUESTS.count([service, method, name(code)]);
        if matches!(self.kind, Kind::Call | Kind::Probe) {
            GRPC_DURATION.took([service, method], self.begun.elapsed());
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.ended(if response_stream::deadline_exceeded() {
            Code::DeadlineExceeded
        } else {
            Code::Cancelled
        });
    }
}

/// An answer that is followed to its end.
struct Followed {
    body: Body,
    call: Call,
}

impl HttpBody for Followed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Self { body, call } = self.get_mut();
        let next = Pin::new(body).poll_frame(context);
        match &next {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    call.ended(told(trailers).unwrap_or(Code::Unknown));
                }
            }
            Poll::Ready(Some(Err(status))) => call.ended(status.code()),
            Poll::Ready(None) => call.ended(Code::Unknown),
            Poll::Pending => {}
        }
        next
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A code as the protocol spells it.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use futures::future::{pending, poll_fn};
    use http::HeaderValue;
    use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
    use tower::{ServiceExt, service_fn};

    use super::*;

    const CHECK: &str = "/grpc.health.v1.Health/Check";
    const WATCH: &str = "/grpc.health.v1.Health/Watch";

    /// Everything that was counted, as `method code times`, and how often a time was taken.
    fn counted(recorder: &PrometheusRecorder) -> (Vec<String>, usize) {
        let text = recorder.handle().render();
        let of = |name: &str| {
            let name = name.to_owned();
            text.lines().filter(move |line| line.starts_with(&name))
        };
        let calls = of(GRPC_REQUESTS.description().name).map(|line| {
            let words: Vec<&str> = line.split('"').collect();
            format!("{} {}{}", words[3], words[5], words[6].trim_start_matches('}'))
        });
        let timed = of(&format!("{}_count", GRPC_DURATION.description().name));
        (calls.collect(), timed.count())
    }

    /// A call of `path` that is answered so, as far as it is polled.
    async fn answered(path: &str, answer: Response<Body>) -> Response<Body> {
        let answer = std::sync::Mutex::new(Some(answer));
        let inner = service_fn(move |_: Request<Body>| {
            let answer = answer.lock().unwrap().take().unwrap();
            async move { Ok(answer) }
        });
        let request = Request::post(path).body(Body::empty()).unwrap();
        Counted::new(inner).oneshot(request).await.unwrap()
    }

    /// These frames, and then either the end or silence.
    struct Frames(Vec<Frame<Bytes>>, bool);

    impl HttpBody for Frames {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            match (self.0.is_empty(), self.1) {
                (false, _) => Poll::Ready(Some(Ok(self.0.remove(0)))),
                (true, true) => Poll::Ready(None),
                (true, false) => Poll::Pending,
            }
        }
    }

    fn message() -> Frame<Bytes> {
        Frame::data(Bytes::from_static(b"\0\0\0\0\0"))
    }

    fn trailers(code: Code) -> Frame<Bytes> {
        let mut headers = HeaderMap::new();
        headers.insert(Status::GRPC_STATUS, HeaderValue::from(i32::from(code)));
        Frame::trailers(headers)
    }

    async fn frame(answer: &mut Response<Body>) {
        poll_fn(|context| Pin::new(answer.body_mut()).poll_frame(context)).await;
    }

    #[tokio::test]
    async fn a_status_in_the_trailers_is_counted_once() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _recording = metrics::set_default_local_recorder(&recorder);
        let body = Body::new(Frames(vec![message(), trailers(Code::Ok)], true));
        let mut answer = answered(CHECK, Response::new(body)).await;
        frame(&mut answer).await;
        assert_eq!(counted(&recorder), (vec![], 0));
        frame(&mut answer).await;
        frame(&mut answer).await;
        drop(answer);
        assert_eq!(counted(&recorder), (vec!["Check OK 1".to_owned()], 1));
    }

    #[tokio::test]
    async fn a_status_in_the_headers_is_counted_though_no_body_is_read() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _recording = metrics::set_default_local_recorder(&recorder);
        let refusal = Status::failed_precondition("no").into_http();
        drop(answered("/x.Y/Z", refusal).await);
        assert_eq!(counted(&recorder), (vec!["other FAILED_PRECONDITION 1".to_owned()], 1));
    }

    #[tokio::test]
    async fn an_answer_that_ends_without_a_status_is_unknown() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _recording = metrics::set_default_local_recorder(&recorder);
        drop(answered(CHECK, Response::new(Body::empty())).await);
        let mut cut = answered(CHECK, Response::new(Body::new(Frames(vec![], true)))).await;
        frame(&mut cut).await;
        assert_eq!(counted(&recorder).0, ["Check UNKNOWN 2"]);
    }

    #[tokio::test]
    async fn a_call_whose_caller_hangs_up_is_cancelled_before_its_answer_and_within() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _recording = metrics::set_default_local_recorder(&recorder);
        let inner = service_fn(|_: Request<Body>| pending::<Result<Response<Body>, Infallible>>());
        let mut waiting = Counted::new(inner).oneshot(Request::post(CHECK).body(Body::empty()).unwrap());
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(waiting);
        let mut answer = answered(CHECK, Response::new(Body::new(Frames(vec![message()], false)))).await;
        frame(&mut answer).await;
        drop(answer);
        assert_eq!(counted(&recorder).0, ["Check CANCELLED 2"]);
    }

    #[tokio::test]
    async fn a_stream_is_counted_at_its_end_and_not_timed() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _recording = metrics::set_default_local_recorder(&recorder);
        let frames = vec![message(), message(), trailers(Code::Unavailable)];
        let mut answer = answered(WATCH, Response::new(Body::new(Frames(frames, true)))).await;
        for _ in 0..2 {
            frame(&mut answer).await;
            assert_eq!(counted(&recorder), (vec![], 0));
        }
        frame(&mut answer).await;
        assert_eq!(counted(&recorder), (vec!["Watch UNAVAILABLE 1".to_owned()], 0));
    }
}
