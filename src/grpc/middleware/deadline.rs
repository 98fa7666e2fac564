//! The caller's `grpc-timeout`, kept: handlers are told when their caller stops waiting, and a call whose response is not sent
//! to its last byte by then ends as `DEADLINE_EXCEEDED`.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, timeout_at};
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use super::limits;
use super::limits::Kind;
use super::rejection::trailers;
use super::request_body_timeout::Arriving;
use super::response_stream;
use crate::grpc::services::{Deadline, deadline_exceeded};

/// The service that keeps deadlines for the one inside.
#[derive(Debug, Clone)]
pub(crate) struct Deadlines<S> {
    inner: S,
}

impl<S> Deadlines<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S> Service<Request<Body>> for Deadlines<S>
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

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // Streams are watched for as long as their caller likes; everything else ends.
        if matches!(Kind::of(request.uri().path()), Kind::Stream | Kind::Watch) {
            return Box::pin(self.inner.call(request));
        }
        let timeout = timeout(request.headers()).map_or(limits::CALL, |timeout| timeout.min(limits::CALL));
        let deadline = Instant::now() + timeout;
        request.extensions_mut().insert(Deadline(deadline));
        let answer = self.inner.call(request.map(|body| Body::new(Arriving::soon(body))));
        Box::pin(async move {
            let Ok(answer) = timeout_at(deadline, answer).await else {
                return Ok(deadline_exceeded().into_http());
            };
            response_stream::set_deadline(deadline);
            Ok(answer?.map(|body| Body::new(TimedBody::new(body, deadline))))
        })
    }
}

/// A response body that ends with its call's deadline. It returns large messages in parts, so that what the client has taken
/// shows, and a slow client's response can be ended in the middle. The stream's task wakes it ([`response_stream`]).
struct TimedBody {
    body: Body,
    /// What is left of a message that was returned in part.
    rest: Bytes,
    deadline: Instant,
    over: bool,
}

impl TimedBody {
    fn new(body: Body, deadline: Instant) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            deadline,
            over: false,
        }
    }

    /// The next part of the message.
    fn next_part(&mut self) -> Frame<Bytes> {
        let length = self.rest.len().min(limits::RESPONSE_FRAME);
        Frame::data(self.rest.split_to(length))
    }
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if this.over {
            return Poll::Ready(None);
        }
        if Instant::now() >= this.deadline {
            this.over = true;
            return Poll::Ready(Some(trailers(&deadline_exceeded())));
        }
        if !this.rest.is_empty() {
            return Poll::Ready(Some(Ok(this.next_part())));
        }
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(match frame.into_data() {
                Ok(data) => {
                    this.rest = data;
                    this.next_part()
                }
                Err(frame) => frame,
            }))),
            other => other,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.over || (self.rest.is_empty() && self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        // Of no use for a body that may end early.
        SizeHint::default()
    }
}

/// Reads `grpc-timeout`: at most eight digits and a unit, as the gRPC protocol has it.
fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("2H", Some(Duration::from_secs(7200)))]
    #[case("3M", Some(Duration::from_secs(180)))]
    #[case("5S", Some(Duration::from_secs(5)))]
    #[case("250m", Some(Duration::from_millis(250)))]
    #[case("9u", Some(Duration::from_micros(9)))]
    #[case("99999999n", Some(Duration::from_nanos(99_999_999)))]
    #[case("999999999S", None)]
    #[case("S", None)]
    #[case("5", None)]
    #[case("-5S", None)]
    #[case("5s", None)]
    #[case("", None)]
    fn a_timeout_is_digits_and_a_unit(#[case] text: &str, #[case] expected: Option<Duration>) {
        let headers = HeaderMap::from_iter([("grpc-timeout".parse().unwrap(), text.parse().unwrap())]);
        assert_eq!(timeout(&headers), expected);
    }
}
