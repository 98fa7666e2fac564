//! A sandbox with an access token that has a public key and with an OAuth application, and connectors that use them.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use buildkite_connector::governance::Governance;
use buildkite_connector::providers::buildkite::{
    Client, Coverage, Credential, OAuthSubject, Shared, TokenExchangeOptions, govern,
};
use buildkite_connector::sandbox::{ApplicationSpec, Endpoint, KeyPair, LimitOptions, Options, Sandbox, TokenSpec};
use tempfile::TempDir;
use uuid::Uuid;

use crate::support::load::Load;
use crate::support::{Platform, Setup, TestServer, sized};

/// RSA keys take long to generate, and any test may use the same ones.
pub static RSA: LazyLock<[KeyPair; 2]> = LazyLock::new(|| [KeyPair::rsa().unwrap(), KeyPair::rsa().unwrap()]);

/// A sandbox whose clock is ahead, and the file of a private key.
pub struct Place {
    pub sandbox: Sandbox,
    directory: TempDir,
}

impl Place {
    pub async fn new() -> Self {
        Self::with_clock_offset(0).await
    }

    pub async fn with_clock_offset(clock_offset: i64) -> Self {
        let options = Options {
            seed: sized(3, 2, 6),
            limits: LimitOptions::unlimited(),
            clock_offset,
            ..Options::default()
        };
        Self {
            sandbox: Sandbox::start(options).await.unwrap(),
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub fn key_file(&self) -> PathBuf {
        self.directory.path().join("key.pem")
    }

    /// Replaces the key file as an operator does: completely or not at all.
    pub fn write_key(&self, pem: &str) {
        let next = self.directory.path().join("next.pem");
        std::fs::write(&next, pem).unwrap();
        std::fs::rename(next, self.key_file()).unwrap();
    }

    /// An access token with the first RSA key.
    pub fn private_key(&self) -> (Uuid, Credential) {
        let spec = TokenSpec::owned_by(self.sandbox.owner());
        let id = self.sandbox.mint_with_key(spec, RSA[0].public_pem()).unwrap();
        self.write_key(RSA[0].private_pem());
        (
            id,
            Credential::from_private_key(id, self.key_file(), &Shared::default()).unwrap(),
        )
    }

    /// An OAuth application with this key.
    pub fn exchange(&self, spec: ApplicationSpec, key: &KeyPair) -> (String, Credential) {
        let owner = OAuthSubject::User(self.sandbox.owner());
        self.exchange_for(owner, spec, key)
    }

    pub fn exchange_for(&self, subject: OAuthSubject, spec: ApplicationSpec, key: &KeyPair) -> (String, Credential) {
        let client_id = self.sandbox.register_application(spec, key.public_pem()).unwrap();
        self.write_key(key.private_pem());
        let options = TokenExchangeOptions {
            client_id: client_id.clone(),
            subject,
            url: self.sandbox.oauth_url().parse().unwrap(),
            organization: self.sandbox.slug().parse().unwrap(),
        };
        let credential = Credential::from_token_exchange(options, self.key_file(), &Shared::default()).unwrap();
        (client_id, credential)
    }

    /// The organization's governance, and the credential that it uses.
    pub fn governance(&self, credential: Credential, setup: Setup) -> (Governance, Arc<Credential>) {
        let coverage: Coverage = setup.coverage();
        credential.request_scopes(&coverage.scopes());
        let (url, slug) = (
            self.sandbox.url().parse().unwrap(),
            self.sandbox.slug().parse().unwrap(),
        );
        let client = Client::with_credential(url, slug, credential, setup.client).unwrap();
        let credential = client.credential();
        (govern(Arc::new(client), coverage, setup.access), credential)
    }

    pub async fn connector_and_credential(
        &self,
        credential: Credential,
        setup: Setup,
    ) -> (TestServer, Arc<Credential>) {
        let (governance, credential) = self.governance(credential, setup);
        (TestServer::serving(governance).await, credential)
    }

    pub async fn connector(&self, credential: Credential) -> TestServer {
        self.connector_with(credential, Setup::default()).await
    }

    pub async fn connector_with(&self, credential: Credential, setup: Setup) -> TestServer {
        self.connector_and_credential(credential, setup).await.0
    }

    /// How many requests of this type were received.
    pub fn count(&self, endpoint: Endpoint) -> u64 {
        self.sandbox.request_log().count(endpoint)
    }

    pub fn unauthorized(&self) -> u64 {
        self.sandbox.request_log().count_status(401)
    }

    /// A team, and a user who is not in it.
    pub fn team_and_outsider(&self) -> (String, String) {
        self.sandbox.with_organization(|organization| {
            let team = &organization.teams()[0];
            let is_outside = |id: Uuid| team.member(id).is_none();
            let outsider = organization
                .people()
                .iter()
                .find(|person| is_outside(person.id))
                .unwrap();
            (team.id.to_string(), outsider.id.to_string())
        })
    }
}

/// Settings that give a failure up soon.
pub fn impatient() -> Setup {
    let mut setup = Setup::default();
    setup.client.retry_for = Duration::from_millis(200);
    setup
}

/// Calls that go on, each of which lists the teams of a [`Place`].
pub fn reading_teams(platform: Platform) -> Load {
    Load::of(move || {
        let platform = platform.clone();
        async move { platform.resources("team").await.map(|teams| assert_eq!(teams.len(), 3)) }
    })
}
