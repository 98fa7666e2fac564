//! The binary by its other name, in a working directory of its own.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use buildkite_connector::sandbox::Sandbox;
use secrecy::ExposeSecret;
use tempfile::TempDir;

use crate::support::process::Ended;

/// A directory with a link to the binary in it.
pub struct Linked {
    directory: TempDir,
}

impl Linked {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let binary = assert_cmd::cargo::cargo_bin!("buildkite-connector");
        symlink(binary, directory.path().join("baton-buildkite")).unwrap();
        Self { directory }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// The binary with these arguments in this directory, and nothing of the environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.path("baton-buildkite"));
        command.env_clear().current_dir(self.directory.path()).args(arguments);
        command
    }

    /// The same, set up for a sandbox by the family's variables.
    pub fn on(&self, sandbox: &Sandbox, arguments: &[&str]) -> Command {
        let mut command = self.command(arguments);
        command
            .env("BATON_API_URL", sandbox.url())
            .env("BATON_ORGANIZATION", sandbox.slug())
            .env("BATON_API_TOKEN", sandbox.token().expose_secret());
        command
    }
}

/// What a command that ended printed, its code checked.
#[allow(clippy::needless_pass_by_value)] // what has ended is of no further use
pub fn printed(ended: Ended, code: i32) -> String {
    let printed = ended.printed.join("\n");
    assert_eq!(ended.status.code(), Some(code), "{printed}");
    printed
}
