//! The table is compared with the descriptors, and its access with what callers may do.

use std::collections::BTreeMap;

use prost::Message;
use prost_types::FileDescriptorSet;

use super::*;
use crate::proto::{FILE_DESCRIPTOR_SET, HOST_FILE_DESCRIPTOR_SET};

/// The methods of every descriptor that reflection serves, of reflection itself, and of go-plugin: whether each streams
/// its response.
fn described() -> BTreeMap<String, bool> {
    let sets = [
        FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let files = sets.map(|set| FileDescriptorSet::decode(set).unwrap().file);
    let hosts = FileDescriptorSet::decode(HOST_FILE_DESCRIPTOR_SET).unwrap().file;
    let plugin = hosts.into_iter().filter(|file| file.package() == "plugin");
    let mut methods = BTreeMap::new();
    for file in files.into_iter().flatten().chain(plugin) {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                methods.insert(path, method.server_streaming());
            }
        }
    }
    methods
}

#[test]
fn every_described_method_has_one_row_and_every_row_is_described() {
    let described = described();
    let rows = SERVICES.iter().chain(PLUGIN_SERVICES).flat_map(|service| {
        let of = |method: &Method| format!("/{}/{}", service.name, method.name);
        service.methods.iter().map(of)
    });
    let mut rows: Vec<String> = rows.collect();
    rows.sort();
    assert_eq!(rows, described.keys().cloned().collect::<Vec<_>>());
    assert!(rows.len() >= 41, "{rows:?}");
}

#[test]
fn a_method_that_stays_open_is_a_stream_and_only_an_asset_ends_on_its_own() {
    for (path, streams) in described() {
        let is_open_ended = class(&path).is_open_ended();
        assert_eq!(is_open_ended, streams && !path.ends_with("/GetAsset"), "{path}");
    }
}

#[test]
fn only_a_provisioner_changes_anything_and_only_probes_are_public() {
    let access = |path: &str| find(path).map(|(_, method)| method.access);
    for method in [
        "GrantManagerService/Grant",
        "GrantManagerService/Revoke",
        "AccountManagerService/CreateAccount",
        "ResourceManagerService/DeleteResource",
    ] {
        let expected = Some(Access::Role(CallerRole::Provisioner));
        assert_eq!(access(&format!("/c1.connector.v2.{method}")), expected, "{method}");
    }
    assert_eq!(access("/grpc.health.v1.Health/Check"), Some(Access::Public));
    for path in [
        "/connector.health.v1.ScopeHealthService/CheckScopes",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    ] {
        assert_eq!(access(path), Some(READER));
    }
}

#[test]
fn what_a_plugin_host_calls_is_for_no_caller() {
    let methods = PLUGIN_SERVICES.iter().flat_map(|service| service.methods);
    let access: Vec<_> = methods.map(|method| method.access).collect();
    assert_eq!(access, [Access::Host; 3]);
}

#[test]
fn a_path_that_is_not_exactly_a_methods_has_no_row() {
    for path in [
        "",
        "/",
        "x",
        "c1.connector.v2.GrantManagerService/Grant",
        "/c1.connector.v2.GrantManagerService",
        "/c1.connector.v2.GrantManagerService/Grant/",
        "/c1.connector.v2.GrantManagerService/AddedLater",
        "/c1.connector.v2.SchemaService/ListSchemas",
    ] {
        assert!(find(path).is_none(), "{path}");
    }
}
