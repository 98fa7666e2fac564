//! The binary on a sandbox, and a monitor that asks it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use buildkite_connector::sandbox::Sandbox;
use http::uri::PathAndQuery;
use secrecy::{ExposeSecret, SecretString};
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use crate::process::{Running, connector};
use crate::support::Platform;

/// Longer than anything here is waited for, even on a busy machine.
const BOUND: Duration = Duration::from_secs(120);

/// A connector that monitors may ask.
pub struct Monitored {
    pub server: Running,
    /// Where it takes calls.
    pub address: String,
    /// Where it takes monitors.
    pub metrics: String,
}

impl Monitored {
    /// On `sandbox` with its own token, once it has seen that everything works.
    pub fn on(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        Self::with(sandbox, sandbox.token(), arguments)
    }

    /// The same with another token.
    pub fn with(sandbox: &Sandbox, token: &SecretString, arguments: &[&str]) -> Self {
        Self::given(sandbox, ("BUILDKITE_API_TOKEN", token.expose_secret()), arguments)
    }

    /// The same with the token from a file.
    pub fn with_file(sandbox: &Sandbox, file: &Path) -> Self {
        Self::given(sandbox, ("BUILDKITE_API_TOKEN_FILE", file.to_str().unwrap()), &[])
    }

    fn given(sandbox: &Sandbox, (variable, value): (&str, &str), arguments: &[&str]) -> Self {
        let mut command = connector(&["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]);
        command
            .args(arguments)
            .env("BUILDKITE_REST_URL", sandbox.url())
            .env("BUILDKITE_ORGANIZATION_SLUG", sandbox.slug())
            .env(variable, value);
        let mut server = Running::start(command);
        let serving = server.event("serving");
        let field = |name: &str| serving[name].as_str().unwrap().to_owned();
        let (address, metrics) = (field("address"), field("metrics"));
        server.event("buildkite: ");
        Self {
            server,
            address,
            metrics,
        }
    }

    pub async fn channel(&self) -> Channel {
        let endpoint = Endpoint::try_from(format!("http://{}", self.address)).unwrap();
        endpoint.connect().await.unwrap()
    }

    pub async fn platform(&self) -> Platform {
        Platform::new(self.channel().await)
    }

    /// A page: its status and its text.
    pub async fn page(&self, path: &str) -> (u16, String) {
        let answer = reqwest::get(format!("http://{}{path}", self.metrics)).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    pub async fn scrape(&self) -> Scrape {
        let (status, text) = self.page("/metrics").await;
        assert_eq!(status, 200, "{text}");
        Scrape::read(text)
    }

    /// Scrapes until it is so.
    pub async fn until(&self, what: &str, so: impl Fn(&Scrape) -> bool) -> Scrape {
        let end = Instant::now() + BOUND;
        loop {
            let scrape = self.scrape().await;
            if so(&scrape) {
                return scrape;
            }
            assert!(Instant::now() < end, "not in time: {what}\n{}", scrape.text);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Waits until it is so.
pub async fn until(what: &str, so: impl AsyncFn() -> bool) {
    let end = Instant::now() + BOUND;
    while !so().await {
        assert!(Instant::now() < end, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What a monitor read, every line understood.
pub struct Scrape {
    pub text: String,
    /// Each metric's type.
    pub types: BTreeMap<String, String>,
    /// Each metric's help.
    pub helps: BTreeMap<String, String>,
    /// Each line's value, by all that stands before it.
    pub values: BTreeMap<String, f64>,
}

impl Scrape {
    fn read(text: String) -> Self {
        let (mut types, mut helps, mut values) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for line in text.lines().filter(|line| !line.is_empty()) {
            let told = |rest: &str| {
                let (name, what) = rest.split_once(' ').unwrap();
                (name.to_owned(), what.to_owned())
            };
            let twice = if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = told(rest);
                types.insert(name, kind).is_some()
            } else if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = told(rest);
                helps.insert(name, help).is_some()
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap();
                values.insert(series.to_owned(), value.parse().unwrap()).is_some()
            };
            assert!(!twice, "told twice: {line}");
        }
        Self {
            text,
            types,
            helps,
            values,
        }
    }

    /// The value of a series, named without the prefix that all have.
    pub fn value(&self, series: &str) -> Option<f64> {
        self.values.get(&format!("buildkite_connector_{series}")).copied()
    }

    /// How many calls of a method ended so.
    pub fn calls(&self, method: &str, code: &str) -> Option<f64> {
        let (service, method) = method.split_once('/').unwrap();
        self.value(&format!(
            "grpc_requests_total{{service=\"{service}\",method=\"{method}\",code=\"{code}\"}}"
        ))
    }

    /// How many requests to an endpoint were answered so.
    pub fn requests(&self, endpoint: &str, status: &str) -> Option<f64> {
        self.value(&format!(
            "rest_requests_total{{endpoint=\"{endpoint}\",status=\"{status}\"}}"
        ))
    }
}

/// Calls any method with an empty message.
pub async fn call(channel: &Channel, path: &'static str) -> Result<(), Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready()
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let codec: ProstCodec<(), ()> = ProstCodec::default();
    let path = PathAndQuery::from_static(path);
    grpc.unary(Request::new(()), path, codec).await.map(|_| ())
}
