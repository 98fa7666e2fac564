//! Several connections in one process: the binary with a configuration file, on sandboxes with an organization each.

mod audit;
mod callers;
mod commands;
mod configuration;
mod foreign;
mod health;
mod isolation;
mod one_organization;
mod reload;
mod removed_names;
mod retry;
mod selection;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use buildkite_connector::grpc::server::BearerToken;
use buildkite_connector::proto::connector::health::v1::scope_health_service_client::ScopeHealthServiceClient;
use buildkite_connector::proto::connector::health::v1::{CheckScopesRequest, CheckScopesResponse, ScopeCheck};
use buildkite_connector::sandbox::{LimitOptions, Options, Sandbox, Seed, Size};
use futures::StreamExt;
use secrecy::{ExposeSecret, SecretString};
use tempfile::TempDir;
use tonic::{Code, Status, Streaming};

use crate::security::callers::entry;
use crate::support::platform::id_of;
use crate::support::process::{ConnectorProcess, connector};
use crate::support::{Caller, Platform, reason, within};

/// A sandbox with an organization of its own: six people, and three teams of two. Equal numbers give equal ids.
pub async fn organization(slug: &str, number: u64) -> Sandbox {
    let size = Size {
        teams: 3,
        members_per_team: 2,
        people: 6,
        pipelines: 1,
        seed: number,
        ..Size::default()
    };
    let mut organization = Seed::Sized(size).build();
    slug.clone_into(&mut organization.slug);
    let options = Options {
        seed: Seed::Given(Box::new(organization)),
        limits: LimitOptions::unlimited(),
        ..Options::default()
    };
    Sandbox::start(options).await.unwrap()
}

/// The organizations that most tests connect to.
pub async fn two() -> [Sandbox; 2] {
    [
        organization("northwind-rail", 1).await,
        organization("acme-inc", 2).await,
    ]
}

/// The files of a process, in a folder that is not its working directory.
pub struct Files(TempDir);

impl Files {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// The table of a connection to `sandbox` with these further keys. Its token is in a file of its own.
    pub fn connection(&self, name: &str, sandbox: &Sandbox, keys: &str) -> String {
        self.connection_with(name, sandbox, sandbox.token(), keys)
    }

    /// The same with another token.
    pub fn connection_with(&self, name: &str, sandbox: &Sandbox, token: &SecretString, keys: &str) -> String {
        self.write(&format!("{name}.token"), token.expose_secret());
        let (slug, url) = (sandbox.slug(), sandbox.url());
        format!(
            "[connection.{name}]\norganization = \"{slug}\"\napi_url = \"{url}\"\napi_token_file = \"{name}.token\"\n{keys}\n"
        )
    }

    /// The tables of `northwind` and `acme`, in this order.
    pub fn connections(&self, [northwind, acme]: &[Sandbox; 2]) -> String {
        self.connection("northwind", northwind, "") + &self.connection("acme", acme, "")
    }

    /// Writes the configuration file.
    pub fn configure(&self, text: &str) {
        self.write("connector.toml", text);
    }

    /// A command with the configuration file.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = connector(&arguments[..1]);
        command
            .arg("--config")
            .arg(self.path("connector.toml"))
            .args(&arguments[1..]);
        command
    }

    /// Runs a command to its end.
    pub async fn run(&self, arguments: &[&str]) -> Output {
        run(self.command(arguments)).await
    }

    /// The error of a command that refuses the configuration: one line, and exit code 2.
    pub async fn refusal(&self, arguments: &[&str]) -> String {
        refusal(self.command(arguments)).await
    }

    /// Serves on a free port; returns once it listens.
    pub fn serve(&self, arguments: &[&str]) -> ConnectorProcess {
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.args(arguments);
        let mut process = ConnectorProcess::start(command);
        process.address();
        process
    }

    /// The same with this callers file.
    pub fn serve_callers(&self, callers: &str) -> ConnectorProcess {
        self.write("callers.toml", callers);
        let file = self.path("callers.toml");
        self.serve(&["--callers", file.to_str().unwrap()])
    }
}

