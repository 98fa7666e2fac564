//! The flags of every Baton connector that this one serves, beside the connector's own.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Parser, ValueEnum};
use secrecy::{ExposeSecret, SecretString};
use tracing::level_filters::LevelFilter;

use crate::cli::logging::{self, LogFilter};
use crate::cli::manual::Shell;
use crate::cli::settings::file::{ChoiceArgs, FileArgs, NamedConnection};
use crate::cli::settings::{
    ConnectionArgs, PathParser, PlatformArgs, PositiveDuration, SettingError, parse_bool, parsed_by,
};
use crate::sandbox::Seed;

/// Syncs a Buildkite organization into a c1z, or grants and revokes team roles, by the command line of the Baton connectors.
///
/// Every flag may be set as a variable, `BATON_` and its name in capitals with underscores, or as a key of `.baton.yaml` (or of the
/// file that `BATON_CONFIG_PATH` names). A flag wins over a variable, a variable over the file.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, disable_help_subcommand = false)]
pub(super) struct Flags {
    #[command(subcommand)]
    pub(super) subcommand: Option<Subcommand>,
    /// The API token: a variable or a file keeps it from others on this machine, this flag does not
    #[arg(long, env = "BUILDKITE_API_TOKEN", value_name = "TOKEN")]
    pub(super) api_token: Option<SecretString>,
    #[command(flatten)]
    pub(super) config: FileArgs,
    #[command(flatten)]
    pub(super) choice: ChoiceArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
    /// The c1z to write, or to read what a grant or revoke is about from
    #[arg(long, short, value_name = "PATH", default_value = "sync.c1z", value_parser = PathParser)]
    pub(super) file: PathBuf,
    /// Use an embedded Buildkite with an example organization; needs no account
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        default_value_t = false, hide_default_value = true, action = clap::ArgAction::Set, value_parser = parsed_by(parse_bool))]
    sandbox: bool,
    #[command(flatten)]
    pub(super) sync: SyncFlags,
    #[command(flatten)]
    pub(super) provision: ProvisionFlags,
    #[command(flatten)]
    pub(super) lifecycle: LifecycleFlags,
    #[command(flatten)]
    pub(super) actions: ActionFlags,
    #[command(flatten)]
    pub(super) service: ServiceFlags,
    #[command(flatten)]
    pub(super) log: LogFlags,
}

impl Flags {
    /// The connection that is named, or the only one.
    ///
    /// # Errors
    /// There is none of this name, or there are several and none is named.
    pub(super) fn connection(&self) -> Result<NamedConnection, SettingError> {
        self.config.one(&self.connection, &self.choice)
    }
}

/// What a sync reads.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct SyncFlags {
    /// Sync these resources only, each as bid:r:TYPE/ID
    #[arg(long, value_name = "BID", value_delimiter = ',')]
    pub(super) sync_resources: Vec<String>,
    /// Sync resources of these types only: user, team
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    pub(super) sync_resource_types: Vec<String>,
    /// Leave grants out
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        default_value_t = false, hide_default_value = true, action = clap::ArgAction::Set, value_parser = parsed_by(parse_bool))]
    pub(super) skip_grants: bool,
    /// Leave entitlements and grants out
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        default_value_t = false, hide_default_value = true, action = clap::ArgAction::Set, value_parser = parsed_by(parse_bool))]
    pub(super) skip_entitlements_and_grants: bool,
    /// The engine of new files; sqlite is the only one
    #[arg(long, value_name = "ENGINE", default_value = "sqlite")]
    pub(super) storage_engine: String,
}

/// One grant or revoke. All that is named must be in the file.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ProvisionFlags {
    /// Grant this entitlement, once
    #[arg(long, value_name = "ID")]
    pub(super) grant_entitlement: Option<String>,
    /// The user to grant it to
    #[arg(long, value_name = "ID")]
    pub(super) grant_principal: Option<String>,
    /// That principal's resource type
    #[arg(long, value_name = "TYPE", default_value = "user")]
    pub(super) grant_principal_type: String,
    /// Revoke this grant, once
    #[arg(long, value_name = "ID")]
    pub(super) revoke_grant: Option<String>,
}

impl ProvisionFlags {
    /// Whether one grant or revoke is requested.
    pub(super) fn is_given(&self) -> bool {
        let ids = [&self.grant_entitlement, &self.revoke_grant];
        ids.into_iter().flatten().any(|id| !id.is_empty())
    }
}

