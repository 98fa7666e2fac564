//! The made-up Buildkite and the connector on it, both in this process.

use std::error::Error;
use std::sync::Arc;

use buildkite_connector::governance::{AllowedChanges, Change, GovernanceSettings};
use buildkite_connector::grpc::server::{Listener, Server, ServerOptions};
use buildkite_connector::proto::c1::connector::v2::{Entitlement, Resource};
use buildkite_connector::providers::buildkite::{Client, ClientOptions, Coverage, govern};
use buildkite_connector::sandbox::{MemberRows, Options, Sandbox, TeamRole};
use secrecy::ExposeSecret;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::platform::id_of;

/// Both, running.
pub(crate) struct Stage {
    pub(crate) sandbox: Sandbox,
    /// Where the connector answers, as a gRPC client writes it.
    pub(crate) address: String,
    end: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Stage {
    /// Starts both on free ports: Buildkite with its own rate limits, the connector with provisioning on.
    pub(crate) async fn set() -> Result<Self, Box<dyn Error>> {
        let sandbox = Sandbox::start(Options::default()).await?;
        let client = Client::new(
            sandbox.url().parse()?,
            sandbox.slug().parse()?,
            sandbox.token().expose_secret().parse()?,
            ClientOptions::default(),
        )?;
        let allowed = AllowedChanges::from_iter([Change::Membership]);
        let governance = govern(
            Arc::new(client),
            Coverage::new([], allowed, [])?,
            GovernanceSettings::default(),
        );
        let server = Server::new(Arc::new(governance), ServerOptions::default()).await;
        let listener = Listener::bind(&"127.0.0.1:0".parse()?).await?;
        let address = format!("http://{}", listener.address()?);
        let (end, ended) = oneshot::channel();
        let serving = tokio::spawn(server.run(listener, async { drop(ended.await) }));
        Ok(Self {
            sandbox,
            address,
            end,
            serving,
        })
    }

    /// The role that somebody holds in a team, from the made-up Buildkite's own data.
    pub(crate) fn role_of(&self, person: &Resource, entitlement: &Entitlement) -> Option<TeamRole> {
        let user = uuid_of(person)?;
        let team = entitlement.resource.as_ref().and_then(uuid_of)?;
        self.sandbox
            .with_organization(|organization| organization.team(team)?.role_of(user))
    }

    /// Takes somebody out of the organization, behind the connector's back.
    pub(crate) fn lets_go(&self, person: &Resource, rows: MemberRows) -> Result<(), String> {
        let gone = uuid_of(person)
            .is_some_and(|user| self.sandbox.edit(|organization| organization.remove_person(user, rows)));
        gone.then_some(())
            .ok_or_else(|| format!("{} is not in the organization", person.display_name))
    }

    /// Requests that Buildkite has answered so far.
    pub(crate) fn requests(&self) -> u64 {
        self.sandbox.request_log().total()
    }

    /// Ends the connector as a signal would, then Buildkite.
    pub(crate) async fn end(self) {
        drop(self.end);
        // It only fails by a panic, which has been reported already.
        let _ = self.serving.await;
        self.sandbox.stop().await;
    }
}

fn uuid_of(resource: &Resource) -> Option<Uuid> {
    id_of(resource).parse().ok()
}