pub async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

/// The error of a command that ends with exit code 2.
pub async fn refusal(command: Command) -> String {
    let output = run(command).await;
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("error: ")).collect();
    let [line] = lines[..] else { panic!("{text}") };
    line.trim_start_matches("error: ").to_owned()
}

/// An entry of the callers file, and its bearer token. `connections` is the list as TOML; empty for an entry without.
pub fn caller_entry(name: &str, connections: &str) -> (String, String) {
    let made = BearerToken::generate().unwrap();
    let mut text = entry(name, "provisioner", &made);
    if !connections.is_empty() {
        writeln!(text, "connections = {connections}").unwrap();
    }
    (text, made.bearer)
}

/// Has the files read now, and waits until the configuration is in force.
pub fn apply(process: &mut ConnectorProcess) {
    process.signal("HUP");
    process.event("configuration: the changed files are in use");
}

/// A client of the process.
pub async fn client(process: &ConnectorProcess) -> Caller {
    process.channel().await.into()
}

/// The users that a caller lists.
pub async fn users(caller: &Caller) -> Result<BTreeSet<String>, Status> {
    let users = Platform::new(caller).resources("user").await?;
    Ok(users.iter().map(id_of).collect())
}

/// The people of an organization.
pub fn people(sandbox: &Sandbox) -> BTreeSet<String> {
    sandbox.with_organization(|organization| {
        let people = organization.people().iter();
        people.map(|person| person.id.to_string()).collect()
    })
}

/// The teams of an organization.
pub fn teams(sandbox: &Sandbox) -> Vec<String> {
    sandbox.with_organization(|organization| {
        let teams = organization.teams().iter();
        teams.map(|team| team.id.to_string()).collect()
    })
}

/// A team, and a person who is not in it.
pub fn outsider(sandbox: &Sandbox) -> (String, String) {
    sandbox.with_organization(|organization| {
        let team = &organization.teams()[0];
        let is_outside = |id: &uuid::Uuid| team.members().iter().all(|row| row.user != *id);
        let mut people = organization.people().iter().map(|person| person.id);
        (team.id.to_string(), people.find(is_outside).unwrap().to_string())
    })
}

/// Asserts that the caller reaches this organization.
pub async fn assert_reaches(caller: &Caller, sandbox: &Sandbox) {
    assert_eq!(users(caller).await.unwrap(), people(sandbox));
}

/// Asserts that the caller is refused, and returns the sentence.
pub async fn assert_refused(caller: &Caller, code: Code, expected: &str) -> String {
    let refused = users(caller).await.unwrap_err();
    assert_eq!(reason(&refused), (code, expected.to_owned()));
    refused.message().to_owned()
}

/// Asserts that the caller may not use the connection that it names, and returns the sentence.
pub async fn assert_not_allowed(caller: &Caller) -> String {
    assert_refused(caller, Code::PermissionDenied, "CONNECTION_NOT_ALLOWED").await
}

/// The health of the caller's connection.
pub async fn health(caller: &Caller, fresh: bool) -> CheckScopesResponse {
    let mut client = ScopeHealthServiceClient::new(caller.clone());
    let response = client.check_scopes(CheckScopesRequest { fresh }).await.unwrap();
    response.into_inner()
}

/// The check `configuration` of the caller's connection.
pub async fn configuration(caller: &Caller) -> ScopeCheck {
    let checks = health(caller, false).await.checks;
    let found = checks.into_iter().find(|check| check.id == "configuration");
    found.expect("the process follows a file")
}

/// The code and the reason with which a watch of scopes ends.
pub async fn ending(mut stream: Streaming<CheckScopesResponse>) -> (Code, String) {
    let ended = async {
        loop {
            if let Err(status) = stream.next().await.expect("a status at the end") {
                return status;
            }
        }
    };
    reason(&within("the end of the stream", ended).await)
}
