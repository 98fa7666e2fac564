//! What the platform is told of the machine and of this build. No field may be empty.

use std::collections::HashMap;

use crate::proto::c1::connectorapi::baton::v1::baton_service_hello_request::{BuildInfo, OsInfo};

/// Where nothing is known.
const UNKNOWN: &str = "unknown";

/// The longest value that the protocol takes.
const LONGEST: usize = 256;

/// The host's id where its name is not known.
const ANY_HOST: &str = "buildkite-connector";

/// The id that a host has where none is set: its name.
#[must_use]
pub fn default_host_id() -> String {
    let name = node_name();
    if name == UNKNOWN { ANY_HOST.to_owned() } else { name }
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
    let of_release = |key: &str| filled(release.get(key).copied().unwrap_or_default().trim_matches('"'));
    OsInfo {
        hostname: node_name(),
        os: std::env::consts::OS.to_owned(),
        platform: of_release("ID"),
        platform_version: of_release("VERSION_ID"),
        platform_family: of_release("ID_LIKE"),
        kernel_version: filled(&uname.release().to_string_lossy()),
        kernel_arch: filled(&uname.machine().to_string_lossy()),
        virtualization_system: UNKNOWN.to_owned(),
    }
}

fn node_name() -> String {
    filled(&rustix::system::uname().nodename().to_string_lossy())
}

fn filled(text: &str) -> String {
    let bounded: String = text
        .chars()
        .scan(0, |bytes, character| {
            *bytes += character.len_utf8();
            (*bytes <= LONGEST).then_some(character)
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
        assert_eq!(filled(""), UNKNOWN);
        assert_eq!(filled(&"é".repeat(300)).len(), LONGEST);
        let os = os_info();
        for value in [
            os.hostname,
            os.platform,
            os.platform_family,
            os.kernel_version,
            os.kernel_arch,
        ] {
            assert!((1..=LONGEST).contains(&value.len()), "{value}");
        }
    }
}
