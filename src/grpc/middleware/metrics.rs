//! Request metrics, and the span of a call. Counts every call once, when it ends, with the status that its caller received. It is the outermost
//! middleware, so that rejections and panics count too.
//!
//! A response without messages has its status in the headers, every other one in the trailers. A response that is dropped
//! before its status was sent was cancelled by the client.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;
use tonic::{Code, Status};

use super::response_stream;
use super::selection::CallTag;
use crate::grpc::context;
use crate::grpc::methods::{self, Method, Service as ServiceRow};
use crate::telemetry::metrics::{GRPC_DURATION, GRPC_REQUESTS};
use crate::telemetry::traces::CallSpan;

/// Label of every service and method that is not served: clients choose paths freely, and labels must be bounded.
const OTHER: &str = "other";

/// Counts the call, and runs it within its span.
pub(crate) async fn record(mut request: Request, next: Next) -> Response {
    let mut call = RequestMetrics::start(request.uri().path(), request.headers());
    request.extensions_mut().insert(call.tag.clone());
    if call.span.is_enabled() {
        request.extensions_mut().insert(call.span.clone());
    }
    let response = call.span.instrument(next.run(request)).await;
    if let Some(code) = status_in(response.headers()) {
        call.finish(code);
    } else if response.body().is_end_stream() {
        call.finish(Code::Unknown);
    }
    response.map(|body| Body::new(MeasuredBody { body, call }))
}

fn status_in(headers: &HeaderMap) -> Option<Code> {
    headers
        .get(Status::GRPC_STATUS)
        .map(|status| Code::from_bytes(status.as_bytes()))
}

/// Records a call when it finishes or is dropped.
struct RequestMetrics {
    /// The method's row; `None` for a method that is not served.
    row: Option<(&'static ServiceRow, &'static Method)>,
    started_at: Instant,
    is_finished: bool,
    /// The connection that the call is about, once it is known.
    tag: CallTag,
    span: CallSpan,
}

impl RequestMetrics {
    fn start(path: &str, headers: &HeaderMap) -> Self {
        let row = methods::find(path);
        let span = CallSpan::begin(row.map(|(service, method)| (service.name, method.name)), headers);
        if span.is_enabled()
            && let Some(id) = context::request_id(headers)
        {
            span.set_request_id(&id);
        }
        Self {
            row,
            started_at: Instant::now(),
            is_finished: false,
            tag: CallTag::default(),
            span,
        }
    }

    fn finish(&mut self, code: Code) {
        if std::mem::replace(&mut self.is_finished, true) {
            return;
        }
        self.span.finish(code.into());
        let labels = self.row.map(|(service, method)| (service.name, method.name));
        let (service, method) = labels.unwrap_or((OTHER, OTHER));
        let tag = self.tag.get();
        GRPC_REQUESTS.increment_for(&tag, [service, method, code_name(code)]);
        if !self.row.is_some_and(|(_, method)| method.class.is_open_ended()) {
            GRPC_DURATION.observe_for(&tag, [service, method], self.started_at.elapsed());
        }
    }
}

impl Drop for RequestMetrics {
    fn drop(&mut self) {
        self.finish(if response_stream::deadline_exceeded() {
            Code::DeadlineExceeded
        } else {
            Code::Cancelled
        });
    }
}

/// A response body that records how its call ends.
struct MeasuredBody {
    body: Body,
    call: RequestMetrics,
}

impl HttpBody for MeasuredBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Self { body, call } = self.get_mut();
        let next = Pin::new(body).poll_frame(context);
        match &next {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    call.finish(status_in(trailers).unwrap_or(Code::Unknown));
                }
            }
            Poll::Ready(Some(Err(error))) => call.finish(code_of(error)),
            Poll::Ready(None) => call.finish(Code::Unknown),
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

/// The code that a body failed with.
fn code_of(error: &axum::Error) -> Code {
    let status = error.source().and_then(|error| error.downcast_ref::<Status>());
    status.map_or(Code::Unknown, Status::code)
}

/// The name of a code in the gRPC specification.
fn code_name(code: Code) -> &'static str {
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
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use axum::middleware::from_fn;
    use futures::future::{pending, poll_fn};
    use http::HeaderValue;
    use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
    use tower::{Layer, ServiceExt, service_fn};

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
    async fn answered(path: &str, answer: Response) -> Response {
        let answer = Arc::new(Mutex::new(Some(answer)));
        let inner = service_fn(move |_: Request| {
            let answer = answer.lock().unwrap().take().unwrap();
            async move { Ok::<_, Infallible>(answer) }
        });
        from_fn(record).layer(inner).oneshot(post(path)).await.unwrap()
    }

    fn post(path: &str) -> Request {
        http::Request::post(path).body(Body::empty()).unwrap()
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

    async fn frame(answer: &mut Response) {
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
        let inner = service_fn(|_: Request| pending::<Result<Response, Infallible>>());
        let mut waiting = from_fn(record).layer(inner).oneshot(post(CHECK));
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
