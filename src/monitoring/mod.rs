//! The monitoring listener: `/metrics`, `/livez` and `/readyz` over plain HTTP/1.1. It has no authentication, so its responses
//! contain no personal data and its load is limited ([`crate::grpc::middleware::limits`]).

mod exporter;
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

use crate::governance::connections::Connections;
use crate::grpc::middleware::limits;
use crate::grpc::server::listener::{BoundAddress, ListenAddress, ListenError, Listener};
use exporter::Exporter;

/// Interval at which histogram samples are drained, also without a scrape.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Why the monitoring listener cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum MonitoringError {
    /// The address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Another recorder is already installed in this process.
    #[error("metrics cannot be recorded: {0}")]
    Record(#[from] BuildError),
}

/// An open monitoring listener with its metrics exporter.
pub struct Monitoring {
    listener: Listener,
    exporter: Exporter,
}

impl Monitoring {
    /// Opens the listener. Installs the metrics recorder of this process.
    ///
    /// # Errors
    /// The address cannot be listened on, or a recorder is already installed in this process.
    pub async fn open(address: &ListenAddress) -> Result<Self, MonitoringError> {
        Ok(Self {
            listener: Listener::bind(address).await?,
            exporter: Exporter::install()?,
        })
    }

    /// The listening address.
    ///
    /// # Errors
    /// The operating system reports an error.
    pub fn address(&self) -> io::Result<BoundAddress> {
        self.listener.address()
    }

    /// Serves for as long as it is polled. The process is ready until `shutdown` is cancelled.
    pub async fn serve(self, connections: impl Into<Connections>, shutdown: CancellationToken) {
        let Self { listener, exporter } = self;
        let exporter = Arc::new(exporter);
        let routes = routes::router(Arc::clone(&exporter), connections.into(), shutdown);
        serve_routes(listener, routes, || exporter.run_upkeep()).await;
    }
}

/// Serves `routes` for as long as it is polled. Calls `upkeep` every few seconds, also without a request.
pub(crate) async fn serve_routes(mut listener: Listener, routes: axum::Router, upkeep: impl Fn()) {
    // Oldest first.
    let mut connections = VecDeque::new();
    let mut next_upkeep = interval(UPKEEP_INTERVAL);
    loop {
        let stream = tokio::select! {
            stream = listener.accept() => stream,
            _ = next_upkeep.tick() => {
                upkeep();
                continue;
            }
        };
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                tracing::error!(%error, "the monitoring listener has failed");
                return;
            }
        };
        connections.retain(|connection: &AbortOnDropHandle<()>| !connection.is_finished());
        if connections.len() >= limits::MAX_MONITORS {
            // Evict the oldest connection so that probes are answered under load.
            connections.pop_front();
        }
        connections.push_back(AbortOnDropHandle::new(tokio::spawn(serve_connection(
            stream,
            routes.clone(),
        ))));
    }
}

/// Serves one request and closes the connection, because a monitor returns only after many seconds.
async fn serve_connection(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, routes: axum::Router) {
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(limits::MAX_MONITOR_HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    match timeout(limits::MONITOR_TIMEOUT, connection).await {
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
    async fn a_monitor_that_sends_or_reads_nothing_is_disconnected() {
        let large = Router::new().route("/", get(|| async { "x".repeat(1 << 20) }));
        for said in ["", "GET / HTTP/1.1\r\nHos", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"] {
            let (ours, mut theirs) = tokio::io::duplex(1024);
            theirs.write_all(said.as_bytes()).await.unwrap();
            serve_connection(ours, large.clone()).await;
        }
    }

    #[tokio::test]
    async fn a_connection_closes_after_its_response() {
        let routes = Router::new().route("/", get(|| async { "here" }));
        let (ours, mut theirs) = tokio::io::duplex(1024);
        theirs
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        serve_connection(ours, routes).await;
        let mut said = String::new();
        theirs.read_to_string(&mut said).await.unwrap();
        assert_eq!(said.matches("here").count(), 1, "{said}");
    }
}
