//! A disk that stalls under the audit record: it costs one thread and delays no call.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use buildkite_connector::governance::provisioning::AuditSink;
use buildkite_connector::providers::buildkite::{Client, govern_with_sink};
use buildkite_connector::sandbox::{Edit, Endpoint, Fault, FaultKind};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tonic::Code;

use super::model::{Answer, Change, Pair, Role};
use super::{World, reason, setup};
use crate::support::{TestServer, sandbox, sized, until};

const GRANT: Change = Change::Grant(Role::Member);

/// As many as one connection may have under way, and some room.
const CALLERS: usize = 200;

/// A disk on which appends end when it no longer stalls.
#[derive(Debug, Default)]
struct Disk {
    state: Mutex<State>,
    released: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_stalled: bool,
    /// Threads inside `append`, and the most that were at once.
    appending: usize,
    most_appending: usize,
    lines: Vec<Value>,
}

impl Disk {
    fn stall(&self, is_stalled: bool) {
        let state = self.state.lock();
        state.unwrap_or_else(PoisonError::into_inner).is_stalled = is_stalled;
        self.released.notify_all();
    }

    fn most_appending(&self) -> usize {
        self.state.lock().unwrap().most_appending
    }

    fn lines(&self) -> Vec<Value> {
        self.state.lock().unwrap().lines.clone()
    }
}

impl AuditSink for Disk {
    fn name(&self) -> String {
        "disk".to_owned()
    }

    fn check(&self) -> io::Result<()> {
        Ok(())
    }

    fn append(&self, line: &str) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.appending += 1;
        state.most_appending = state.most_appending.max(state.appending);
        let mut state = self.released.wait_while(state, |state| state.is_stalled).unwrap();
        state.appending -= 1;
        state.lines.push(serde_json::from_str(line).unwrap());
        Ok(())
    }
}

/// Releases the disk at the end of a test, also of one that fails.
struct Released(Arc<Disk>);

impl Drop for Released {
    fn drop(&mut self) {
        self.0.stall(false);
    }
}

async fn on(disk: &Arc<Disk>) -> World {
    let sandbox = sandbox(sized(40, 0, 12)).await;
    let mut setup = setup();
    setup.access.write_timeouts.append = Duration::from_millis(300);
    let client = Client::new(
        sandbox.url().parse().unwrap(),
        sandbox.slug().parse().unwrap(),
        sandbox.token().expose_secret().parse().unwrap(),
        setup.client.clone(),
    );
    let sink = Arc::clone(disk) as Arc<dyn AuditSink>;
    let access = govern_with_sink(Arc::new(client.unwrap()), setup.coverage(), setup.access, sink);
    World::of(sandbox, TestServer::serving(access).await).await
}

/// The name of the threads that the runtime of a test starts, to tell them from those of other tests.
const RUNTIME: &str = "stalled-disk";

/// The threads that the runtime of this test has for blocking work.
fn blocking_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    tasks
        .filter(|task| std::fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.trim() == RUNTIME))
        .count()
}

#[test]
fn grants_end_as_audit_unavailable_and_cost_one_thread() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_name(RUNTIME)
        .build();
    runtime.unwrap().block_on(grants_on_a_stalled_disk());
}

async fn grants_on_a_stalled_disk() {
    let disk = Arc::<Disk>::default();
    let world = on(&disk).await;
    let _released = Released(Arc::clone(&disk));
    disk.stall(true);
    let before = blocking_threads();
    let pairs = world.teams.iter().flat_map(|team| {
        world.people.iter().map(|user| Pair {
            team: *team,
            user: *user,
        })
    });
    let grants = pairs.take(CALLERS).map(|pair| world.perform(pair, GRANT));
    for refused in futures::future::join_all(grants).await {
        assert_eq!(
            reason(&refused.unwrap_err()),
            (Code::FailedPrecondition, "AUDIT_UNAVAILABLE".to_owned())
        );
    }
    assert_eq!(disk.most_appending(), 1);
    let grown = blocking_threads().saturating_sub(before);
    assert!(grown < CALLERS / 2, "{grown} threads more");
    assert_eq!(world.sandbox.request_log().count(Endpoint::AddTeamMember), 0);
    // Reads go on.
    world.platform.validate().await.unwrap();
    world.platform.resources("team").await.unwrap();

    disk.stall(false);
    until(|| outcomes(&disk.lines()) == CALLERS).await;
    let lines = disk.lines();
    for intent in lines.iter().filter(|line| line["record"] == "intent") {
        let behind = lines.iter().skip_while(|line| *line != intent);
        let mut outcome =
            behind.filter(|line| line["record"] == "outcome" && line["request_id"] == intent["request_id"]);
        assert!(outcome.next().is_some(), "{intent}");
    }
    for outcome in lines.iter().filter(|line| line["record"] == "outcome") {
        assert_eq!(
            (&outcome["outcome"], &outcome["reason"]),
            (&json!("not_carried_out"), &json!("AUDIT_UNAVAILABLE"))
        );
    }
    assert_eq!(world.perform(world.pair(), GRANT).await.unwrap(), Answer::Done);
}

fn outcomes(lines: &[Value]) -> usize {
    lines.iter().filter(|line| line["record"] == "outcome").count()
}

#[tokio::test]
async fn a_change_that_was_made_is_answered_as_made_although_its_outcome_stalls() {
    let disk = Arc::<Disk>::default();
    let world = on(&disk).await;
    let _released = Released(Arc::clone(&disk));
    // The intent is written, and nothing after it.
    let stalling = Arc::clone(&disk);
    let edit = Edit::with(move |_| stalling.stall(true));
    let fault = Fault::new(Endpoint::AddTeamMember, FaultKind::MoveRows(edit)).once();
    world.sandbox.faults().add(fault);
    assert_eq!(world.perform(world.pair(), GRANT).await.unwrap(), Answer::Done);
    assert_eq!(outcomes(&disk.lines()), 0);
    disk.stall(false);
    until(|| outcomes(&disk.lines()) == 1).await;
    assert_eq!(disk.lines().last().unwrap()["outcome"], "granted");
}
