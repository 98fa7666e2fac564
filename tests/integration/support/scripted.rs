//! A server whose answers a test writes itself, for what no stand-in of Buildkite would say.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use http::Response;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The server; ends when it is dropped.
pub struct Scripted {
    pub url: String,
    serving: JoinHandle<()>,
}

impl Scripted {
    /// Answers every request by `script`.
    pub async fn start(script: impl Fn(&Request) -> Response<Body> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script = Arc::new(script);
        let router = Router::new().fallback(move |request: Request| {
            let script = Arc::clone(&script);
            async move { script(&request) }
        });
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, serving }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// 200 with this JSON.
pub fn json(document: &serde_json::Value) -> Response<Body> {
    Response::new(Body::from(document.to_string()))
}
