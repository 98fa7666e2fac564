//! Reads the descriptors that the build compiled.

use std::collections::BTreeSet;

use buildkite_connector::proto::HOST_FILE_DESCRIPTOR_SET;
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MethodDescriptor};

pub(crate) fn pool() -> DescriptorPool {
    DescriptorPool::decode(HOST_FILE_DESCRIPTOR_SET).expect("descriptors decode")
}

/// One line for everything that the packages of the contract declare.
pub(crate) fn rows() -> BTreeSet<String> {
    let pool = pool();
    let ours = |package: &str| !package.starts_with("google.");
    let mut rows = BTreeSet::new();
    // The entry of a map is a message only formally: the line of the field describes it completely.
    for message in pool
        .all_messages()
        .filter(|message| ours(message.package_name()) && !message.is_map_entry())
    {
        rows.insert(format!("message {}", message.full_name()));
        rows.extend(message.fields().map(|field| field_row(&field)));
    }
    for kind in pool.all_enums().filter(|kind| ours(kind.package_name())) {
        rows.insert(format!("enum {}", kind.full_name()));
        rows.extend(
            kind.values()
                .map(|value| format!("value {} {} {}", kind.full_name(), value.number(), value.name())),
        );
    }
    for service in pool.services().filter(|service| ours(service.package_name())) {
        rows.insert(format!("service {}", service.full_name()));
        rows.extend(service.methods().map(|method| method_row(&method)));
    }
    rows
}

fn field_row(field: &FieldDescriptor) -> String {
    let mut shape = if field.is_map() {
        let Kind::Message(entry) = field.kind() else {
            panic!("a map without entries: {}", field.full_name());
        };
        format!(
            "map {} {}",
            kind_name(&entry.map_entry_key_field().kind()),
            kind_name(&entry.map_entry_value_field().kind())
        )
    } else if field.is_list() {
        format!("repeated {}", kind_name(&field.kind()))
    } else {
        kind_name(&field.kind())
    };
    if let Some(oneof) = field.containing_oneof() {
        shape = if field.field_descriptor_proto().proto3_optional() {
            // The compiler gives it a oneof of its own.
            format!("optional {shape}")
        } else {
            format!("{shape} oneof {}", oneof.name())
        };
    }
    if let Some(options) = &field.field_descriptor_proto().options
        && options.deprecated()
    {
        shape += " deprecated";
    }
    format!(
        "field {} {} {} {shape}",
        field.parent_message().full_name(),
        field.number(),
        field.name()
    )
}

fn kind_name(kind: &Kind) -> String {
    match kind {
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(kind) => kind.full_name().to_owned(),
        scalar => format!("{scalar:?}").to_lowercase(),
    }
}

fn method_row(method: &MethodDescriptor) -> String {
    let stream = |streaming| if streaming { "stream " } else { "" };
    format!(
        "method /{}/{} {}{} {}{}",
        method.parent_service().full_name(),
        method.name(),
        stream(method.is_client_streaming()),
        method.input().full_name(),
        stream(method.is_server_streaming()),
        method.output().full_name()
    )
}
