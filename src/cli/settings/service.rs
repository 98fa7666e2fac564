//! The settings of service mode. The names of the platform's own variables are those of every Baton connector.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::{SettingError, duration};
use crate::files;
use crate::grpc::server::ListenAddress;
use crate::hosts::service::{ClientId, ClientSecret, ServiceOptions, Timing, default_host_id};

const SECRET: &str = "BATON_CLIENT_SECRET";
const HOST_ID: &str = "BATON_HOST_ID";
const API_HOST: &str = "BATON_C1_API_HOST";

/// The longest host id that the protocol takes, in bytes.
const LONGEST_HOST_ID: usize = 256;

/// How the platform is reached, and how its tasks are worked off.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PlatformArgs {
    /// The client id of this connector, as the platform's page shows it
    #[arg(long, env = "BATON_CLIENT_ID", value_name = "ID")]
    client_id: Option<String>,
    /// A file that holds the client secret (or set `BATON_CLIENT_SECRET`: a secret is never an argument)
    #[arg(long, env = "BATON_CLIENT_SECRET_FILE", value_name = "PATH")]
    client_secret_file: Option<PathBuf>,
    /// The only authorities to trust for the platform, PEM [default: those of the system]
    #[arg(long, env = "BUILDKITE_CONNECTOR_PLATFORM_CA", value_name = "PATH")]
    platform_ca: Option<PathBuf>,
    /// Tasks that are carried out at once
    #[arg(long, env = "BATON_TASK_CONCURRENCY", value_name = "N", default_value = "3")]
    task_concurrency: String,
    /// How long tasks under way may take to finish at the end
    #[arg(long, env = "BUILDKITE_CONNECTOR_DRAIN", value_name = "TIME", default_value = "20s")]
    drain: String,
    /// Where monitors read /health, /ready and /live, over plain HTTP: an address (port 0 takes a free one) or unix:PATH
    #[arg(long, env = "BUILDKITE_CONNECTOR_HEALTH_LISTEN", value_name = "ADDRESS")]
    health_listen: Option<String>,
}

impl PlatformArgs {
    /// Reads the settings; `variable` is the environment, of which the secret, the host's id and the platform's host are read here.
    ///
    /// # Errors
    /// The first setting that is wrong or missing. The secret is in no message.
    pub(crate) fn options(&self, variable: impl Fn(&str) -> Option<String>) -> Result<ServiceOptions, SettingError> {
        let given = |name: &str| variable(name).filter(|value| !value.is_empty());
        let host_id = given(HOST_ID).unwrap_or_else(default_host_id);
        if host_id.len() > LONGEST_HOST_ID {
            let problem = format!("give at most {LONGEST_HOST_ID} bytes");
            return Err(SettingError::variable(HOST_ID, problem));
        }
        Ok(ServiceOptions {
            client_id: self.client_id()?,
            client_secret: self.client_secret(given(SECRET).map(SecretString::from))?,
            api_host: given(API_HOST),
            host_id,
            platform_ca: self.platform_ca()?,
            task_concurrency: self.task_concurrency()?,
            temporary_directory: None,
            drain: self.drain()?,
            timing: Timing::default(),
        })
    }

    /// How long work in progress may take at the end.
    ///
    /// # Errors
    /// It is no time.
    pub(crate) fn drain(&self) -> Result<Duration, SettingError> {
        duration("--drain", "BUILDKITE_CONNECTOR_DRAIN", &self.drain)
    }

    /// Where monitors are listened for, if they are.
    ///
    /// # Errors
    /// When it is no address.
    pub(crate) fn health_address(&self) -> Result<Option<ListenAddress>, SettingError> {
        let text = self.health_listen.as_deref().filter(|text| !text.is_empty());
        text.map(|text| text.parse().map_err(health_problem)).transpose()
    }

    /// Whether a client id is given.
    pub(crate) fn has_client_id(&self) -> bool {
        self.client_id.as_deref().is_some_and(|id| !id.is_empty())
    }

    /// Whether a file of the client secret is given.
    pub(crate) fn has_secret_file(&self) -> bool {
        let file = self.client_secret_file.as_deref();
        file.is_some_and(|file| !file.as_os_str().is_empty())
    }

    /// The client id.
    ///
    /// # Errors
    /// It is missing, or has another form.
    pub(crate) fn client_id(&self) -> Result<ClientId, SettingError> {
        let wrong = |problem: String| SettingError::new("--client-id", "BATON_CLIENT_ID", problem);
        let id = self.client_id.as_deref().filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| wrong("give the client id from the platform's page of this connector".to_owned()))?;
        id.parse().map_err(|error| wrong(format!("{error}")))
    }

    fn client_secret(&self, given: Option<SecretString>) -> Result<ClientSecret, SettingError> {
        let of_file = |problem: String| SettingError::new("--client-secret-file", "BATON_CLIENT_SECRET_FILE", problem);
        let of_variable = |problem: String| SettingError::variable(SECRET, problem);
        let file = self.client_secret_file.as_deref();
        match (given, file.filter(|file| !file.as_os_str().is_empty())) {
            (Some(_), Some(_)) => Err(of_file(format!("set either this or {SECRET}, not both"))),
            (Some(secret), None) => {
                let secret = secret.expose_secret().parse();
                secret.map_err(|error| of_variable(format!("{error}")))
            }
            (None, Some(file)) => {
                let text = files::read_text(file)
                    .map(SecretString::from)
                    .map_err(|error| of_file(format!("{} cannot be read: {error}", file.display())))?;
                let secret = text.expose_secret().parse();
                secret.map_err(|error| of_file(format!("{}: {error}", file.display())))
            }
            (None, None) => Err(of_variable(
                "set it to the client secret from the platform's page of this connector, or give --client-secret-file \
                 (BATON_CLIENT_SECRET_FILE)"
                    .to_owned(),
            )),
        }
    }

    fn platform_ca(&self) -> Result<Option<Vec<u8>>, SettingError> {
        let file = self.platform_ca.as_deref().filter(|file| !file.as_os_str().is_empty());
        let read = |file| {
            files::read(file)
                .map_err(|error| platform_ca_problem(format!("{} cannot be read: {error}", file.display())))
        };
        file.map(read).transpose()
    }

    /// Tasks that are carried out at once.
    ///
    /// # Errors
    /// It is no number from 1 to 100.
    pub(crate) fn task_concurrency(&self) -> Result<usize, SettingError> {
        let wrong = || {
            let problem = "give a whole number from 1 to 100";
            SettingError::new("--task-concurrency", "BATON_TASK_CONCURRENCY", problem)
        };
        let tasks = self.task_concurrency.parse().ok();
        tasks.filter(|tasks| (1..=100).contains(tasks)).ok_or_else(wrong)
    }
}

pub(crate) fn platform_ca_problem(problem: impl std::fmt::Display) -> SettingError {
    SettingError::new("--platform-ca", "BUILDKITE_CONNECTOR_PLATFORM_CA", problem)
}

pub(crate) fn health_problem(problem: impl std::fmt::Display) -> SettingError {
    SettingError::new("--health-listen", "BUILDKITE_CONNECTOR_HEALTH_LISTEN", problem)
}
