//! On a terminal, a job shows a bar and takes it away.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use buildkite_connector::sandbox::{Endpoint, Fault, FaultKind};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::job::{Place, sync_into};
use crate::support::{sandbox, sized};

/// Runs with a terminal for standard error, and returns what was drawn on it until the end.
fn drawn(mut command: Command) -> (String, Option<i32>) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let name = std::ffi::OsStr::from_bytes(name.as_bytes());
    let screen = OpenOptions::new().read(true).write(true).open(name).unwrap();
    command
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(screen);
    let mut child = command.spawn().unwrap();
    // The command holds the last end of the terminal but the child's.
    drop(command);
    let (mut drawn, mut terminal) = (Vec::new(), File::from(terminal));
    // Reading fails when the child has closed its end.
    let _ = terminal.read_to_end(&mut drawn);
    (
        String::from_utf8_lossy(&drawn).into_owned(),
        child.wait().unwrap().code(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bar_shows_how_far_the_job_is() {
    let sandbox = sandbox(sized(9, 2, 20)).await;
    let slow = FaultKind::Delay(std::time::Duration::from_millis(700));
    sandbox.faults().add(Fault::new(Endpoint::TeamMembers, slow));
    let place = Place::new();
    let mut command = sync_into(&sandbox, &place.path("access.csv"));
    command.args(["--read-ahead", "2"]);
    let (drawn, code) = tokio::task::spawn_blocking(move || drawn(command)).await.unwrap();
    assert_eq!(code, Some(0), "{drawn}");
    assert!(drawn.contains(" of 9 teams, "), "{drawn}");
    assert!(drawn.contains("reading the members of teams"), "{drawn}");
    assert!(!drawn.contains("\"level\""), "no log where there is a bar: {drawn}");
    let last = drawn.lines().last().unwrap();
    assert!(last.contains("20 users, 9 teams, 18 grants"), "{drawn}");
}
