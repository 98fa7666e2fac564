//! Enforces `grpc-timeout`. Handlers get the deadline as a request extension; a call whose response is not sent completely by
//! then ends as `DEADLINE_EXCEEDED`.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, timeout_at};

use super::limits;
use super::rejection::trailers;
use super::request_body_timeout::RequestBodyTimeout;
use super::response_stream;
use crate::grpc::methods;
use crate::grpc::services::{Deadline, deadline_exceeded};

/// Deadline of a call without `grpc-timeout`, and the latest of any call: two rate-limit windows and the writes that wait for
/// them.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(300);

/// Ends the call at its deadline.
pub(crate) async fn enforce(mut request: Request, next: Next) -> Response {
    // A stream stays open for as long as its caller likes.
    if methods::class(request.uri().path()).is_open_ended() {
        return next.run(request).await;
    }
    let timeout = timeout(request.headers()).map_or(DEFAULT_DEADLINE, |timeout| timeout.min(DEFAULT_DEADLINE));
    let deadline = Instant::now() + timeout;
    request.extensions_mut().insert(Deadline(deadline));
    let request = request.map(|body| Body::new(RequestBodyTimeout::new(body)));
    let Ok(response) = timeout_at(deadline, next.run(request)).await else {
        return deadline_exceeded().into_http();
    };
    response_stream::set_deadline(deadline);
    response.map(|body| Body::new(TimedBody::new(body, deadline)))
}

/// A response body that ends at its call's deadline. It splits large messages, so that a slow client's response can be ended
/// in the middle. The stream's task wakes it ([`response_stream`]).
struct TimedBody {
    body: Body,
    /// The rest of a message that was returned in part.
    rest: Bytes,
    deadline: Instant,
    is_finished: bool,
}

impl TimedBody {
    fn new(body: Body, deadline: Instant) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            deadline,
            is_finished: false,
        }
    }

    /// The next part of the message.
    fn next_part(&mut self) -> Frame<Bytes> {
        let length = self.rest.len().min(limits::RESPONSE_FRAME_BYTES);
        Frame::data(self.rest.split_to(length))
    }
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if this.is_finished {
            return Poll::Ready(None);
        }
        if Instant::now() >= this.deadline {
            this.is_finished = true;
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
        self.is_finished || (self.rest.is_empty() && self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        // The body may end early.
        SizeHint::default()
    }
}

/// Parses `grpc-timeout`: at most eight digits and a unit, as the gRPC specification says.
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