/// One invitation or one deletion.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct LifecycleFlags {
    /// Invite this person, once; the same as --create-account-email if it is an e-mail address
    #[arg(long, value_name = "LOGIN")]
    pub(super) create_account_login: Option<String>,
    /// Invite this address, once
    #[arg(long, value_name = "EMAIL")]
    pub(super) create_account_email: Option<String>,
    /// The fields of the invitation as a JSON object: email, role, teams, `sso_mode`
    #[arg(long, value_name = "JSON")]
    pub(super) create_account_profile: Option<String>,
    /// The resource type of the account; user is the only one
    #[arg(long, value_name = "TYPE")]
    pub(super) create_account_resource_type: Option<String>,
    /// Delete the resource with this id, once
    #[arg(long, value_name = "ID")]
    pub(super) delete_resource: Option<String>,
    /// That resource's type: invitation, user or team
    #[arg(long, value_name = "TYPE")]
    pub(super) delete_resource_type: Option<String>,
}

/// One action, or the schemas of those that the settings allow.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ActionFlags {
    /// Invoke this action, once, and print what it returns as JSON
    #[arg(long, value_name = "NAME")]
    pub(super) invoke_action: Option<String>,
    /// Its arguments as a JSON object
    #[arg(long, value_name = "JSON")]
    pub(super) invoke_action_args: Option<String>,
    /// The resource type that it belongs to
    #[arg(long, value_name = "TYPE")]
    pub(super) invoke_action_resource_type: Option<String>,
    /// Print the schemas of the actions that the settings allow, as JSON
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        default_value_t = false, hide_default_value = true, action = clap::ArgAction::Set, value_parser = parsed_by(parse_bool))]
    pub(super) list_action_schemas: bool,
    /// Print those of this resource type only
    #[arg(long, value_name = "TYPE")]
    pub(super) list_action_schemas_resource_type: Option<String>,
}

/// Service mode.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ServiceFlags {
    #[command(flatten)]
    pub(super) platform: PlatformArgs,
    /// The client secret: a variable or a file keeps it from others on this machine, this flag does not
    #[arg(long, value_name = "SECRET")]
    pub(super) client_secret: Option<SecretString>,
    /// Serve /health, /ready and /live over HTTP in service mode
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        default_value_t = false, hide_default_value = true, action = clap::ArgAction::Set, value_parser = parsed_by(parse_bool))]
    pub(super) health_check: bool,
    /// The port of the health pages
    #[arg(long, value_name = "PORT", default_value = "8081", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) health_check_port: u16,
    /// The address of the health pages
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(super) health_check_bind_address: IpAddr,
}

impl ServiceFlags {
    /// The client secret, unless it is given as a file.
    pub(super) fn client_secret(&self) -> Option<&str> {
        let secret = self.client_secret.as_ref().map(SecretString::expose_secret);
        secret.filter(|secret| !secret.is_empty())
    }
}

impl Flags {
    /// The organization of the embedded sandbox; `None` for Buildkite.
    pub(super) fn sandbox(&self) -> Option<Seed> {
        self.sandbox.then_some(Seed::Example)
    }
}

/// What is logged, and how.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct LogFlags {
    /// What is logged
    #[arg(long, value_enum, ignore_case = true, value_name = "LEVEL", default_value = "info")]
    pub(super) log_level: LogLevel,
    /// How it is logged [default: console on a terminal, else json]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(super) log_format: Option<LogFormat>,
}

/// Levels by the family's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogLevel {
    Debug,
    Info,
    Warn,
    /// The higher levels of other Baton connectors end the process, which logging does not do here.
    #[value(aliases = ["dpanic", "panic", "fatal"])]
    Error,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    Json,
    #[value(alias = "text")]
    Console,
}

impl LogFlags {
    pub(super) fn filter(&self) -> LogFilter {
        let level = match self.log_level {
            LogLevel::Debug => LevelFilter::DEBUG,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Error => LevelFilter::ERROR,
        };
        level.into()
    }

    pub(super) fn format(&self) -> logging::LogFormat {
        match self.log_format {
            None => logging::LogFormat::Auto,
            Some(LogFormat::Json) => logging::LogFormat::Json,
            Some(LogFormat::Console) => logging::LogFormat::Text,
        }
    }
}

/// The subcommands.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Subcommand {
    /// Print what this connector can do, as protobuf JSON
    Capabilities,
    /// Print the schema of the settings, as JSON
    Config,
    /// Check the health of a connector in service mode on this machine; the exit code is 0 if it is healthy
    HealthCheck(HealthCheckFlags),
    /// Print the completion script of a shell
    Completion {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
}

/// The page to read, and the timeout.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct HealthCheckFlags {
    /// The page to read
    #[arg(long, value_enum, default_value = "health")]
    pub(super) endpoint: Endpoint,
    /// Timeout of the request, such as `5s`
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parsed_by(PositiveDuration::from_str))]
    pub(super) timeout: PositiveDuration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Endpoint {
    /// Whether the credential works
    Health,
    /// Whether work can be taken
    Ready,
    /// Whether the process runs
    Live,
}

impl Endpoint {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Ready => "ready",
            Self::Live => "live",
        }
    }
}

/// The value of a flag; an empty one counts as not given.
pub(super) fn given(value: Option<&String>) -> Option<&str> {
    value.map(String::as_str).filter(|value| !value.is_empty())
}
