//! Logs on standard error: for people on a terminal, JSON everywhere else, and no secret in either.

use std::io::{self, IsTerminal, Write};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::plugin::Hclog;
use super::settings::SettingError;
use crate::telemetry::redact::mask;

/// What is logged where nothing else is said.
const DEFAULT: &str = "info";

/// Starts logging what `filter` lets through; an empty one is none.
///
/// # Errors
/// When the filter is malformed.
pub(super) fn init(filter: &str) -> Result<(), SettingError> {
    init_as(filter, io::stderr().is_terminal())
}

/// The same in a form that was chosen: `for_people`, or as JSON.
///
/// # Errors
/// When the filter is malformed.
pub(super) fn init_as(filter: &str, for_people: bool) -> Result<(), SettingError> {
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(read(filter)?)
        .with_writer(Masked);
    // A subscriber that is set already, as in a test, is as good.
    let _ = if for_people {
        subscriber.compact().try_init()
    } else {
        subscriber.json().flatten_event(true).try_init()
    };
    Ok(())
}

/// The same in the form that a go-plugin host reads on its plugin's standard error.
///
/// # Errors
/// When the filter is malformed.
pub(super) fn init_for_plugin_host(filter: &str) -> Result<(), SettingError> {
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(read(filter)?)
        .with_writer(Masked);
    let _ = subscriber.event_format(Hclog).try_init();
    Ok(())
}

/// The first directive that is a bare word and no level. The filter would take it for a target, log everything of that target,
/// and nothing else: a level that is misspelled would silence the log.
fn stray_word(filter: &str) -> Option<&str> {
    let bare = |directive: &&str| !directive.is_empty() && !directive.contains(['=', '[', ']', '{', '}', '"']);
    let mut words = filter.split(',').map(str::trim).filter(bare);
    words.find(|word| word.parse::<LevelFilter>().is_err())
}

/// Who changed what is logged whatever else is, unless the filter speaks of it or wants nothing at all.
fn with_audit(filter: &str) -> String {
    if filter.contains("audit") || filter.eq_ignore_ascii_case("off") {
        filter.to_owned()
    } else {
        format!("{filter},audit=info")
    }
}

fn read(filter: &str) -> Result<EnvFilter, SettingError> {
    let filter = if filter.is_empty() { DEFAULT } else { filter };
    let wrong = |problem: String| SettingError::new("--log", "BUILDKITE_CONNECTOR_LOG", problem);
    if let Some(word) = stray_word(filter) {
        return Err(wrong(format!(
            "`{word}` is no level: give `error`, `warn`, `info`, `debug`, `trace` or `off`, or `target=level` pairs"
        )));
    }
    EnvFilter::try_new(with_audit(filter))
        .map_err(|_| wrong("give a level such as `info`, or `target=level` pairs".to_owned()))
}

/// Standard error with every token of a known form masked. An event is written in one piece, so none is split.
#[derive(Debug, Clone, Copy)]
struct Masked;

impl Write for Masked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(mask(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl MakeWriter<'_> for Masked {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("info", None)]
    #[case("WARN", None)]
    #[case("off", None)]
    #[case("info,buildkite_connector=debug", None)]
    #[case("buildkite_connector::grpc::server=trace, error", None)]
    #[case("info,buildkite_connector[call{caller=platform}]=debug", None)]
    #[case("info,", None)]
    #[case("warnn", Some("warnn"))]
    #[case("info,buildkite_connector", Some("buildkite_connector"))]
    #[case("buildkite_connector=debug, inf", Some("inf"))]
    fn a_bare_word_of_a_filter_is_a_level(#[case] filter: &str, #[case] stray: Option<&str>) {
        assert_eq!(stray_word(filter), stray);
    }
}
