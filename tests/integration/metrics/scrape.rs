//! What a monitoring system reads of the binary.

use std::collections::BTreeMap;
use std::path::Path;

use buildkite_connector::sandbox::Sandbox;
use http::uri::PathAndQuery;
use secrecy::SecretString;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use crate::support::process::{ConnectorProcess, connector, set_up};
use crate::support::until_async;

impl ConnectorProcess {
    /// Serves `sandbox` and its metrics; returns after the first check of the token's scopes.
    pub fn monitored(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        Self::monitored_with(sandbox, sandbox.token(), arguments)
    }

    /// The same with another token.
    pub fn monitored_with(sandbox: &Sandbox, token: &SecretString, arguments: &[&str]) -> Self {
        let mut command = connector(&SERVE);
        set_up(command.args(arguments), sandbox, token);
        Self::checked(command)
    }

    /// The same with the token from a file.
    pub fn monitored_with_file(sandbox: &Sandbox, file: &Path) -> Self {
        let mut command = connector(&SERVE);
        set_up(&mut command, sandbox, sandbox.token());
        command
            .env_remove("BUILDKITE_API_TOKEN")
            .env("BUILDKITE_API_TOKEN_FILE", file);
        Self::checked(command)
    }

    /// The same with these arguments in place of a token.
    pub fn monitored_without_token(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        let mut command = connector(&SERVE);
        set_up(command.args(arguments), sandbox, sandbox.token());
        command.env_remove("BUILDKITE_API_TOKEN");
        Self::checked(command)
    }

    fn checked(command: std::process::Command) -> Self {
        let mut process = Self::start(command);
        process.address();
        process.event("buildkite: ");
        process
    }

    /// The status and the text of a page of the metrics listener.
    pub async fn page(&self, path: &str) -> (u16, String) {
        let response = reqwest::get(format!("http://{}{path}", self.metrics())).await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    pub async fn scrape(&self) -> Scrape {
        let (status, text) = self.page("/metrics").await;
        assert_eq!(status, 200, "{text}");
        Scrape::read(text)
    }

    /// Scrapes until a condition holds, and returns the scrape in which it does.
    pub async fn scrape_until(&self, what: &str, condition: impl Fn(&Scrape) -> bool) -> Scrape {
        let mut last = self.scrape().await;
        until_async(what, async || {
            last = self.scrape().await;
            condition(&last)
        })
        .await;
        last
    }
}

/// Serves on free ports.
const SERVE: [&str; 5] = ["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];

/// A parsed exposition; a line that cannot be parsed fails the test.
pub struct Scrape {
    pub text: String,
    /// Each metric's type.
    pub types: BTreeMap<String, String>,
    /// Each metric's help.
    pub helps: BTreeMap<String, String>,
    /// The value of each series, by name and labels.
    pub values: BTreeMap<String, f64>,
}

impl Scrape {
    fn read(text: String) -> Self {
        let (mut types, mut helps, mut values) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for line in text.lines().filter(|line| !line.is_empty()) {
            let split = |rest: &str| {
                let (name, what) = rest.split_once(' ').unwrap();
                (name.to_owned(), what.to_owned())
            };
            let twice = if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = split(rest);
                types.insert(name, kind).is_some()
            } else if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = split(rest);
                helps.insert(name, help).is_some()
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap();
                values.insert(series.to_owned(), value.parse().unwrap()).is_some()
            };
            assert!(!twice, "a second time: {line}");
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

    /// The number of calls of a method that ended with this code.
    pub fn calls(&self, method: &str, code: &str) -> Option<f64> {
        let (service, method) = method.split_once('/').unwrap();
        self.value(&format!(
            "grpc_requests_total{{service=\"{service}\",method=\"{method}\",code=\"{code}\"}}"
        ))
    }

    /// The number of requests to an endpoint with this status.
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
