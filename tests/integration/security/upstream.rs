//! Connections to Buildkite over https: one for all requests where HTTP/2 is negotiated, one each over HTTP/1.1.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use http::{Request, Response, header};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rstest::rstest;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tonic::transport::Endpoint;

use super::pki::Authority;
use crate::support::process::{ConnectorProcess, connector};
use crate::support::{Platform, sandbox, sized};

/// The sandbox behind TLS; counts the connections that requests came on, and ends when it is dropped.
struct Front {
    url: String,
    connections: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Front {
    async fn start(authority: &Authority, protocol: &[u8], sandbox: &str) -> Self {
        let pair = authority.issue(&["localhost"]);
        let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        config.alpn_protocols = vec![protocol.to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let connections = Arc::new(AtomicUsize::new(0));
        let (counted, sandbox) = (Arc::clone(&connections), sandbox.to_owned());
        let behind = reqwest::Client::builder().no_proxy().build().unwrap();
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, counted) = (acceptor.clone(), Arc::clone(&counted));
                let (behind, sandbox) = (behind.clone(), sandbox.clone());
                tokio::spawn(async move {
                    let stream = acceptor.accept(stream).await.unwrap();
                    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                    counted.fetch_add(1, Ordering::SeqCst);
                    let service = service_fn(move |request| pass_on(behind.clone(), sandbox.clone(), request));
                    let stream = TokioIo::new(stream);
                    // How a connection ends is the connector's business.
                    if is_http2 {
                        drop(
                            http2::Builder::new(TokioExecutor::new())
                                .serve_connection(stream, service)
                                .await,
                        );
                    } else {
                        drop(http1::Builder::new().serve_connection(stream, service).await);
                    }
                });
            }
        });
        Self {
            url,
            connections,
            accepting,
        }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn pass_on(
    behind: reqwest::Client,
    sandbox: String,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let url = format!("{sandbox}{}", request.uri().path_and_query().unwrap());
    let token = request.headers()[header::AUTHORIZATION].clone();
    let asked = behind.get(url).header(header::AUTHORIZATION, token);
    let answer = asked.send().await.unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    let mut response = Response::new(Body::from(answer.bytes().await.unwrap()));
    *response.status_mut() = status;
    for name in [header::CONTENT_TYPE, header::LINK] {
        if let Some(value) = headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    Ok(response)
}

#[rstest]
#[case::http2(b"h2", false)]
#[case::http1(b"http/1.1", true)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_share_a_connection_over_http2_and_have_one_each_over_http1(
    #[case] protocol: &[u8],
    #[case] one_each: bool,
) {
    let (sandbox, authority) = (sandbox(sized(40, 2, 5)).await, Authority::new());
    let front = Front::start(&authority, protocol, sandbox.url()).await;
    let directory = tempfile::tempdir().unwrap();
    let trusted = directory.path().join("authority.pem");
    std::fs::write(&trusted, authority.pem()).unwrap();
    let mut command = connector(&["serve", "--listen", "127.0.0.1:0", "--read-ahead", "0"]);
    command
        .env("SSL_CERT_FILE", &trusted)
        .env("BUILDKITE_REST_URL", &front.url)
        .env("BUILDKITE_ORGANIZATION_SLUG", sandbox.slug())
        .env("BUILDKITE_API_TOKEN", sandbox.token().expose_secret());
    let mut running = ConnectorProcess::start(command);
    let address = format!("http://{}", running.address());
    let channel = Endpoint::try_from(address).unwrap().connect().await.unwrap();
    let synced = Platform::new(channel).sync().await.unwrap();
    assert_eq!(synced.teams.len(), 40);
    drop(running.terminate());
    let (connections, requests) = (front.connections.load(Ordering::SeqCst), sandbox.request_log().total());
    let requests = usize::try_from(requests).unwrap();
    assert!(requests > 40, "{requests}");
    if one_each {
        assert_eq!(connections, requests);
    } else {
        // Those that are sent before the first connection has negotiated anything may open another.
        assert!(connections <= 6, "{connections} connections for {requests} requests");
    }
}
