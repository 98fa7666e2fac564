//! The metrics listener: off by default, bounded, and with three pages only.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;

use http::{Method, StatusCode};
use rstest::rstest;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::support::process::{ConnectorProcess, connector};
use crate::support::{sandbox, sized};

/// What a command that is refused says last.
fn refusal(arguments: &[&str]) -> String {
    let mut command = connector(&["serve", "--sandbox"]);
    let output = command.args(arguments).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    said.lines().last().unwrap().to_owned()
}

#[test]
fn metrics_are_not_served_by_default() {
    let mut server = ConnectorProcess::start(connector(&["serve", "--sandbox", "--listen", "127.0.0.1:0"]));
    assert!(server.event("serving").get("metrics").is_none());
    let mut command = connector(&["serve", "--sandbox", "--listen", "127.0.0.1:0"]);
    command.env("BUILDKITE_CONNECTOR_METRICS_LISTEN", "");
    let mut server = ConnectorProcess::start(command);
    assert!(server.event("serving").get("metrics").is_none());
}

#[rstest]
#[case::no_address("9090", "`9090` is neither an address such as `127.0.0.1:50051` nor `unix:PATH`")]
#[case::the_callers(
    "127.0.0.1:65001",
    "127.0.0.1:65001 is the address of the gRPC listener, --listen (BUILDKITE_CONNECTOR_LISTEN): give another"
)]
#[case::exposed(
    "0.0.0.0:0",
    "0.0.0.0:0 can be reached by others and metrics are served without TLS: \
     listen on loopback or unix:PATH, or give --insecure-metrics-listen"
)]
fn an_address_that_will_not_do_is_refused(#[case] address: &str, #[case] sentence: &str) {
    let said = refusal(&["--listen", "127.0.0.1:65001", "--metrics-listen", address]);
    let named = "--metrics-listen (BUILDKITE_CONNECTOR_METRICS_LISTEN)";
    assert_eq!(said, format!("error: {named}: {sentence}"));
}

#[test]
fn an_address_that_is_taken_is_refused() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = refusal(&["--listen", "127.0.0.1:0", "--metrics-listen", &address]);
    let begin = "error: --metrics-listen (BUILDKITE_CONNECTOR_METRICS_LISTEN): cannot listen on ";
    assert!(said.starts_with(&format!("{begin}{address}: ")), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metrics_listener_may_be_exposed_explicitly() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let arguments = ["--insecure-metrics-listen", "--metrics-listen", "0.0.0.0:0"];
    let mut command = connector(&["serve", "--listen", "127.0.0.1:0"]);
    command
        .args(arguments)
        .env("BUILDKITE_REST_URL", sandbox.url())
        .env("BUILDKITE_ORGANIZATION_SLUG", sandbox.slug())
        .env("BUILDKITE_API_TOKEN", "bkua_0123456789abcdef");
    let mut server = ConnectorProcess::start(command);
    let serving = server.event("serving");
    let port = serving["metrics"].as_str().unwrap().rsplit_once(':').unwrap().1;
    let alive = reqwest::get(format!("http://127.0.0.1:{port}/livez")).await.unwrap();
    assert_eq!(alive.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unix_socket_is_its_owners_and_goes_with_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("metrics");
    let mut command = connector(&["serve", "--sandbox", "--listen", "127.0.0.1:0"]);
    command.arg("--metrics-listen").arg(format!("unix:{}", path.display()));
    let mut server = ConnectorProcess::start(command);
    server.event("serving");
    let client = reqwest::Client::builder().unix_socket(path.clone()).build().unwrap();
    let answer = client.get("http://connector/metrics").send().await.unwrap();
    assert!(answer.text().await.unwrap().contains("buildkite_connector_build_info"));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(server.terminate().status.code(), Some(0));
    assert!(!path.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_has_three_pages_that_can_only_be_read() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let monitored = ConnectorProcess::monitored(&sandbox, &[]);
    let client = reqwest::Client::new();
    let ask = async |method: Method, path: &str| {
        let request = client.request(method, format!("http://{}{path}", monitored.metrics()));
        request.send().await.unwrap()
    };
    for path in ["/metrics", "/livez", "/readyz"] {
        let (read, head) = (ask(Method::GET, path).await, ask(Method::HEAD, path).await);
        assert_eq!(
            (read.status(), head.status()),
            (StatusCode::OK, StatusCode::OK),
            "{path}"
        );
        assert_eq!(read.headers()["content-type"], head.headers()["content-type"]);
        assert_eq!(
            (read.text().await.unwrap().is_empty(), &*head.text().await.unwrap()),
            (false, "")
        );
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let answer = ask(method.clone(), path).await;
            assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        }
    }
    for path in [
        "/",
        "/metrics/",
        "/metrics/x",
        "/health",
        "/debug/pprof",
        "/..%2fmetrics",
    ] {
        assert_eq!(ask(Method::GET, path).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let metrics = ask(Method::GET, "/metrics?name=x").await;
    assert_eq!(
        metrics.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_monitors_takes_no_call_of_a_platform_and_no_probe_of_a_supervisor() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let monitored = ConnectorProcess::monitored(&sandbox, &[]);
    let mut flood = vec![];
    for _ in 0..80 {
        flood.push(TcpStream::connect(monitored.metrics()).await.unwrap());
    }
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(monitored.page(path).await.0, 200, "{path}");
    }
    assert!(matches!(flood[0].read(&mut [0; 1]).await, Ok(0) | Err(_)));
    monitored.platform().await.sync().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_other_than_http_and_oversized_requests_are_rejected() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let monitored = ConnectorProcess::monitored(&sandbox, &[]);
    let long = format!("GET /livez HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(64 * 1024));
    for said in ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\u{16}\u{3}\u{1}", &long] {
        let mut stream = std::net::TcpStream::connect(monitored.metrics()).unwrap();
        // It may be cut off while it still talks.
        let _ = std::io::Write::write_all(&mut stream, said.as_bytes());
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = vec![];
        let _ = stream.read_to_end(&mut answer);
        assert!(!String::from_utf8_lossy(&answer).contains(" 200 "), "{said}");
    }
    assert_eq!(monitored.page("/livez").await.0, 200);
}
