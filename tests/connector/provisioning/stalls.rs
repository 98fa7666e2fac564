//! A disk that stalls under the audit record: it costs one thread, and keeps nothing waiting.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use buildkite_connector::governance::Governance;
use buildkite_connector::governance::provisioning::AuditSink;
use buildkite_connector::providers::buildkite::Client;
use buildkite_connector::sandbox::{Edit, Endpoint, Fault, FaultKind};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tonic::Code;

use super::model::{Answer, Asked, Pair, Role};
use super::{World, reason, setup};
use crate::support::{Connector, sandbox, sized, until};

const GRANT: Asked = Asked::Grant(Role::Member);

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
    lines: Vec<Value>,
}

impl Disk {
    fn stall(&self, is_stalled: bool) {
        let state = self.state.lock();
        state.unwrap_or_else(PoisonError::into_inner).is_stalled = is_stalled;
        self.released.notify_all();
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
        let state = self.state.lock().unwrap();
        let mut state = self.released.wait_while(state, |state| state.is_stalled).unwrap();
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
        setup.client,
    );
    let sink = Arc::clone(disk) as Arc<dyn AuditSink>;
    let access = Governance::with_sink(Arc::new(client.unwrap()), setup.access, sink);
    World::of(sandbox, Connector::serving(access).await).await
}

/// The threads of this process, those of other tests among them.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

#[tokio::test]
async fn grants_end_as_audit_unavailable_and_cost_one_thread() {
    let disk = Arc::<Disk>::default();
    let world = on(&disk).await;
    let _released = Released(Arc::clone(&disk));
    disk.stall(true);
    let before = threads();
    let pairs = world.teams.iter().flat_map(|team| {
        world.people.iter().map(|user| Pair {
            team: *team,
            user: *user,
        })
    });
    let grants = pairs.take(CALLERS).map(|pair| world.ask(pair, GRANT));
    for refused in futures::future::join_all(grants).await {
        assert_eq!(
            reason(&refused.unwrap_err()),
            (Code::FailedPrecondition, "AUDIT_UNAVAILABLE".to_owned())
        );
    }
    let grown = threads().saturating_sub(before);
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
    assert_eq!(world.ask(world.pair(), GRANT).await.unwrap(), Answer::Done);
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
    assert_eq!(world.ask(world.pair(), GRANT).await.unwrap(), Answer::Done);
    assert_eq!(outcomes(&disk.lines()), 0);
    disk.stall(false);
    until(|| outcomes(&disk.lines()) == 1).await;
    assert_eq!(disk.lines().last().unwrap()["outcome"], "granted");
}
