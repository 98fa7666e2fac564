//! The process is killed in the middle of a write and started again; the same call then converges.

use std::path::Path;

use buildkite_connector::sandbox::{Endpoint, Fault, FaultKind};
use rstest::rstest;

use super::model::{Change, Role};
use super::{World, perform};
use crate::support::{ConnectorProcess, until};

/// The binary on the world's sandbox, with an audit file that its next process continues.
fn serve(world: &World, directory: &Path) -> ConnectorProcess {
    let audit = directory.join("audit.jsonl");
    let arguments = ["--provisioning", "--audit-file", audit.to_str().unwrap()];
    let mut process = ConnectorProcess::serve(&world.sandbox, &arguments);
    process.address();
    process
}

#[rstest]
#[case::before_it_is_applied(FaultKind::Hang, false)]
#[case::after_it_was_applied(FaultKind::ResetAfter, true)]
#[tokio::test]
async fn a_process_killed_in_the_middle_of_a_write_converges_on_the_repeated_call(
    #[case] kind: FaultKind,
    #[case] applied: bool,
) {
    let world = World::new().await;
    let directory = tempfile::tempdir().unwrap();
    let pair = world.pair();
    for (change, held) in [
        (Change::Grant(Role::Member), None),
        (Change::Grant(Role::Maintainer), Some(Role::Member)),
        (Change::Revoke(Role::Maintainer), Some(Role::Maintainer)),
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
        let process = serve(&world, directory.path());
        let platform = process.platform().await;
        let caller = tokio::spawn(async move { perform(&platform, pair, &pair.user.to_string(), change).await });
        until(|| faults.iter().any(|fault| fault.fired() > 0)).await;
        until(|| !applied || world.applied() > 0).await;
        process.kill();
        assert!(caller.await.unwrap().is_err());
        world.sandbox.faults().clear();

        let process = serve(&world, directory.path());
        let again = perform(&process.platform().await, pair, &pair.user.to_string(), change)
            .await
            .unwrap();
        let (after, said) = change.step(held);
        assert_eq!((world.held(pair), world.applied()), (after, 1));
        assert_eq!(again, if applied { change.again() } else { said });
    }
    let record = std::fs::read_to_string(directory.path().join("audit.jsonl")).unwrap();
    let intents = record
        .lines()
        .filter(|line| line.contains("\"record\":\"intent\""))
        .count();
    assert_eq!(intents, if applied { 3 } else { 6 });
}
