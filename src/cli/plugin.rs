//! `plugin`: serves the go-plugin host that started this process.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::connection::{OpenConnection, environment};
use super::logging::LogArgs;
use super::settings::file::{ChoiceArgs, FileArgs};
use super::settings::{ConnectionArgs, DrainArgs};
use super::{CommandError, logging, signals};
use crate::hosts::plugin::{Plugin, PluginError, PluginOptions};

/// The arguments of `plugin`.
#[derive(Debug, clap::Args)]
pub(super) struct PluginArgs {
    #[command(flatten)]
    pub(super) file: FileArgs,
    #[command(flatten)]
    choice: ChoiceArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    drain: DrainArgs,
    #[command(flatten)]
    log: LogArgs,
}

impl From<PluginError> for CommandError {
    fn from(error: PluginError) -> Self {
        match error {
            PluginError::Server(problem) => Self::Failed(problem),
            other => Self::Refused(other.to_string()),
        }
    }
}

/// Serves until the host, or a signal, ends it. Standard output has one line: the handshake.
pub(super) async fn run(args: &PluginArgs) -> Result<(), CommandError> {
    let options = PluginOptions::read(environment)?;
    logging::init_for_plugin_host(&args.log.filter);
    let named = args.file.one(&args.connection, &args.choice)?;
    let connection = OpenConnection::open_one(&named, None, environment, |settings| settings).await?;
    let failed = |error: &dyn std::error::Error| CommandError::Failed(error.to_string());
    let ending = signals::ending().map_err(|error| failed(&error))?;
    let plugin = Plugin::open(&options).await?;
    let mut out = io::stdout();
    writeln!(out, "{}", plugin.handshake())
        .and_then(|()| out.flush())
        .map_err(|error| failed(&error))?;
    Ok(plugin
        .run(Arc::clone(&connection.governance), args.drain.drain(), ending)
        .await?)
}

/// Log events as hclog writes them in JSON.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hclog;

struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(name(field).to_owned(), json!(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(name(field).to_owned(), json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(name(field).to_owned(), json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(name(field).to_owned(), json!(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(name(field).to_owned(), json!(format!("{value:?}")));
    }
}

fn name(field: &Field) -> &'static str {
    match field.name() {
        "message" => "@message",
        other => other,
    }
}

impl<S, N> FormatEvent<S, N> for Hclog
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let mut fields = Fields(Map::new());
        event.record(&mut fields);
        let Fields(mut line) = fields;
        line.insert("@level".to_owned(), json!(metadata.level().as_str().to_lowercase()));
        line.insert("@module".to_owned(), json!(metadata.target()));
        line.insert("@timestamp".to_owned(), json!(Timestamp::now().to_string()));
        writeln!(writer, "{}", Value::Object(line))
    }
}
