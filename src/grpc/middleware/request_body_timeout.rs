//! Request body timeout: a slow client must not hold a permit. It covers the whole body, not the time between frames.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use super::limits;
use crate::grpc::services::deadline_exceeded;

/// A request body that fails with `DEADLINE_EXCEEDED` if it is not complete in time.
pub(crate) struct RequestBodyTimeout {
    body: Body,
    timeout: Pin<Box<Sleep>>,
}

impl RequestBodyTimeout {
    pub(crate) fn new(body: Body) -> Self {
        Self {
            body,
            timeout: Box::pin(sleep(limits::REQUEST_BODY_TIMEOUT)),
        }
    }
}

impl HttpBody for RequestBodyTimeout {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Pending if this.timeout.as_mut().poll(context).is_ready() => {
                Poll::Ready(Some(Err(axum::Error::new(deadline_exceeded()))))
            }
            other => other,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures::future::poll_fn;
    use tonic::{Code, Status};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_request_body_that_does_not_arrive_ends_its_call() {
        let never = Body::new(Never);
        let mut body = RequestBodyTimeout::new(never);
        let frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        let error = frame.unwrap().unwrap_err().into_inner();
        let status = error.downcast::<Status>().unwrap();
        assert_eq!(status.code(), Code::DeadlineExceeded);
    }

    struct Never;

    impl HttpBody for Never {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            Poll::Pending
        }
    }
}
