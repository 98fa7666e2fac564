//! The limit of off-boardings an hour. It counts the removals that were done or may have been done through any connection to the
//! organization: those of this process, and those of the last hour in the audit files as they are when they are first used, so that
//! a restart does not reset it. Each connection has a limit of its own for what all have done.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::recorded_removals::removals_in;
use crate::governance::GovernanceError;

/// The period that the limit is about.
const PERIOD: Duration = Duration::from_secs(60 * 60);

/// The limit of one connection.
#[derive(Debug)]
pub(super) struct RemovalLimit {
    limit: u32,
    removals: Arc<Removals>,
    /// Why the removals before the start are not known.
    unreadable: Option<String>,
}

/// The removals of the last hour from one organization.
#[derive(Debug, Default)]
pub(super) struct Removals {
    counts: Mutex<Counts>,
    /// The audit files whose removals are counted. What is recorded later is counted when it is done.
    files: Mutex<HashSet<PathBuf>>,
}

#[derive(Debug, Default)]
struct Counts {
    /// When each removal was done, the oldest first.
    done: VecDeque<Instant>,
    /// The removals in progress.
    reserved: usize,
}

/// The permission for one removal. Dropping it gives it back, unless the removal may have been done.
#[derive(Debug)]
pub(super) struct Removal {
    removals: Arc<Removals>,
    may_be_done: bool,
}

impl RemovalLimit {
    /// Permits `limit` removals an hour, with those of `removals`. Those of the organization in the audit file count. `removal_call`
    /// is the name of the request that removes a user.
    pub(super) fn new(
        limit: u32,
        removals: Arc<Removals>,
        audit_file: Option<&Path>,
        organization: &str,
        removal_call: &str,
    ) -> Self {
        let counted = audit_file.map_or(Ok(()), |path| removals.count_file(path, organization, removal_call));
        let unreadable = counted.err().map(|error| {
            tracing::error!(%error, "the audit file cannot be read, so nobody is removed from the organization");
            error.to_string()
        });
        Self {
            limit,
            removals,
            unreadable,
        }
    }

    /// Permits one more removal.
    ///
    /// # Errors
    /// `LimitReached`, or `AuditUnavailable` if the removals before the start are not known.
    pub(super) fn reserve(&self) -> Result<Removal, GovernanceError> {
        if let Some(why) = &self.unreadable {
            return Err(GovernanceError::AuditUnavailable { why: why.clone() });
        }
        let mut counts = self.removals.lock();
        while counts.done.front().is_some_and(|done| done.elapsed() >= PERIOD) {
            counts.done.pop_front();
        }
        if let Some(excess) = (counts.done.len() + counts.reserved).checked_sub(self.limit as usize) {
            // The next is permitted once as many have passed as exceed the limit, and one more.
            let last_to_pass = counts.done.get(excess).or(counts.done.back());
            let age = last_to_pass.map(Instant::elapsed).unwrap_or_default();
            let wait = SignedDuration::try_from(PERIOD.saturating_sub(age)).unwrap_or_default();
            return Err(GovernanceError::LimitReached {
                limit: self.limit,
                next: Timestamp::now().saturating_add(wait).unwrap_or(Timestamp::MAX),
            });
        }
        counts.reserved += 1;
        Ok(Removal {
            removals: Arc::clone(&self.removals),
            may_be_done: false,
        })
    }
}

impl Removals {
    /// Counts the removals of the last hour in the audit file, unless they are counted already.
    fn count_file(&self, path: &Path, organization: &str, removal_call: &str) -> io::Result<()> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if files.contains(path) {
            return Ok(());
        }
        let recorded = removals_in(path, organization, removal_call)?;
        files.insert(path.to_owned());
        let (now, wall_clock) = (Instant::now(), Timestamp::now());
        let recorded = recorded.into_iter().map(|time| {
            let age = wall_clock.duration_since(time).max(SignedDuration::ZERO);
            now.checked_sub(age.unsigned_abs()).unwrap_or(now)
        });
        let done = &mut self.lock().done;
        done.extend(recorded);
        done.make_contiguous().sort_unstable();
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut counts = self.removals.lock();
        counts.reserved -= 1;
        if self.may_be_done {
            counts.done.push_back(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::governance::lifecycle::record::OFF_BOARD;

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

    fn done(limit: &RemovalLimit) {
        *limit.reserve().unwrap().may_be_done() = true;
    }

    fn limit_of(limit: u32, lines: &[String]) -> RemovalLimit {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        std::fs::write(&path, lines.join("\n")).unwrap();
        RemovalLimit::new(limit, Arc::default(), Some(&path), "acme", REMOVAL)
    }

    #[tokio::test(start_paused = true)]
    async fn removals_count_for_an_hour_and_a_permission_that_is_not_used_is_given_back() {
        let limit = RemovalLimit::new(2, Arc::default(), None, "acme", REMOVAL);
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
        let unreadable = RemovalLimit::new(1, Arc::default(), Some(directory.path()), "acme", REMOVAL);
        assert_eq!(unreadable.reserve().unwrap_err().reason(), "AUDIT_UNAVAILABLE");
        let missing = directory.path().join("none");
        let missing = RemovalLimit::new(1, Arc::default(), Some(&missing), "acme", REMOVAL);
        assert!(missing.reserve().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn connections_count_together_and_each_has_its_own_limit() {
        let removals = Arc::default();
        let of = |limit| RemovalLimit::new(limit, Arc::clone(&removals), None, "acme", REMOVAL);
        let (strict, generous) = (of(1), of(3));
        done(&generous);
        tokio::time::advance(PERIOD / 4).await;
        done(&generous);
        let refused = strict.reserve().unwrap_err();
        let GovernanceError::LimitReached { limit: 1, next } = refused else {
            panic!("{refused}")
        };
        // Both have to pass, and the second passes last.
        let wait = next.duration_since(Timestamp::now());
        assert!(wait > SignedDuration::from_mins(59), "{wait}");
        let _third = generous.reserve().unwrap();
        assert_eq!(generous.reserve().unwrap_err().reason(), "LIMIT_REACHED");
    }

    #[tokio::test]
    async fn a_file_is_counted_once_for_all_connections_that_record_in_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, request: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, line("outcome", 5, request, "acme", Some("deleted"))).unwrap();
            path
        };
        let (shared, other) = (file("shared", "a"), file("other", "b"));
        let removals = Arc::default();
        let of = |path| RemovalLimit::new(2, Arc::clone(&removals), Some(path), "acme", REMOVAL);
        let limits = [of(&*shared), of(&*shared)];
        drop(limits[1].reserve().unwrap());
        let third = of(&*other);
        for limit in limits.iter().chain([&third]) {
            assert_eq!(limit.reserve().unwrap_err().reason(), "LIMIT_REACHED");
        }
    }
}
