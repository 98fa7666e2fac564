//! The limit of off-boardings an hour. It counts the removals that were done or may have been done: those of this process, and those
//! of the last hour in the audit file as it is when the process starts, so that a restart does not reset it.

use std::collections::{HashSet, VecDeque};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tokio::time::Instant;

use super::record::OFF_BOARD;
use crate::files;
use crate::governance::GovernanceError;

/// The period that the limit is about.
const PERIOD: Duration = Duration::from_secs(60 * 60);

/// The bytes at the end of the file that are read first; as long as they do not reach back far enough, four times as many are read.
const FIRST_BLOCK: u64 = 64 * 1024;

/// The removals of the last hour.
#[derive(Debug)]
pub(super) struct RemovalLimit {
    limit: u32,
    state: Mutex<State>,
    /// Why the removals before the start are not known.
    unreadable: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    /// When each removal was done, the oldest first.
    done: VecDeque<Instant>,
    /// The removals in progress.
    reserved: usize,
}

/// The permission for one removal. Dropping it gives it back, unless the removal may have been done.
#[derive(Debug)]
pub(super) struct Removal {
    limit: Arc<RemovalLimit>,
    may_be_done: bool,
}

impl RemovalLimit {
    /// Permits `limit` removals an hour. Those of the organization in the audit file count. `removal_call` is the name of the
    /// request that removes a user.
    pub(super) fn new(limit: u32, audit_file: Option<&Path>, organization: &str, removal_call: &str) -> Self {
        let earlier = audit_file.map_or(Ok(Vec::new()), |path| removals_in(path, organization, removal_call));
        let (earlier, unreadable) = match earlier {
            Ok(earlier) => (earlier, None),
            Err(error) => {
                tracing::error!(%error, "the audit file cannot be read, so nobody is removed from the organization");
                (Vec::new(), Some(error.to_string()))
            }
        };
        let (now, wall_clock) = (Instant::now(), Timestamp::now());
        let mut done: Vec<Instant> = earlier
            .into_iter()
            .map(|time| {
                let age = wall_clock.duration_since(time).max(SignedDuration::ZERO);
                now.checked_sub(age.unsigned_abs()).unwrap_or(now)
            })
            .collect();
        done.sort_unstable();
        Self {
            limit,
            state: Mutex::new(State {
                done: done.into(),
                reserved: 0,
            }),
            unreadable,
        }
    }

