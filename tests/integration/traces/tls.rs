//! A collector behind TLS.

use tempfile::TempDir;

use super::collector::Collector;
use super::{example, exporting, serve};
use crate::security::pki::{Authority, Pair};
use crate::support::until;

/// The variables of a process that exports to the collector, and files in a directory that goes with them.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A variable that names a file with this text.
    fn variable(&self, name: &'static str, text: &str) -> (&'static str, String) {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        (name, path.to_str().unwrap().to_owned())
    }

    fn client(&self, pair: &Pair) -> [(&'static str, String); 2] {
        [
            self.variable("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &pair.certificate),
            self.variable("OTEL_EXPORTER_OTLP_CLIENT_KEY", &pair.key),
        ]
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_is_trusted_by_the_certificate_of_its_authority() {
    let (sandbox, authority, files) = (example().await, Authority::new(), Files::new());
    let collector = Collector::over_tls(&authority.issue(&["localhost"]), None).await;
    let mut variables = exporting(&collector.endpoint());
    variables.push(files.variable("OTEL_EXPORTER_OTLP_CERTIFICATE", &authority.pem()));
    let server = serve(&sandbox, &variables, &[]);
    assert_eq!(server.platform().await.resources("team").await.unwrap().len(), 7);
    until(|| !collector.spans().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_of_another_authority_gets_nothing() {
    let (sandbox, authority, files) = (example().await, Authority::new(), Files::new());
    let collector = Collector::over_tls(&Authority::new().issue(&["localhost"]), None).await;
    let mut variables = exporting(&collector.endpoint());
    variables.push(files.variable("OTEL_EXPORTER_OTLP_CERTIFICATE", &authority.pem()));
    let mut server = serve(&sandbox, &variables, &[]);
    assert_eq!(server.platform().await.resources("team").await.unwrap().len(), 7);
    server.line("traces cannot be exported");
    assert_eq!(collector.exports(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_demands_a_certificate_gets_it() {
    let (sandbox, authority, files) = (example().await, Authority::new(), Files::new());
    let collector = Collector::over_tls(&authority.issue(&["localhost"]), Some(&authority)).await;
    let trust = files.variable("OTEL_EXPORTER_OTLP_CERTIFICATE", &authority.pem());
    let mut variables = exporting(&collector.endpoint());
    variables.push(trust);
    variables.extend(files.client(&authority.issue(&["connector"])));
    let server = serve(&sandbox, &variables, &[]);
    assert_eq!(server.platform().await.resources("team").await.unwrap().len(), 7);
    until(|| !collector.spans().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_cannot_be_read_is_one_warning_and_no_failure() {
    let (sandbox, authority) = (example().await, Authority::new());
    let collector = Collector::over_tls(&authority.issue(&["localhost"]), None).await;
    let mut variables = exporting(&collector.endpoint());
    variables.push(("OTEL_EXPORTER_OTLP_CERTIFICATE", "/absent/ca.pem".to_owned()));
    let server = serve(&sandbox, &variables, &[]);
    assert_eq!(server.platform().await.resources("team").await.unwrap().len(), 7);
    let printed = server.terminate().printed;
    let warned = printed.iter().filter(|line| line.contains("traces are not exported"));
    let warned: Vec<_> = warned.collect();
    assert!(
        warned.len() == 1 && warned[0].contains("/absent/ca.pem cannot be read"),
        "{printed:#?}"
    );
    assert_eq!(collector.exports(), 0);
}
