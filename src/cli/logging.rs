//! Logs on standard error: text on a terminal, JSON everywhere else, and no secret in either.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::fmt::{self as log, MakeWriter};
use tracing_subscriber::layer::{Layered, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use super::connection::environment;
use super::plugin::Hclog;
use super::settings::parsed_by;
use crate::telemetry::redact::mask;
use crate::telemetry::traces::{self, TracesLayer};

/// The argument of a server's log.
#[derive(Debug, clap::Args)]
pub(super) struct LogArgs {
    /// Which events are logged, for instance `info` or `buildkite_connector=debug`
    #[arg(
        long = "log",
        env = "BUILDKITE_CONNECTOR_LOG",
        value_name = "FILTER",
        default_value_t = LogFilter::info(),
        value_parser = parsed_by(LogFilter::from_str)
    )]
    pub(super) filter: LogFilter,
}

/// The argument of the log's format.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct LogFormatArgs {
    /// How events are logged; `auto` is text if standard error is a terminal, otherwise JSON
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_LOG_FORMAT",
        value_name = "auto|json|text",
        default_value_t = LogFormat::Auto,
        value_parser = parsed_by(LogFormat::from_str)
    )]
    pub(super) log_format: LogFormat,
}

/// How events are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogFormat {
    /// Text if standard error is a terminal, otherwise JSON.
    Auto,
    /// A JSON object in each line.
    Json,
    /// Text for people.
    Text,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Json => "json",
            Self::Text => "text",
        })
    }
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "json" => Ok(Self::Json),
            // Other Baton connectors call it `console`.
            "text" | "console" => Ok(Self::Text),
            _ => Err("give `auto`, `json` or `text`"),
        }
    }
}

/// The events that are logged: a valid list of directives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogFilter(String);

impl LogFilter {
    /// The default of a server.
    pub(super) fn info() -> Self {
        LevelFilter::INFO.into()
    }

    /// The default of a job on a terminal, where a bar shows the progress.
    pub(super) fn warnings() -> Self {
        LevelFilter::WARN.into()
    }

    /// The default of a job elsewhere.
    pub(super) fn warnings_and_progress() -> Self {
        Self("warn,buildkite_connector::cli=info".to_owned())
    }

    /// The filter of events. The audit record is part of it, unless the operator's filter mentions it or is `off`.
    fn events(&self) -> EnvFilter {
        EnvFilter::new(with_audit(&self.0))
    }
}

impl From<LevelFilter> for LogFilter {
    fn from(level: LevelFilter) -> Self {
        Self(level.to_string())
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(word) = stray_word(text) {
            return Err(format!(
                "`{word}` is not a level: give `error`, `warn`, `info`, `debug`, `trace` or `off`, or `target=level` pairs"
            ));
        }
        if text.is_empty() || EnvFilter::try_new(text).is_err() {
            return Err("give a level such as `info`, or `target=level` pairs".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

/// The subscriber below the log.
type Traced = Layered<Option<TracesLayer>, Registry>;

/// Starts logging the events that `filter` lets through, and the export of traces if the environment asks for it. Must be called within
/// a runtime.
pub(super) fn init(filter: &LogFilter, format: LogFormat) {
    let is_text = match format {
        LogFormat::Auto => io::stderr().is_terminal(),
        LogFormat::Json => false,
        LogFormat::Text => true,
    };
    let events = log::layer().with_writer(Masked);
    if is_text {
        install(filter, events.compact());
    } else {
        install(filter, events.json().flatten_event(true));
    }
}

/// The same in the format that a go-plugin host reads on its plugin's standard error.
pub(super) fn init_for_plugin_host(filter: &LogFilter) {
    install(filter, log::layer().with_writer(Masked).event_format(Hclog));
}

fn install(filter: &LogFilter, events: impl Layer<Traced> + Send + Sync) {
    let (traces, problem) = match traces::start(environment) {
        Ok(traces) => (traces, None),
        Err(problem) => (None, Some(problem)),
    };
    // The spans of traces are no context of the log.
    let logged = filter.events().and(filter_fn(|metadata| !traces::is_traced(metadata)));
    let subscriber = tracing_subscriber::registry()
        .with(traces)
        .with(events.with_filter(logged));
    // In a test, a subscriber may be installed already. It is kept.
    let _ = subscriber.try_init();
    if let Some(problem) = problem {
        tracing::warn!("{problem}");
    }
}

/// The first directive that is a bare word but not a level. The filter would take it for a target, log all events of that target
/// and nothing else, so a misspelled level would silence the log.
fn stray_word(filter: &str) -> Option<&str> {
    let bare = |directive: &&str| !directive.is_empty() && !directive.contains(['=', '[', ']', '{', '}', '"']);
    let mut words = filter.split(',').map(str::trim).filter(bare);
    words.find(|word| word.parse::<LevelFilter>().is_err())
}

/// Adds the audit record to a filter, unless the filter mentions it or is `off`.
fn with_audit(filter: &str) -> String {
    if filter.contains("audit") || filter.eq_ignore_ascii_case("off") {
        filter.to_owned()
    } else {
        format!("{filter},audit=info")
    }
}

/// Standard error with every token of a known form masked. An event is written in one piece, so no token is split.
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
        assert_eq!(filter.parse::<LogFilter>().is_ok(), stray.is_none());
    }

    #[rstest]
    #[case("auto", LogFormat::Auto)]
    #[case("json", LogFormat::Json)]
    #[case("text", LogFormat::Text)]
    #[case("console", LogFormat::Text)]
    fn a_format_has_one_name_and_text_also_that_of_other_connectors(#[case] name: &str, #[case] format: LogFormat) {
        assert_eq!(name.parse(), Ok(format));
    }

    #[test]
    fn the_defaults_are_valid_filters() {
        for filter in [
            LogFilter::info(),
            LogFilter::warnings(),
            LogFilter::warnings_and_progress(),
        ] {
            assert_eq!(filter.to_string().parse(), Ok(filter));
        }
    }
}
