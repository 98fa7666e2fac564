//! A sandbox with service users, and connectors with a credential of each.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use buildkite_connector::governance::Governance;
use buildkite_connector::providers::buildkite::budget::{Budgets, CredentialUse};
use buildkite_connector::providers::buildkite::{ApiToken, Client, Credential, CredentialSpec, Shared, govern};
use buildkite_connector::sandbox::{
    Bucket, Endpoint, LimitOptions, Options, OrganizationRole, Person, Sandbox, TokenSpec,
};
use secrecy::{ExposeSecret, SecretString};
use tempfile::TempDir;
use uuid::Uuid;

use crate::support::{Setup, TestServer, sized};

/// A sandbox with service users.
pub struct ServiceUsers {
    pub sandbox: Sandbox,
    pub users: Vec<Uuid>,
    directory: TempDir,
}

impl ServiceUsers {
    /// Service users who are organization admins, without rate limits.
    pub async fn new(users: usize) -> Self {
        Self::with(
            users,
            Options {
                limits: LimitOptions::unlimited(),
                ..Options::default()
            },
        )
        .await
    }

    /// The same with these options, in an organization of ten teams with three members each.
    pub async fn with(users: usize, options: Options) -> Self {
        let sandbox = Sandbox::start(Options {
            seed: sized(10, 3, 12),
            ..options
        })
        .await
        .unwrap();
        let add = |number: usize| {
            let person = Person::new(&format!("Service {number}"), &format!("service-{number}@example.com"));
            sandbox.edit(|organization| {
                let id = organization.add_person(person);
                organization.set_role(id, OrganizationRole::Admin);
                id
            })
        };
        Self {
            users: (0..users).map(add).collect(),
            sandbox,
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub fn token(&self, user: usize) -> SecretString {
        self.sandbox.mint(TokenSpec::owned_by(self.users[user]))
    }

    /// A credential with a token of a service user.
    pub fn credential(&self, name: &str, usage: CredentialUse, user: usize) -> CredentialSpec {
        spec(name, usage, &self.token(user))
    }

    /// One credential of each service user, for anything, named by their numbers.
    pub fn one_each(&self) -> Vec<CredentialSpec> {
        let of = |user: usize| self.credential(&user.to_string(), CredentialUse::Any, user);
        (0..self.users.len()).map(of).collect()
    }

    /// A credential in a file, which holds `token`.
    pub fn in_file(&self, name: &str, token: &SecretString) -> CredentialSpec {
        self.write(name, token);
        CredentialSpec {
            name: name.to_owned(),
            usage: CredentialUse::Any,
            credential: Credential::from_file(self.file(name), &Shared::default()).unwrap(),
        }
    }

    /// Replaces the file of a credential.
    pub fn write(&self, name: &str, token: &SecretString) {
        let next = self.directory.path().join("next");
        std::fs::write(&next, token.expose_secret()).unwrap();
        std::fs::rename(next, self.file(name)).unwrap();
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn client(&self, specs: Vec<CredentialSpec>, setup: &Setup) -> Client {
        let (url, slug) = (
            self.sandbox.url().parse().unwrap(),
            self.sandbox.slug().parse().unwrap(),
        );
        Client::with_credentials(url, slug, specs, setup.client.clone(), &Budgets::default()).unwrap()
    }

    pub fn governance(&self, specs: Vec<CredentialSpec>, setup: Setup) -> Governance {
        let client = self.client(specs, &setup);
        govern(Arc::new(client), setup.coverage(), setup.access)
    }

    pub async fn connector(&self, specs: Vec<CredentialSpec>) -> TestServer {
        self.connector_with(specs, impatient()).await
    }

    pub async fn connector_with(&self, specs: Vec<CredentialSpec>, setup: Setup) -> TestServer {
        TestServer::serving(self.governance(specs, setup)).await
    }

    /// How many requests to this endpoint each service user sent, by their position.
    pub fn requests(&self, endpoint: Endpoint) -> BTreeMap<usize, usize> {
        let mut counts = BTreeMap::new();
        for request in self.sandbox.requests() {
            let user = self.users.iter().position(|user| Some(*user) == request.user);
            if let Some(user) = user.filter(|_| endpoint == Endpoint::Any || request.endpoint == endpoint) {
                *counts.entry(user).or_default() += 1;
            }
        }
        counts
    }

    /// The requests that a rate limit refused.
    pub fn refused(&self) -> u64 {
        self.sandbox.refused(Bucket::Organization) + self.sandbox.refused(Bucket::User)
    }

    /// A team, and a user who is not in it.
    pub fn team_and_outsider(&self) -> (String, String) {
        self.sandbox.with_organization(|organization| {
            let team = &organization.teams()[0];
            let mut people = organization.people().iter().map(|person| person.id);
            let outsider = people
                .find(|id| team.member(*id).is_none() && !self.users.contains(id))
                .unwrap();
            (team.id.to_string(), outsider.to_string())
        })
    }
}

/// A credential with this token.
pub fn spec(name: &str, usage: CredentialUse, token: &SecretString) -> CredentialSpec {
    let token: ApiToken = token.expose_secret().parse().unwrap();
    CredentialSpec {
        name: name.to_owned(),
        usage,
        credential: token.into(),
    }
}

/// Settings that give a failure up soon, and whose evidence expires at once.
pub fn impatient() -> Setup {
    let mut setup = Setup::default();
    setup.client.retry_for = Duration::from_millis(200);
    setup.access.health.min_interval = Duration::ZERO;
    setup
}
