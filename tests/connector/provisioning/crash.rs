//! The process is killed in the middle of a write, started again and asked again: it converges.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use buildkite_connector::sandbox::{Endpoint, Fault, FaultKind};
use rstest::rstest;
use secrecy::ExposeSecret;
use tonic::transport::Channel;

use super::model::{Asked, Role};
use super::{World, ask};
use crate::support::{Platform, until};

/// The real binary; killed when it is dropped.
struct Process {
    child: Child,
    platform: Platform,
}

impl Process {
    async fn start(world: &World, directory: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_buildkite-connector"))
            .args([
                "serve",
                "--provisioning",
                "--listen",
                "127.0.0.1:0",
                "--organization",
                world.sandbox.slug(),
            ])
            .args(["--api-url", world.sandbox.url(), "--audit-file"])
            .arg(directory.join("audit.jsonl"))
            .env("BUILDKITE_API_TOKEN", world.sandbox.token().expose_secret())
            .env_remove("BUILDKITE_API_TOKEN_FILE")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = child.stderr.take().unwrap();
        let address = tokio::task::spawn_blocking(move || {
            let mut lines = BufReader::new(stderr).lines();
            let serving = lines
                .by_ref()
                .map(Result::unwrap)
                .find(|line| line.contains("\"serving\""))
                .unwrap();
            // The rest is read so that the process is never held up by a full pipe.
            std::thread::spawn(move || lines.for_each(drop));
            serde_json::from_str::<serde_json::Value>(&serving).unwrap()["address"]
                .as_str()
                .unwrap()
                .to_owned()
        });
        let channel = Channel::from_shared(format!("http://{}", address.await.unwrap())).unwrap();
        Self {
            child,
            platform: Platform::new(channel.connect().await.unwrap()),
        }
    }

    /// As kill -9 does.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[rstest]
#[case::before_it_is_applied(FaultKind::Hang, false)]
#[case::after_it_was_applied(FaultKind::ResetAfter, true)]
#[tokio::test]
async fn a_process_killed_in_the_middle_of_a_write_converges_when_it_is_asked_again(
    #[case] kind: FaultKind,
    #[case] applied: bool,
) {
    let world = World::new().await;
    let directory = tempfile::tempdir().unwrap();
    let pair = world.pair();
    for (asked, held) in [
        (Asked::Grant(Role::Member), None),
        (Asked::Grant(Role::Maintainer), Some(Role::Member)),
        (Asked::Revoke(Role::Maintainer), Some(Role::Maintainer)),
    ] {
        world.hold(pair, held);
        world.sandbox.faults().clear();
        world.sandbox.request_log().clear();
        let faults: Vec<_> = super::WRITES
            .map(|write| world.sandbox.faults().add(Fault::new(write, kind.clone()).once()))
            .into();
        // What would confirm the write never does.
        if applied {
            world
                .sandbox
                .faults()
                .add(Fault::new(Endpoint::TeamMember, FaultKind::Hang).after(1));
        }
        let process = Process::start(&world, directory.path()).await;
        let platform = process.platform.clone();
        let caller = tokio::spawn(async move { ask(&platform, pair, &pair.user.to_string(), asked).await });
        until(|| faults.iter().any(|fault| fault.fired() > 0)).await;
        until(|| !applied || world.applied() > 0).await;
        process.kill();
        assert!(caller.await.unwrap().is_err());
        world.sandbox.faults().clear();

        let process = Process::start(&world, directory.path()).await;
        let again = ask(&process.platform, pair, &pair.user.to_string(), asked)
            .await
            .unwrap();
        let (after, said) = asked.step(held);
        assert_eq!((world.held(pair), world.applied()), (after, 1));
        assert_eq!(again, if applied { asked.again() } else { said });
    }
    let record = std::fs::read_to_string(directory.path().join("audit.jsonl")).unwrap();
    let intents = record
        .lines()
        .filter(|line| line.contains("\"record\":\"intent\""))
        .count();
    assert_eq!(intents, if applied { 3 } else { 6 });
}
