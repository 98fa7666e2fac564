//! The connections of a command to Buildkite, or to an embedded sandbox.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use secrecy::ExposeSecret;
use tokio_util::task::AbortOnDropHandle;

use super::CommandError;
use super::sandbox::SizeArgs;
use super::settings::file::{ChoiceArgs, FileArgs, NamedConnection};
use super::settings::{ConnectionArgs, SettingError, Settings};
use crate::governance::Governance;
use crate::governance::connections::ConnectionLabel;
use crate::governance::health::ConfigurationStatus;
use crate::governance::provisioning::AuditWriters;
use crate::providers::buildkite::{
    ApiToken, Client, Coverage, Credential, CredentialSpec, Scope, Shared, govern_shared,
};
use crate::sandbox::{Options, Sandbox, Seed, TEAM_SCOPES, TokenSpec};

/// The arguments of a command that reaches Buildkite, or an embedded sandbox in its place.
#[derive(Debug, clap::Args)]
pub(super) struct ConnectionOrSandboxArgs {
    #[command(flatten)]
    pub(super) file: FileArgs,
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

    /// The connection that `choice` names, or the only one.
    ///
    /// # Errors
    /// There is none of this name, or there are several and none is named.
    pub(super) fn one(&self, choice: &ChoiceArgs) -> Result<NamedConnection, SettingError> {
        self.file.one(&self.connection, choice)
    }

    /// All connections.
    pub(super) fn all(&self) -> Vec<NamedConnection> {
        self.file.connections(&self.connection)
    }
}

/// What the connections of a process share.
#[derive(Debug, Clone, Default)]
pub(super) struct Process {
    pub(super) shared: Shared,
    pub(super) audit_writers: AuditWriters,
    /// Whether the process has had several connections.
    pub(super) several: Arc<AtomicBool>,
    /// Whether the configuration file is in force, if it is read again when it changes.
    pub(super) configuration: Option<Arc<ConfigurationStatus>>,
}

/// An organization's governance, with the credentials that it uses.
#[derive(Debug)]
pub(super) struct OpenConnection {
    /// The organization's governance.
    pub(super) governance: Arc<Governance>,
    /// The included types and the allowed changes, and what follows from them.
    pub(super) coverage: Coverage,
    /// The credentials of its requests; at least one.
    pub(super) credentials: Vec<Arc<Credential>>,
    /// The sandbox that replaces Buildkite; it ends with the connection.
    sandbox: Option<Sandbox>,
    /// Reloads the files of the credentials when they change.
    rotation: Option<AbortOnDropHandle<()>>,
}

impl OpenConnection {
    /// Opens the connection that `named` describes, or one to a new sandbox with this organization. Sends no request to Buildkite,
    /// and does not follow changes of files. `variable` reads the environment; `adjust` changes the settings before they are used.
    ///
    /// # Errors
    /// When a setting is wrong or missing, or the sandbox or the client cannot be created.
    pub(super) async fn open(
        process: &Process,
        named: &NamedConnection,
        sandbox: Option<Seed>,
        variable: impl Fn(&str) -> Option<String>,
        adjust: impl FnOnce(Settings) -> Settings,
    ) -> Result<Self, CommandError> {
        let Some(seed) = sandbox else {
            return Self::to_buildkite(process, named, variable, adjust);
        };
        // Before a sandbox is started.
        named.args.coverage()?;
        if let Some(name) = &named.name {
            return Err(CommandError::Refused(format!(
                "the sandbox has an organization and a token of its own, and `{name}` has others: leave --sandbox out, or give a \
                 configuration file that names no connection"
            )));
        }
        let sandbox = start_sandbox(seed).await?;
        let settings = sandbox_settings(&sandbox, &named.args, &process.shared)?;
        let connection = Self::with_settings(process, named, adjust(settings))?;
        Ok(Self {
            sandbox: Some(sandbox),
            ..connection
        })
    }

    /// The same to Buildkite.
    ///
    /// # Errors
    /// When a setting is wrong or missing, or the client cannot be created.
    pub(super) fn to_buildkite(
        process: &Process,
        named: &NamedConnection,
        variable: impl Fn(&str) -> Option<String>,
        adjust: impl FnOnce(Settings) -> Settings,
    ) -> Result<Self, CommandError> {
        if named.name.is_some() {
            ConnectionArgs::refuse_variables(&variable)?;
        }
        let settings = Settings::read(&named.args, &named.credentials, &process.shared, variable)
            .map_err(|error| named.error(error))?;
        Self::with_settings(process, named, adjust(settings))
    }

    fn with_settings(process: &Process, named: &NamedConnection, settings: Settings) -> Result<Self, CommandError> {
        let Settings {
            origin,
            organization,
            credentials,
            mut client,
            coverage,
            mut governance,
        } = settings;
        if let Some(name) = &named.name {
            client.tag = name.tag();
            governance.connection = Some(ConnectionLabel::new(name.clone(), Arc::clone(&process.several)));
        }
        governance.audit_writers = process.audit_writers.clone();
        governance.configuration.clone_from(&process.configuration);
        for spec in &credentials {
            spec.request_scopes(&coverage.scopes());
        }
        let Shared {
            budgets, organizations, ..
        } = &process.shared;
        let client = Client::with_credentials(origin, organization, credentials, client, budgets)
            .map_err(|error| CommandError::Failed(error.to_string()))?;
        let (credentials, client) = (client.credentials(), Arc::new(client));
        let governance = govern_shared(organizations, client, coverage.clone(), governance);
        Ok(Self {
            credentials,
            governance: Arc::new(governance),
            coverage,
            sandbox: None,
            rotation: None,
        })
    }

    /// The same for a command with one connection; the files of its credentials are read again when they change.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub(super) async fn open_one(
        named: &NamedConnection,
        sandbox: Option<Seed>,
        variable: impl Fn(&str) -> Option<String>,
        adjust: impl FnOnce(Settings) -> Settings,
    ) -> Result<Self, CommandError> {
        let connection = Self::open(&Process::default(), named, sandbox, variable, adjust).await?;
        let watched = connection.credentials.clone();
        Ok(Self {
            rotation: Some(AbortOnDropHandle::new(tokio::spawn(async move {
                Credential::watch_all(|| watched.clone()).await;
            }))),
            ..connection
        })
    }

    /// The sandbox, if there is one, whose end is then up to the caller.
    pub(super) fn take_sandbox(&mut self) -> Option<Sandbox> {
        self.sandbox.take()
    }

    /// Stops the sandbox, if there is one, after its requests in progress.
    pub(super) async fn close(self) {
        drop(self.rotation);
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
fn sandbox_settings(sandbox: &Sandbox, args: &ConnectionArgs, shared: &Shared) -> Result<Settings, CommandError> {
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
        credentials: vec![CredentialSpec::only(token.into())],
        client: args.client(shared),
        coverage,
        governance: args.governance(),
    })
}
