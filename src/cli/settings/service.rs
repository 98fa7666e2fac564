//! The settings of service mode. The names of the platform's own variables are those of every Baton connector.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::value::{PathParser, parsed_by};
use super::{DrainArgs, SettingError, name};
use crate::files;
use crate::grpc::server::ListenAddress;
use crate::hosts::service::{ClientId, ClientSecret, ServiceOptions, Timing, default_host_id};

/// Variables without a flag.
const SECRET: &str = "BATON_CLIENT_SECRET";
const HOST_ID: &str = "BATON_HOST_ID";
const API_HOST: &str = "BATON_C1_API_HOST";

/// The longest host id that the protocol accepts, in bytes.
const MAX_HOST_ID: usize = 256;

/// The highest value of `--task-concurrency`.
const MAX_TASK_CONCURRENCY: usize = 100;

/// How the platform is reached, and how its tasks are carried out.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PlatformArgs {
    /// The client id of this connector, from its page at the platform
    #[arg(
        long,
        env = "BATON_CLIENT_ID",
        value_name = "ID",
        value_parser = parsed_by(ClientId::from_str)
    )]
    client_id: Option<ClientId>,
    /// A file that holds the client secret; the alternative is the variable `BATON_CLIENT_SECRET`
    #[arg(
        long,
        env = "BATON_CLIENT_SECRET_FILE",
        value_name = "PATH",
        value_parser = PathParser
    )]
    client_secret_file: Option<PathBuf>,
    /// The only certificate authorities to trust for the platform, PEM [default: those of the system]
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_PLATFORM_CA",
        value_name = "PATH",
        value_parser = PathParser
    )]
    platform_ca: Option<PathBuf>,
    /// Number of concurrent tasks
    #[arg(
        long,
        env = "BATON_TASK_CONCURRENCY",
        value_name = "N",
        default_value_t = 3,
        value_parser = parsed_by(task_concurrency)
    )]
    task_concurrency: usize,
    #[command(flatten)]
    drain: DrainArgs,
    /// Where to serve /health, /ready and /live over plain HTTP: an address (port 0 takes a free one) or unix:PATH
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_HEALTH_LISTEN",
        value_name = "ADDRESS",
        value_parser = parsed_by(ListenAddress::from_str)
    )]
    health_listen: Option<ListenAddress>,
}

impl PlatformArgs {
    /// The options of service mode. `variable` reads the environment, of which only the settings without a flag are used here.
    ///
    /// # Errors
    /// When the client id or the secret is missing, a file cannot be used, or a variable is wrong. The secret is in no message.
    pub(crate) fn options(&self, variable: impl Fn(&str) -> Option<String>) -> Result<ServiceOptions, SettingError> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let host_id = variable(HOST_ID).unwrap_or_else(default_host_id);
        if host_id.len() > MAX_HOST_ID {
            let problem = format!("give at most {MAX_HOST_ID} bytes");
            return Err(SettingError::of_variable(HOST_ID, problem));
        }
        let client_id = self.client_id.clone().ok_or_else(|| {
            let problem = "give the client id from the platform's page of this connector";
            error("client-id", problem)
        })?;
        let secret = variable(SECRET).map(SecretString::from);
        Ok(ServiceOptions {
            client_id,
            client_secret: client_secret(secret, self.client_secret_file.as_deref())?,
            api_host: variable(API_HOST),
            host_id,
            platform_ca: self.platform_ca()?,
            task_concurrency: self.task_concurrency,
            temporary_directory: None,
            drain: self.drain(),
            timing: Timing::default(),
        })
    }

    /// How long work in progress may take at shutdown.
    pub(crate) fn drain(&self) -> Duration {
        self.drain.drain()
    }

    /// The address of the listener for monitors, if there is one.
    pub(crate) fn health_address(&self) -> Option<ListenAddress> {
        self.health_listen.clone()
    }

    /// Whether a client id is set.
    pub(crate) fn has_client_id(&self) -> bool {
        self.client_id.is_some()
    }

    /// Whether a file of the client secret is set.
    pub(crate) fn has_secret_file(&self) -> bool {
        self.client_secret_file.is_some()
    }

    fn platform_ca(&self) -> Result<Option<Vec<u8>>, SettingError> {
        let file = self.platform_ca.as_deref();
        let read = |file: &Path| {
            files::read(file)
                .map_err(|problem| error("platform-ca", format!("{} cannot be read: {problem}", file.display())))
        };
        file.map(read).transpose()
    }
}

fn client_secret(secret: Option<SecretString>, file: Option<&Path>) -> Result<ClientSecret, SettingError> {
    let of_file = |problem: String| error("client-secret-file", problem);
    match (secret, file) {
        (Some(_), Some(_)) => Err(of_file(format!("set either this or {SECRET}, not both"))),
        (Some(secret), None) => {
            let secret = secret.expose_secret().parse();
            secret.map_err(|problem: <ClientSecret as FromStr>::Err| SettingError::of_variable(SECRET, problem))
        }
        (None, Some(file)) => {
            let text = files::read_text(file)
                .map(SecretString::from)
                .map_err(|problem| of_file(format!("{} cannot be read: {problem}", file.display())))?;
            let secret = text.expose_secret().parse();
            secret.map_err(|problem: <ClientSecret as FromStr>::Err| of_file(format!("{}: {problem}", file.display())))
        }
        (None, None) => {
            let file = name::<PlatformArgs>("client-secret-file");
            let problem =
                format!("set it to the client secret from the platform's page of this connector, or give {file}");
            Err(SettingError::of_variable(SECRET, problem))
        }
    }
}

fn task_concurrency(text: &str) -> Result<usize, String> {
    let tasks = text.parse().ok();
    tasks
        .filter(|tasks| (1..=MAX_TASK_CONCURRENCY).contains(tasks))
        .ok_or_else(|| format!("give a whole number from 1 to {MAX_TASK_CONCURRENCY}"))
}

fn error(long: &str, problem: impl Display) -> SettingError {
    SettingError::of::<PlatformArgs>(long, problem)
}

/// A problem with the address of the listener for monitors.
pub(crate) fn health_listen_error(problem: impl Display) -> SettingError {
    error("health-listen", problem)
}
