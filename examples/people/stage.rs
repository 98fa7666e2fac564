//! The sandbox and the connector on it, both in this process.

use std::error::Error;
use std::sync::Arc;

use buildkite_connector::governance::{AllowedChanges, Change, GovernanceSettings};
use buildkite_connector::grpc::server::{Listener, Server, ServerOptions};
use buildkite_connector::providers::buildkite::{Client, ClientOptions, Coverage, IncludedType, govern};
use buildkite_connector::sandbox::{Options, Sandbox, TokenSpec};
use secrecy::ExposeSecret;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// The file of the audit record, in a temporary directory.
const RECORD: &str = "audit.jsonl";

/// Both, running.
pub(crate) struct Stage {
    sandbox: Sandbox,
    /// The address of the connector, as a gRPC client writes it.
    pub(crate) address: String,
    record: TempDir,
    end: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Stage {
    /// Starts both on free ports. The connector invites and off-boards people, and changes team roles.
    pub(crate) async fn start() -> Result<Self, Box<dyn Error>> {
        let sandbox = Sandbox::start(Options::default()).await?;
        let token = sandbox.mint(TokenSpec::owned_by(sandbox.owner()).with_all_scopes());
        let client = Client::new(
            sandbox.url().parse()?,
            sandbox.slug().parse()?,
            token.expose_secret().parse()?,
            ClientOptions::default(),
        )?;
        let record = tempfile::tempdir()?;
        let settings = GovernanceSettings {
            audit_file: Some(record.path().join(RECORD)),
            ..GovernanceSettings::default()
        };
        let allowed = AllowedChanges::from_iter([Change::Membership, Change::Invitations, Change::OffBoarding]);
        let coverage = Coverage::new([IncludedType::Invitation], allowed, [])?;
        let governance = govern(Arc::new(client), coverage, settings);
        let server = Server::new(Arc::new(governance), ServerOptions::default()).await;
        let listener = Listener::bind(&"127.0.0.1:0".parse()?).await?;
        let address = format!("http://{}", listener.address()?);
        let (end, ended) = oneshot::channel();
        let serving = tokio::spawn(server.run(listener, async { drop(ended.await) }));
        Ok(Self {
            sandbox,
            address,
            record,
            end,
            serving,
        })
    }

    /// The id of the team with this slug.
    pub(crate) fn team(&self, slug: &str) -> Result<String, String> {
        let team = self
            .sandbox
            .with_organization(|organization| organization.team_by_slug(slug).map(|team| team.id));
        team.map(|id| id.to_string())
            .ok_or_else(|| format!("no team has the slug {slug}"))
    }

    /// Accepts an invitation as the invited person does.
    pub(crate) fn accept(&self, invitation: &str) -> Result<(), Box<dyn Error>> {
        let id: Uuid = invitation.parse()?;
        let accepted = self.sandbox.edit(|organization| organization.accept_invitation(id));
        accepted.map(drop).ok_or_else(|| "the invitation is not pending".into())
    }

    /// The slugs of the teams that a user is in.
    pub(crate) fn teams_of(&self, user: &str) -> String {
        let user: Option<Uuid> = user.parse().ok();
        let slugs = self.sandbox.with_organization(|organization| {
            let teams = organization.teams().iter();
            let joined = teams.filter(|team| user.is_some_and(|user| team.member(user).is_some()));
            joined.map(|team| team.slug.clone()).collect::<Vec<_>>()
        });
        if slugs.is_empty() {
            return "none".to_owned();
        }
        slugs.join(", ")
    }

    /// The last line of the audit record.
    pub(crate) fn last_record(&self) -> std::io::Result<String> {
        let record = std::fs::read_to_string(self.record.path().join(RECORD))?;
        Ok(record.lines().last().unwrap_or_default().to_owned())
    }

    /// Ends the connector as a signal would, then the sandbox.
    pub(crate) async fn end(self) {
        drop(self.end);
        // It fails only by a panic, which was reported already.
        let _ = self.serving.await;
        self.sandbox.stop().await;
    }
}
