//! `docs/audit.md` describes the lines that the binary writes.

use buildkite_connector::governance::provisioning::Outcome;
use buildkite_connector::proto::c1::connector::v2::grant_manager_service_client::GrantManagerServiceClient;
use buildkite_connector::proto::c1::connector::v2::{
    Entitlement, GrantManagerServiceGrantRequest, Resource, ResourceId,
};
use buildkite_connector::providers::buildkite::resources::MEMBER;
use serde_json::{Map, Value};

use super::process::{Running, connector};
use super::serving::channel;

const PAGE: &str = include_str!("../../docs/audit.md");

/// The first column of the table below a heading.
fn listed(heading: &str) -> Vec<&'static str> {
    let section = PAGE.split(&format!("\n## {heading}\n")).nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let names = rows.map(|row| row.split('`').next().unwrap());
    names
        .filter(|name| !["record", "outcome"].contains(name) || heading == "Fields")
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_line_has_exactly_the_fields_of_the_page_in_its_order() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("audit.jsonl");
    let mut command = connector(&["serve", "--sandbox", "--provisioning", "--listen", "127.0.0.1:0"]);
    command.arg("--audit-file").arg(&file);
    let mut server = Running::start(command);
    let mut manager = GrantManagerServiceClient::new(channel(&server.address()).await);
    let request = GrantManagerServiceGrantRequest {
        entitlement: Some(Entitlement {
            id: "team:057158a4-74eb-4bdd-8bc1-64bf737aa703:member".to_owned(),
            ..Default::default()
        }),
        principal: Some(Resource {
            id: Some(ResourceId {
                resource_type: "user".to_owned(),
                resource: "priya@northwind-rail.example".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    };
    manager.grant(request).await.unwrap();
    drop(manager);
    server.terminate();
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<Map<String, Value>> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let records: Vec<&Value> = lines.iter().map(|line| &line["record"]).collect();
    assert_eq!(records, ["intent", "outcome"]);
    for (line, text) in lines.iter().zip(text.lines()) {
        let mut fields: Vec<&str> = line.keys().map(String::as_str).collect();
        fields.sort_by_key(|field| text.find(&format!("\"{field}\":")).unwrap());
        assert_eq!(fields, listed("Fields"));
    }
}

#[test]
fn every_outcome_is_on_the_page_and_no_other() {
    let outcomes = [
        Outcome::Granted,
        Outcome::AlreadyExists,
        Outcome::Replaced(MEMBER),
        Outcome::Revoked,
        Outcome::AlreadyRevoked,
        Outcome::Demoted,
    ];
    let mut words = outcomes.map(Outcome::as_str).to_vec();
    words.extend(["failed", "not_carried_out"]);
    assert_eq!(listed("Outcomes"), words);
}
