//! Service mode: what it needs to be started with.

use std::net::SocketAddr;

use secrecy::{ExposeSecret, SecretString};

use super::error::BatonError;
use super::flags::Flags;
use crate::cli::settings::ConnectionArgs;

/// What service mode is started with.
#[derive(Debug, Clone)]
#[expect(
    dead_code,
    reason = "only service mode reads all of it, and it is not offered under this name yet"
)]
pub(super) struct ServiceSettings {
    /// `<name>@<host>[:port]/<rest>`.
    pub(super) client_id: String,
    /// Four parts with colons between; the third is `v1`, the fourth the key.
    pub(super) client_secret: SecretString,
    /// Tasks at once, 1 to 100.
    pub(super) task_concurrency: u8,
    /// Where `/health`, `/ready` and `/live` are answered, if at all.
    pub(super) health_listen: Option<SocketAddr>,
    /// How Buildkite is reached.
    pub(super) connection: ConnectionArgs,
    /// The token that the family's own name gives.
    pub(super) api_token: Option<SecretString>,
    /// Whether a stand-in takes Buildkite's place.
    pub(super) sandbox: bool,
}

impl ServiceSettings {
    /// Checks the form of both halves of the identity.
    ///
    /// # Errors
    /// Where one has another form. The secret is not repeated.
    pub(super) fn new(flags: &Flags, client_id: String, client_secret: SecretString) -> Result<Self, BatonError> {
        let has_host = client_id
            .split_once('@')
            .and_then(|(name, rest)| Some((name, rest.split_once('/')?)))
            .is_some_and(|(name, (host, rest))| ![name, host, rest].contains(&""));
        if !has_host {
            let problem =
                "--client-id (BATON_CLIENT_ID): it has the form NAME@HOST/REST: give the one that the platform shows";
            return Err(BatonError::Refused(problem.to_owned()));
        }
        let parts: Vec<&str> = client_secret.expose_secret().split(':').collect();
        if !matches!(parts.as_slice(), [_, _, "v1", key] if !key.is_empty()) {
            let problem = "--client-secret (BATON_CLIENT_SECRET): it has four parts with colons between, the third `v1`: give the one \
                           that the platform showed";
            return Err(BatonError::Refused(problem.to_owned()));
        }
        let service = &flags.service;
        let health = SocketAddr::new(service.health_check_bind_address, service.health_check_port);
        Ok(Self {
            client_id,
            client_secret,
            task_concurrency: service.task_concurrency,
            health_listen: service.health_check.then_some(health),
            connection: flags.connection.clone(),
            api_token: flags.api_token.clone(),
            sandbox: flags.sandbox,
        })
    }
}

/// Starts service mode and works until a signal comes.
///
/// # Errors
/// It is not offered under this name yet, and nothing is begun.
#[allow(clippy::unused_async)]
pub(super) async fn start(settings: &ServiceSettings) -> Result<(), BatonError> {
    let ServiceSettings { client_id, .. } = settings;
    Err(BatonError::Refused(format!(
        "--client-id: service mode (for `{client_id}`) is not offered under this name: leave --client-id out for one sync"
    )))
}
