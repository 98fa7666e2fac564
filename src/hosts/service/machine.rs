//! The description of the machine and of this build in a hello. No field may be empty.

use std::collections::HashMap;

use crate::proto::c1::connectorapi::baton::v1::baton_service_hello_request::{BuildInfo, OsInfo};

/// The value of a field that is not known.
const UNKNOWN: &str = "unknown";

/// Maximum length of a value in the protocol.
const MAX_BYTES: usize = 256;

/// The host id if the machine has no name.
const DEFAULT_HOST_ID: &str = "buildkite-connector";

/// The host id if none is set: the name of the machine.
#[must_use]
pub fn default_host_id() -> String {
    let name = node_name();
    if name == UNKNOWN {
        DEFAULT_HOST_ID.to_owned()
    } else {
        name
    }
}

pub(super) fn build_info() -> BuildInfo {
    BuildInfo {
        lang_version: "rust".to_owned(),
        package: env!("CARGO_PKG_NAME").to_owned(),
        package_version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

pub(super) fn os_info() -> OsInfo {
    let uname = rustix::system::uname();
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let release: HashMap<&str, &str> = release.lines().filter_map(|line| line.split_once('=')).collect();
    let of_release = |key: &str| bounded_or_unknown(release.get(key).copied().unwrap_or_default().trim_matches('"'));
    OsInfo {
        hostname: node_name(),
        os: std::env::consts::OS.to_owned(),
        platform: of_release("ID"),
        platform_version: of_release("VERSION_ID"),
        platform_family: of_release("ID_LIKE"),
        kernel_version: bounded_or_unknown(&uname.release().to_string_lossy()),
        kernel_arch: bounded_or_unknown(&uname.machine().to_string_lossy()),
        virtualization_system: UNKNOWN.to_owned(),
    }
}

fn node_name() -> String {
    bounded_or_unknown(&rustix::system::uname().nodename().to_string_lossy())
}

fn bounded_or_unknown(text: &str) -> String {
    let bounded: String = text
        .chars()
        .scan(0, |bytes, character| {
            *bytes += character.len_utf8();
            (*bytes <= MAX_BYTES).then_some(character)
        })
        .collect();
    if bounded.is_empty() {
        UNKNOWN.to_owned()
    } else {
        bounded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_is_empty_or_longer_than_the_protocol_takes() {
        assert_eq!(bounded_or_unknown(""), UNKNOWN);
        assert_eq!(bounded_or_unknown(&"é".repeat(300)).len(), MAX_BYTES);
        let os = os_info();
        for value in [
            os.hostname,
            os.platform,
            os.platform_family,
            os.kernel_version,
            os.kernel_arch,
        ] {
            assert!((1..=MAX_BYTES).contains(&value.len()), "{value}");
        }
    }
}
