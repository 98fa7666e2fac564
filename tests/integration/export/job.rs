//! A job on a sandbox, and what an organization truly holds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use buildkite_connector::sandbox::{Sandbox, TeamRole};
use tempfile::TempDir;

use crate::support::process::{ConnectorProcess, Ended, connector, set_up};

/// Every format, by a name that it follows from.
pub const NAMES: [&str; 4] = ["access.c1z", "access.jsonl", "access.csv", "access.json"];

/// The binary with these arguments, set up for a sandbox.
pub fn on(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = connector(arguments);
    set_up(&mut command, sandbox, sandbox.token());
    command
}

/// Runs to the end, without blocking the sandbox that it reads.
pub async fn ended(command: Command) -> Ended {
    tokio::task::spawn_blocking(move || ConnectorProcess::start(command).ended())
        .await
        .unwrap()
}

pub fn sync_into(sandbox: &Sandbox, place: &Path) -> Command {
    on(sandbox, &["sync", "--output", place.to_str().unwrap()])
}

/// A sync that has to go well.
pub async fn synced(sandbox: &Sandbox, place: &Path) {
    let ended = ended(sync_into(sandbox, place)).await;
    assert_eq!(ended.status.code(), Some(0), "{:#?}", ended.printed);
}

/// A directory of a test's own.
pub struct Place {
    directory: TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Every file below, hidden ones too, and what it holds.
    pub fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut contents = BTreeMap::new();
        let mut directories = vec![self.directory.path().to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    contents.insert(path.clone(), vec![]);
                    directories.push(path);
                } else {
                    contents.insert(path.clone(), std::fs::read(path).unwrap());
                }
            }
        }
        contents
    }
}

/// What an organization holds, by the ids of the protocol.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Truth {
    /// Names of users by id.
    pub users: BTreeMap<String, String>,
    /// Names of teams by id.
    pub teams: BTreeMap<String, String>,
    /// Ids of grants.
    pub grants: BTreeSet<String>,
}

pub fn truth(sandbox: &Sandbox) -> Truth {
    sandbox.with_organization(|organization| {
        let teams = organization.teams();
        let people = organization.people().iter();
        let grants = teams.iter().flat_map(|team| {
            team.members().iter().map(|member| {
                let role = match member.role {
                    TeamRole::Member => "member",
                    TeamRole::Maintainer => "maintainer",
                };
                format!("team:{}:{role}:user:{}", team.id, member.user)
            })
        });
        Truth {
            users: people
                .map(|person| (person.id.to_string(), person.name.clone()))
                .collect(),
            teams: teams
                .iter()
                .map(|team| (team.id.to_string(), team.name.clone()))
                .collect(),
            grants: grants.collect(),
        }
    })
}
