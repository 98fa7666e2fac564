//! The listener for monitors: `/metrics`, and whether the process lives and is ready. Plain HTTP/1.1, and nobody is asked who they
//! are, so what it says names nobody, and what it takes is bounded ([`crate::grpc::middleware::limits`]).

mod exposition;
pub(crate) mod routes;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use metrics_exporter_prometheus::BuildError;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::governance::Governance;
use crate::grpc::middleware::limits;
use crate::grpc::server::listener::{BoundAddress, ListenAddress, ListenError, Listener};
use exposition::Exposition;

/// How often what was timed is put into its buckets, whether or not a monitor asks.
const TIDY: Duration = Duration::from_secs(5);

/// Why monitors cannot be listened for.
#[derive(Debug, thiserror::Error)]
pub enum MonitoringError {
    /// The listener cannot be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Metrics are recorded for somebody else in this process.
    #[error("metrics cannot be recorded: {0}")]
    Record(#[from] BuildError),
}

/// An open listener for monitors, and what they will read.
pub struct Monitoring {
    listener: Listener,
    exposition: Exposition,
}

impl Monitoring {
    /// Opens the listener. From now on everything in this process is recorded.
    ///
    /// # Errors
    /// Where the address cannot be listened on, or another of these was opened in this process.
    pub async fn open(address: &ListenAddress) -> Result<Self, MonitoringError> {
        Ok(Self {
            listener: Listener::bind(address).await?,
            exposition: Exposition::begin()?,
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the operating system does not tell.
    pub fn address(&self) -> io::Result<BoundAddress> {
        self.listener.address()
    }

    /// Answers monitors for as long as it is polled. The process is ready until `ending`.
    pub async fn serve(self, access: Arc<Governance>, ending: CancellationToken) {
        let Self { listener, exposition } = self;
        let exposition = Arc::new(exposition);
        let pages = routes::router(Arc::clone(&exposition), access, ending);
        serve_pages(listener, pages, || exposition.tidy()).await;
    }
}

/// Answers monitors with `pages`, for as long as it is polled. `tidy` is called every few seconds, whether or not a monitor asks.
pub(crate) async fn serve_pages(mut listener: Listener, pages: axum::Router, tidy: impl Fn()) {
    // The oldest first.
    let mut answering = VecDeque::new();
    let mut tidying = interval(TIDY);
    loop {
        let stream = tokio::select! {
            stream = listener.accept() => stream,
            _ = tidying.tick() => {
                tidy();
                continue;
            }
        };
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                tracing::error!(%error, "monitors are not listened for any more");
                return;
            }
        };
        answering.retain(|answer: &AbortOnDropHandle<()>| !answer.is_finished());
        if answering.len() >= limits::MONITORS {
            // Who dawdles makes room, so that a supervisor's probe is answered in a flood too.
            answering.pop_front();
        }
        answering.push_back(AbortOnDropHandle::new(tokio::spawn(answer(stream, pages.clone()))));
    }
}

/// Answers one request, and closes: a monitor comes back after many seconds, and holds no place meanwhile.
async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, pages: axum::Router) {
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(limits::MONITOR_HEADERS)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(pages));
    match timeout(limits::MONITOR, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a monitor's connection ended"),
        Err(_) => tracing::debug!("a monitor took too long"),
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_monitor_that_says_nothing_or_reads_nothing_is_let_go() {
        let large = Router::new().route("/", get(|| async { "x".repeat(1 << 20) }));
        for said in ["", "GET / HTTP/1.1\r\nHos", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"] {
            let (ours, mut theirs) = tokio::io::duplex(1024);
            theirs.write_all(said.as_bytes()).await.unwrap();
            answer(ours, large.clone()).await;
        }
    }

    #[tokio::test]
    async fn a_connection_is_closed_behind_its_answer() {
        let pages = Router::new().route("/", get(|| async { "here" }));
        let (ours, mut theirs) = tokio::io::duplex(1024);
        theirs
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        answer(ours, pages).await;
        let mut said = String::new();
        theirs.read_to_string(&mut said).await.unwrap();
        assert_eq!(said.matches("here").count(), 1, "{said}");
    }
}
