//! The connection that a call is about.

use std::fmt::Write as _;

use buildkite_connector::grpc::methods::SERVICES;
use tonic::Code;
use tonic::metadata::MetadataMap;

use super::{Files, assert_not_allowed, assert_reaches, assert_refused, client, two};
use crate::security::requests::{call, reason_of};
use crate::support::{Caller, TestServer};

/// The services that concern no connection: probes, reflection, the rate limiter, and those that are not offered.
const CONCERN_NONE: [&str; 8] = [
    "c1.connector.v2.AssetService",
    "c1.connector.v2.CredentialManagerService",
    "c1.connector.v2.EventService",
    "c1.connector.v2.TicketsService",
    "c1.ratelimit.v1.RateLimiterService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

/// The documentation of connections.
const PAGE: &str = include_str!("../../../docs/connections.md");

#[test]
fn the_documentation_lists_the_services_that_concern_no_connection() {
    let paragraphs: Vec<&str> = PAGE.split("\n\n").collect();
    let listed = paragraphs.iter().find(|text| text.contains("concern no connection"));
    let listed = listed.expect("a paragraph about them");
    for service in SERVICES {
        let (package, name) = service.name.rsplit_once('.').unwrap();
        let stated = if package == "c1.connector.v2" { name } else { package };
        let is_listed = listed.contains(&format!("`{stated}`"));
        assert_eq!(is_listed, CONCERN_NONE.contains(&service.name), "{}", service.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_metadata_key_names_the_connection() {
    let (sandboxes, files) = (two().await, Files::new());
    files.configure(&files.connections(&sandboxes));
    let process = files.serve(&[]);
    let [northwind, acme] = &sandboxes;
    let caller = client(&process).await;
    assert_reaches(&caller.clone().about("northwind"), northwind).await;
    assert_reaches(&caller.clone().about("acme"), acme).await;
    let required = assert_refused(&caller, Code::InvalidArgument, "CONNECTION_REQUIRED").await;
    assert_eq!(
        required,
        "name a connection in the metadata key `connector-connection`: this caller may use `acme`, `northwind`"
    );
    let mut sentences: Vec<String> = Vec::new();
    for name in [
        "other",
        "",
        "Northwind",
        "north wind",
        "acme,northwind",
        "ACME",
        "../acme",
        "*",
    ] {
        sentences.push(assert_not_allowed(&caller.clone().about(name)).await);
    }
    let twice = caller.clone().about("northwind").about("northwind");
    sentences.push(assert_not_allowed(&twice).await);
    sentences.dedup();
    assert_eq!(sentences.len(), 1, "{sentences:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_single_connection_needs_no_name_and_has_no_other() {
    let ([northwind, acme], files) = (two().await, Files::new());
    files.configure(&files.connection("northwind", &northwind, ""));
    let process = files.serve(&[]);
    let caller = client(&process).await;
    assert_reaches(&caller, &northwind).await;
    assert_reaches(&caller.clone().about("northwind"), &northwind).await;
    let of_single = assert_not_allowed(&caller.about("acme")).await;

    let without_a_file = TestServer::on(&acme).await;
    let caller = Caller::from(without_a_file.channel().await);
    assert_reaches(&caller, &acme).await;
    for name in ["acme", "northwind", ""] {
        assert_eq!(assert_not_allowed(&caller.clone().about(name)).await, of_single);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_method_needs_a_connection_unless_its_service_concerns_none() {
    let (sandboxes, files) = (two().await, Files::new());
    files.configure(&files.connections(&sandboxes));
    let process = files.serve(&[]);
    let caller = client(&process).await;
    for service in SERVICES {
        let concerns_none = CONCERN_NONE.contains(&service.name);
        for method in service.methods {
            let path = format!("/{}/{}", service.name, method.name);
            let expected = |reason| if concerns_none { "" } else { reason };
            for (caller, reason) in [
                (caller.clone(), "CONNECTION_REQUIRED"),
                (caller.clone().about("other"), "CONNECTION_NOT_ALLOWED"),
            ] {
                let answer = call(caller, &path, &MetadataMap::new()).await;
                let received = answer.err().map(|status| reason_of(&status)).unwrap_or_default();
                let received = if received.starts_with("CONNECTION_") {
                    &*received
                } else {
                    ""
                };
                assert_eq!(received, expected(reason), "{path}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_error_lists_a_bounded_number_of_connections() {
    let files = Files::new();
    files.write("token", "bkua_0123456789abcdef");
    let mut text = String::from("api_url = \"http://127.0.0.1:1\"\napi_token_file = \"token\"\n");
    for number in 10..50 {
        let name = format!("{}-{number}", "x".repeat(60));
        writeln!(text, "[connection.{name}]\norganization = \"acme\"").unwrap();
    }
    files.configure(&text);
    let process = files.serve(&[]);
    let required = assert_refused(&client(&process).await, Code::InvalidArgument, "CONNECTION_REQUIRED").await;
    // The metadata key, and 32 names.
    assert_eq!(required.matches('`').count(), 2 * (1 + 32), "{required}");
    assert!(required.ends_with("-41` and 8 more"), "{required}");
}
