//! The wire contract, word for word.
//!
//! The tables beside this file were written from the description of the protocol and never from `proto/`. Both are
//! reduced to the same lines of text and compared in both directions, so that neither a wrong field number nor an
//! undescribed field can pass. A few encodings are compared byte by byte as well, without descriptors.
mod compiled;
mod encoding;
mod table;

use std::collections::BTreeSet;

const TABLES: [&str; 15] = [
    include_str!("accounts.txt"),
    include_str!("actions.txt"),
    include_str!("annotations.txt"),
    include_str!("config.txt"),
    include_str!("credentials.txt"),
    include_str!("events.txt"),
    include_str!("health.txt"),
    include_str!("hosts.txt"),
    include_str!("metadata.txt"),
    include_str!("provisioning.txt"),
    include_str!("ratelimit.txt"),
    include_str!("services.txt"),
    include_str!("sync.txt"),
    include_str!("traits.txt"),
    include_str!("unoffered.txt"),
];

fn described() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for row in TABLES.iter().flat_map(|text| table::rows(text)) {
        assert!(all.insert(row.clone()), "described twice: {row}");
    }
    all
}

fn count(rows: &BTreeSet<String>, kind: &str) -> usize {
    rows.iter().filter(|row| row.split(' ').next() == Some(kind)).count()
}

#[test]
fn everything_described_is_on_the_wire_as_described() {
    let compiled = compiled::rows();
    let missing: Vec<_> = described().difference(&compiled).cloned().collect();
    assert!(missing.is_empty(), "not compiled so: {missing:#?}");
}

#[test]
fn nothing_is_on_the_wire_that_is_not_described() {
    let described = described();
    let extra: Vec<_> = compiled::rows().difference(&described).cloned().collect();
    assert!(extra.is_empty(), "not described so: {extra:#?}");
}

#[test]
fn the_contract_has_the_size_it_was_described_with() {
    for rows in [described(), compiled::rows()] {
        assert_eq!(count(&rows, "message"), 252);
        assert_eq!(count(&rows, "field"), 695);
        assert_eq!(count(&rows, "enum"), 22);
        assert_eq!(count(&rows, "value"), 131);
        assert_eq!(count(&rows, "service"), 21);
        assert_eq!(count(&rows, "method"), 44);
    }
}

#[test]
fn reflection_lists_no_service_that_only_hosts_speak() {
    let served = prost_reflect::DescriptorPool::decode(buildkite_connector::proto::FILE_DESCRIPTOR_SET).unwrap();
    assert!(served.get_service_by_name("c1.connector.v2.GrantsService").is_some());
    let foreign = |name: &str| name.starts_with("c1.connectorapi.") || name.starts_with("plugin.");
    assert!(!served.services().any(|service| foreign(service.full_name())));
}

#[test]
fn reflection_can_hand_out_every_file_that_is_imported() {
    let pool = compiled::pool();
    for file in pool.files() {
        assert_eq!(
            file.dependencies().count(),
            file.file_descriptor_proto().dependency.len()
        );
    }
    for name in ["Any", "Duration", "Struct", "Timestamp"] {
        let name = format!("google.protobuf.{name}");
        assert!(pool.get_message_by_name(&name).is_some(), "no {name}");
    }
}
