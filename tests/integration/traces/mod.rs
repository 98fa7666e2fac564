//! Traces by OTLP, from the binary to a collector.

mod collector;
mod log;
mod outages;
mod privacy;
mod tree;

use buildkite_connector::sandbox::{Sandbox, Seed};
use tonic::Request;

use crate::support::process::{ConnectorProcess, connector, set_up};
use collector::Collector;

/// The environment of a process that exports to a collector soon after a span ended.
fn exporting(endpoint: &str) -> Vec<(&'static str, String)> {
    vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.to_owned()),
        ("OTEL_BSP_SCHEDULE_DELAY", "20".to_owned()),
    ]
}

/// A server on the sandbox that carries out grants, with these variables.
fn serve(sandbox: &Sandbox, variables: &[(&str, String)], arguments: &[&str]) -> ConnectorProcess {
    let mut command = connector(&["serve", "--listen", "127.0.0.1:0", "--provisioning"]);
    command.args(arguments);
    set_up(&mut command, sandbox, sandbox.token());
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    let mut server = ConnectorProcess::start(command);
    server.address();
    server
}

/// The same with a collector that takes everything.
async fn traced(sandbox: &Sandbox) -> (Collector, ConnectorProcess) {
    let collector = Collector::start().await;
    let server = serve(sandbox, &exporting(&collector.endpoint()), &[]);
    (collector, server)
}

/// The message with a `traceparent`.
fn within_trace<T>(message: T, traceparent: &'static str) -> Request<T> {
    let mut request = Request::new(message);
    request
        .metadata_mut()
        .insert("traceparent", traceparent.parse().unwrap());
    request
}

async fn example() -> Sandbox {
    crate::support::sandbox(Seed::Example).await
}
