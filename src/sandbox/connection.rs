//! The accept loop: HTTP/1.1 over connections that can be reset in the middle of a request.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::service::Service;

/// Pause after a failed accept.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(10);

/// The request's connection must be reset without a response.
#[derive(Debug, thiserror::Error)]
#[error("the connection is reset on purpose")]
pub(super) struct ConnectionReset;

/// Serves connections until stopped, then closes them even in the middle of a request.
pub(super) async fn accept(listener: TcpListener, service: Arc<Service>, stopped: CancellationToken) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped.cancelled() => break,
        };
        let Ok((stream, _)) = accepted else {
            // Most errors come from the client. If this process has too many files open, retrying at once would spin.
            tokio::time::sleep(ACCEPT_BACKOFF).await;
            continue;
        };
        let (service, stopped) = (Arc::clone(&service), stopped.clone());
        connections.spawn(async move {
            tokio::select! {
                () = serve(stream, service) => {}
                () = stopped.cancelled() => {}
            }
        });
    }
    connections.close();
    connections.wait().await;
}

async fn serve(stream: TcpStream, service: Arc<Service>) {
    // Sends small responses at once. If the option cannot be set, they are only slower.
    let _ = stream.set_nodelay(true);
    let reset = Arc::new(AtomicBool::new(false));
    let stream = ResettableStream {
        stream,
        reset: Arc::clone(&reset),
    };
    let handler = service_fn(move |request| {
        let (service, reset) = (Arc::clone(&service), Arc::clone(&reset));
        async move {
            let response = service.handle(request).await;
            reset.store(response.is_err(), Ordering::SeqCst);
            response
        }
    });
    // The client notices how a connection ends, and the log has its requests.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), handler)
        .await;
}

/// A stream that is reset rather than closed if its request ended in a [`ConnectionReset`].
struct ResettableStream {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for ResettableStream {
    fn drop(&mut self) {
        if self.reset.load(Ordering::SeqCst) {
            // If the option cannot be set, the connection is closed instead, and the client has no response either way.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for ResettableStream {
    fn poll_read(mut self: Pin<&mut Self>, task: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(task, into)
    }
}

impl AsyncWrite for ResettableStream {
    fn poll_write(mut self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(task, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(task)
    }
}