    /// Permits one more removal.
    ///
    /// # Errors
    /// `LimitReached`, or `AuditUnavailable` if the removals before the start are not known.
    pub(super) fn reserve(self: &Arc<Self>) -> Result<Removal, GovernanceError> {
        if let Some(why) = &self.unreadable {
            return Err(GovernanceError::AuditUnavailable { why: why.clone() });
        }
        let mut state = self.lock();
        while state.done.front().is_some_and(|done| done.elapsed() >= PERIOD) {
            state.done.pop_front();
        }
        if state.done.len() + state.reserved >= self.limit as usize {
            let oldest = state.done.front().map(Instant::elapsed).unwrap_or_default();
            let wait = SignedDuration::try_from(PERIOD.saturating_sub(oldest)).unwrap_or_default();
            return Err(GovernanceError::LimitReached {
                limit: self.limit,
                next: Timestamp::now().saturating_add(wait).unwrap_or(Timestamp::MAX),
            });
        }
        state.reserved += 1;
        Ok(Removal {
            limit: Arc::clone(self),
            may_be_done: false,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Removal {
    /// Whether the removal counts: the request for it was accepted or may have been applied.
    pub(super) fn may_be_done(&mut self) -> &mut bool {
        &mut self.may_be_done
    }
}

impl Drop for Removal {
    fn drop(&mut self) {
        let mut state = self.limit.lock();
        state.reserved -= 1;
        if self.may_be_done {
            state.done.push_back(Instant::now());
        }
    }
}

/// The fields of a line that say whether it is about a removal.
#[derive(Deserialize)]
struct Line {
    record: String,
    time: Timestamp,
    operation: String,
    request_id: String,
    #[serde(default)]
    resource_id: Option<String>,
    #[serde(default)]
    organization: Option<String>,
    #[serde(default)]
    outcome: Option<String>,
    #[serde(default)]
    calls: Vec<Call>,
}

#[derive(Deserialize)]
struct Call {
    call: String,
    #[serde(default)]
    status: Option<u16>,
}

impl Call {
    /// Whether the request was accepted or may have been applied: without a usable response nobody knows.
    fn may_have_applied(&self) -> bool {
        self.status.is_none_or(|status| matches!(status, 200..300 | 500..))
    }
}

/// The times of the removals of the last hour. An intent without an outcome counts, because the process may have ended after the
/// removal, and so does a failure after a removal that may have been applied.
fn removals_in(path: &Path, organization: &str, removal_call: &str) -> io::Result<Vec<Timestamp>> {
    let since = Timestamp::now() - SignedDuration::from_secs(60 * 60);
    let text = match tail(path, since) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let of_removals = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
    let of_removals = of_removals.filter(|line| {
        line.operation == OFF_BOARD && line.time >= since && line.organization.as_deref() == Some(organization)
    });
    let (mut times, mut begun, mut ended) = (Vec::new(), Vec::new(), HashSet::new());
    for line in of_removals {
        let key = (line.request_id, line.resource_id);
        match (line.record.as_str(), line.outcome.as_deref()) {
            ("intent", _) => begun.push((key, line.time)),
            ("outcome", outcome) => {
                let mut removals = line.calls.iter().filter(|call| call.call == removal_call);
                let may_be_done = outcome == Some("failed") && removals.any(Call::may_have_applied);
                if may_be_done || outcome == Some("deleted") {
                    times.push(line.time);
                }
                ended.insert(key);
            }
            _ => {}
        }
    }
    times.extend(
        begun
            .into_iter()
            .filter(|(key, _)| !ended.contains(key))
            .map(|(_, time)| time),
    );
    Ok(times)
}

/// The end of the file, from an intent before `since` on, or all of it. Intents are in the order of their times.
fn tail(path: &Path, since: Timestamp) -> io::Result<String> {
    let mut file = files::open(path)?;
    let length = file.metadata()?.len();
    let mut block = FIRST_BLOCK;
    loop {
        let start = length.saturating_sub(block);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.by_ref().take(length - start).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
        let first_intent = lines.into_iter().find(|line| line.record == "intent");
        if start == 0 || first_intent.is_some_and(|line| line.time < since) {
            return Ok(text);
        }
        block = block.saturating_mul(4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REMOVAL: &str = "remove member";

    fn line(record: &str, minutes_ago: i64, request: &str, organization: &str, outcome: Option<&str>) -> String {
        let time = Timestamp::now() - SignedDuration::from_mins(minutes_ago);
        serde_json::json!({
            "record": record, "time": time.to_string(), "operation": OFF_BOARD, "request_id": request,
            "resource_id": "u", "organization": organization, "outcome": outcome, "calls": [],
        })
        .to_string()
    }

    /// The outcome of an attempt that failed after this response to its removal.
    fn failed_after(request: &str, call: &str, status: Option<u16>) -> String {
        let mut line: serde_json::Value =
            serde_json::from_str(&line("outcome", 5, request, "acme", Some("failed"))).unwrap();
        line["calls"] = serde_json::json!([{ "call": "read", "status": 502 }, { "call": call, "status": status }]);
        line.to_string()
    }

    fn done(limit: &Arc<RemovalLimit>) {
        *limit.reserve().unwrap().may_be_done() = true;
    }

    fn limit_of(limit: u32, lines: &[String]) -> Arc<RemovalLimit> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        std::fs::write(&path, lines.join("\n")).unwrap();
        Arc::new(RemovalLimit::new(limit, Some(&path), "acme", REMOVAL))
    }

    #[tokio::test(start_paused = true)]
    async fn removals_count_for_an_hour_and_a_permission_that_is_not_used_is_given_back() {
        let limit = Arc::new(RemovalLimit::new(2, None, "acme", REMOVAL));
        drop(limit.reserve().unwrap());
        done(&limit);
        let mut second = limit.reserve().unwrap();
        assert_eq!(limit.reserve().unwrap_err().reason(), "LIMIT_REACHED");
        *second.may_be_done() = true;
        drop(second);
        assert_eq!(limit.reserve().unwrap_err().reason(), "LIMIT_REACHED");
        tokio::time::advance(PERIOD).await;
        let both = (limit.reserve(), limit.reserve());
        assert!(both.0.is_ok() && both.1.is_ok());
    }

    #[tokio::test]
    async fn the_removals_of_the_last_hour_in_the_file_count() {
        let lines = [
            line("outcome", 70, "old", "acme", Some("deleted")),
            line("intent", 50, "done", "acme", None),
            line("outcome", 50, "done", "acme", Some("deleted")),
            line("intent", 40, "cut short", "acme", None),
            line("intent", 30, "failed", "acme", None),
            line("outcome", 30, "failed", "acme", Some("failed")),
            line("outcome", 20, "absent", "acme", Some("already_absent")),
            line("outcome", 10, "elsewhere", "other", Some("deleted")),
            "{\"torn\":".to_owned(),
        ];
        let limit = limit_of(3, &lines);
        let _third = limit.reserve().unwrap();
        assert_eq!(limit.reserve().unwrap_err().reason(), "LIMIT_REACHED");
    }

    #[tokio::test]
    async fn a_failure_counts_if_the_removal_may_have_been_applied() {
        let lines = [
            failed_after("accepted", REMOVAL, Some(204)),
            failed_after("lost", REMOVAL, None),
            failed_after("answered by a gateway", REMOVAL, Some(502)),
            failed_after("rejected", REMOVAL, Some(422)),
            failed_after("before", "another", Some(204)),
        ];
        let limit = limit_of(4, &lines);
        let _fourth = limit.reserve().unwrap();
        assert_eq!(limit.reserve().unwrap_err().reason(), "LIMIT_REACHED");
    }

    #[tokio::test]
    async fn a_long_file_is_read_as_far_back_as_an_hour() {
        let filler = |minutes| line("intent", minutes, "x", "other", None);
        let mut lines = vec![line("outcome", 55, "first", "acme", Some("deleted"))];
        lines.extend((0..2_000).map(|_| filler(10)));
        let limit = limit_of(1, &lines);
        assert_eq!(limit.reserve().unwrap_err().reason(), "LIMIT_REACHED");
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_permits_nothing_and_a_missing_one_everything() {
        let directory = tempfile::tempdir().unwrap();
        let unreadable = Arc::new(RemovalLimit::new(1, Some(directory.path()), "acme", REMOVAL));
        assert_eq!(unreadable.reserve().unwrap_err().reason(), "AUDIT_UNAVAILABLE");
        let missing = RemovalLimit::new(1, Some(&directory.path().join("none")), "acme", REMOVAL);
        assert!(Arc::new(missing).reserve().is_ok());
    }
}
