//! The connection of a command to Buildkite, or to an embedded sandbox.

use std::collections::BTreeSet;
use std::sync::Arc;

use secrecy::ExposeSecret;
use tokio_util::task::AbortOnDropHandle;

use super::CommandError;
use super::sandbox::SizeArgs;
use super::settings::{ConnectionArgs, SettingError, Settings};
use crate::governance::Governance;
use crate::providers::buildkite::{ApiToken, Client, Coverage, Credential, Scope, govern};
use crate::sandbox::{Options, Sandbox, Seed, TEAM_SCOPES, TokenSpec};

/// The arguments of a command that reaches Buildkite, or an embedded sandbox in its place.
#[derive(Debug, clap::Args)]
pub(super) struct ConnectionOrSandboxArgs {
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
    #[command(flatten)]
    embedded: EmbeddedSandboxArgs,
}

/// The embedded sandbox, and the size of its organization.
#[derive(Debug, clap::Args)]
struct EmbeddedSandboxArgs {
    /// Use an embedded Buildkite with an example organization; needs no account
    #[arg(long)]
    sandbox: bool,
    #[command(flatten)]
    size: SizeArgs,
}

impl ConnectionOrSandboxArgs {
    /// The organization of the embedded sandbox; `None` for Buildkite.
    ///
    /// # Errors
    /// For a size without a sandbox.
    pub(super) fn sandbox(&self) -> Result<Option<Seed>, SettingError> {
        let EmbeddedSandboxArgs { sandbox, size } = &self.embedded;
        match size.first_given() {
            Some(name) if !sandbox => Err(SettingError::of::<SizeArgs>(
                name,
                "only a sandbox has a size: give --sandbox as well, or leave it out",
            )),
            _ => Ok(sandbox.then(|| size.seed())),
        }
    }
}

/// An organization's governance, with the credential that it uses.
#[derive(Debug)]
pub(super) struct Connection {
    /// The organization's governance.
    pub(super) governance: Arc<Governance>,
    /// The included types and the allowed changes, and what follows from them.
    pub(super) coverage: Coverage,
    /// The credential of all requests.
    pub(super) credential: Arc<Credential>,
    /// The sandbox that replaces Buildkite; it ends with the connection.
    sandbox: Option<Sandbox>,
    /// Reloads the file of the credential when it changes.
    _rotation: AbortOnDropHandle<()>,
}

impl Connection {
    /// Opens the connection that the settings describe, or one to a new sandbox with this organization. Sends no request to Buildkite. `variable` reads the
    /// environment; `adjust` changes the settings before they are used.
    ///
    /// # Errors
    /// When a setting is wrong or missing, or the sandbox or the client cannot be created.
    pub(super) async fn open(
        args: &ConnectionArgs,
        sandbox: Option<Seed>,
        variable: impl Fn(&str) -> Option<String>,
        adjust: impl FnOnce(Settings) -> Settings,
    ) -> Result<Self, CommandError> {
        // Before a sandbox is started.
        args.coverage()?;
        let sandbox = match sandbox {
            Some(seed) => Some(start_sandbox(seed).await?),
            None => None,
        };
        let settings = match &sandbox {
            Some(sandbox) => sandbox_settings(sandbox, args)?,
            None => Settings::read(args, variable)?,
        };
        let Settings {
            origin,
            organization,
            credential,
            client,
            coverage,
            governance,
        } = adjust(settings);
        credential.request_scopes(&coverage.scopes());
        let client = Client::with_credential(origin, organization, credential, client)
            .map_err(|error| CommandError::Failed(error.to_string()))?;
        let credential = client.credential();
        let watched = Arc::clone(&credential);
        Ok(Self {
            governance: Arc::new(govern(Arc::new(client), coverage.clone(), governance)),
            coverage,
            credential,
            sandbox,
            _rotation: AbortOnDropHandle::new(tokio::spawn(async move { watched.watch().await })),
        })
    }

    /// Stops the sandbox, if there is one, after its requests in progress.
    pub(super) async fn close(self) {
        if let Some(sandbox) = self.sandbox {
            sandbox.stop().await;
        }
    }
}

/// Reads a variable of the environment.
pub(super) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

async fn start_sandbox(seed: Seed) -> Result<Sandbox, CommandError> {
    let options = Options {
        seed,
        ..Options::default()
    };
    let sandbox = Sandbox::start(options)
        .await
        .map_err(|error| CommandError::Failed(format!("the sandbox could not start: {error}")))?;
    tracing::info!(url = sandbox.url(), organization = sandbox.slug(), "sandbox");
    Ok(sandbox)
}

/// The settings with the sandbox's origin and organization, and a token with the required scopes, in place of the configured ones.
fn sandbox_settings(sandbox: &Sandbox, args: &ConnectionArgs) -> Result<Settings, CommandError> {
    let failed = |error: &dyn std::error::Error| CommandError::Failed(format!("the sandbox cannot be used: {error}"));
    let coverage = args.coverage()?;
    // The sandbox's own token has the scopes of team memberships. What else is covered needs more.
    let required = coverage.scopes().into_iter().map(Scope::as_str);
    let scopes: BTreeSet<&str> = TEAM_SCOPES.into_iter().chain(required).collect();
    let scopes: Vec<&str> = scopes.into_iter().collect();
    let owner = TokenSpec::owned_by(sandbox.owner()).with_description("sandbox admin");
    let token = sandbox.mint(owner.with_scopes(&scopes));
    let token: ApiToken = token.expose_secret().parse().map_err(|error| failed(&error))?;
    Ok(Settings {
        origin: sandbox.url().parse().map_err(|error| failed(&error))?,
        organization: sandbox.slug().parse().map_err(|error| failed(&error))?,
        credential: token.into(),
        client: args.client(),
        coverage,
        governance: args.governance(),
    })
}
