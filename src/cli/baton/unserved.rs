//! Flags of the family that this connector does not serve. Each is refused by name, wherever it is given: if it were ignored,
//! its effect would be missing without notice.

use std::ffi::OsString;

use super::sources::variable_of;
use super::yaml::ConfigFile;

const CREDENTIALS: &str = "rotating credentials is not offered";
const EVENTS: &str = "event feeds are not offered";
const TICKETS: &str = "tickets are not offered";
const FILES: &str = "c1z files are not compared or compacted here: use `baton`, or `buildkite-connector diff`";
const EXTERNAL: &str = "resources of another file are not read";
const TRACES: &str = "the standard variables configure traces: set OTEL_EXPORTER_OTLP_ENDPOINT";

/// Name, and why it is refused.
const FLAGS: &[(&str, &str)] = &[
    ("rotate-credentials", CREDENTIALS),
    ("rotate-credentials-type", CREDENTIALS),
    ("event-feed", EVENTS),
    ("event-feed-id", EVENTS),
    ("event-feed-start-at", EVENTS),
    ("event-feed-cursor", EVENTS),
    ("ticketing", TICKETS),
    ("create-ticket", TICKETS),
    ("bulk-create-ticket", TICKETS),
    ("bulk-create-tickets", TICKETS),
    ("get-ticket", TICKETS),
    ("ticket-id", TICKETS),
    ("ticket-template-path", TICKETS),
    ("bulk-ticket-template-path", TICKETS),
    ("list-ticket-schemas", TICKETS),
    ("diff-syncs", FILES),
    ("base-sync-id", FILES),
    ("applied-sync-id", FILES),
    ("compact-syncs", FILES),
    ("compact-file-paths", FILES),
    ("compact-sync-ids", FILES),
    ("compact-output-path", FILES),
    ("external-resource-c1z", EXTERNAL),
    ("external-resource-entitlement-id-filter", EXTERNAL),
    ("external-resource-traits", EXTERNAL),
    ("otel-collector-endpoint", TRACES),
    ("otel-collector-endpoint-tls-cert", TRACES),
    ("otel-collector-endpoint-tls-cert-path", TRACES),
    ("otel-collector-endpoint-tls-insecure", TRACES),
    ("otel-tracing-disabled", TRACES),
    ("otel-logging-disabled", TRACES),
    ("otel-service-name", TRACES),
    (
        "skip-full-sync",
        "a sync is always offered in service mode: leave it out",
    ),
    ("workers", "requests run at once by themselves: see --read-ahead"),
    ("parallel-sync", "requests run at once by themselves: see --read-ahead"),
    (
        "c1z-temp-dir",
        "the file is written beside its place: set TMPDIR for what is read",
    ),
    (
        "http-timeout-seconds",
        "use --request-timeout, such as `--request-timeout 30s`",
    ),
    ("log-path", "logs go to standard error: redirect them"),
    (
        "log-level-debug-expires-at",
        "a level holds until the end: use --log-level",
    ),
    ("session-store-maximum-size", "there is no session store"),
    ("keep-previous-sync-c1z", "a c1z keeps its two newest syncs by itself"),
    ("auth-method", "there is one: an API token"),
];

/// Whether one stands on the command line.
///
/// # Errors
/// One sentence about the first.
pub(super) fn flag(arguments: &[OsString]) -> Result<(), String> {
    let words = arguments.iter().skip(1).filter_map(|argument| argument.to_str());
    for word in words.take_while(|word| *word != "--") {
        let name = word
            .strip_prefix("--")
            .map(|word| word.split_once('=').map_or(word, |(name, _)| name));
        if let Some((name, why)) = name.and_then(known) {
            return Err(format!("--{name}: {why}"));
        }
    }
    Ok(())
}

/// Whether one is given by a variable or in the file. One that is switched off there is accepted.
///
/// # Errors
/// One sentence about the first.
pub(super) fn elsewhere(variable: &impl Fn(&str) -> Option<OsString>, file: &ConfigFile) -> Result<(), String> {
    let is_set = |value: &str| !matches!(value.to_ascii_lowercase().as_str(), "" | "false" | "0" | "no" | "off");
    for (name, why) in FLAGS {
        let variable_name = variable_of(name);
        if variable(&variable_name).is_some_and(|value| is_set(&value.to_string_lossy())) {
            return Err(format!("--{name} ({variable_name}): {why}"));
        }
        if file.value(name).is_some_and(is_set) {
            return Err(format!("--{name} (`{name}` in {}): {why}", file.path.display()));
        }
    }
    Ok(())
}

/// The command with all of these as flags that mean nothing, with or without a value.
pub(super) fn accepted(command: clap::Command) -> clap::Command {
    command.args(FLAGS.iter().map(|(name, _)| {
        clap::Arg::new(*name)
            .long(*name)
            .num_args(0..=1)
            .allow_negative_numbers(true)
            .action(clap::ArgAction::Append)
            .hide(true)
    }))
}

/// Whether a flag is one of these.
pub(super) fn known(name: &str) -> Option<(&'static str, &'static str)> {
    FLAGS.iter().find(|(flag, _)| *flag == name).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flag_is_both_served_and_refused() {
        let command = crate::cli::baton::command();
        for flag in command.get_arguments().filter_map(clap::Arg::get_long) {
            assert!(known(flag).is_none(), "--{flag}");
        }
    }
}
