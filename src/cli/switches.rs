//! Flags that are on or off. One stands alone or has its value behind an equals sign, so that it can stand before anything
//! else; whoever writes the value as a word of its own is told so.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::settings::SettingError;

/// The flags, each with its variable.
pub(super) const SWITCHES: [[&str; 2]; 2] = [
    ["--provisioning", "BUILDKITE_CONNECTOR_PROVISIONING"],
    ["--insecure-listen", "BUILDKITE_CONNECTOR_INSECURE_LISTEN"],
];

/// What to say where `error`, about these `arguments`, is about a value that stands behind such a flag as a word of its own.
pub(super) fn refusal(arguments: &[OsString], error: &clap::Error) -> Option<SettingError> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let Some(ContextValue::String(unknown)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let written = arguments.windows(2).find_map(|pair| match pair {
        [flag, value] if value == unknown.as_str() => SWITCHES.iter().find(|[name, _]| flag == name),
        _ => None,
    });
    let [flag, variable] = written?;
    Some(SettingError::new(
        flag,
        variable,
        format!("the value stands behind an equals sign: write `{flag}={unknown}`"),
    ))
}
