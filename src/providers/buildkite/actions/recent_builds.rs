//! Remembers the builds that this process started or may have started. Buildkite may list a build late, and a build that is not
//! listed yet must not be started a second time.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::governance::actions::ActionResults;
use crate::providers::buildkite::ObjectSlug;

/// What a request for a build asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RequestedBuild {
    pub(super) branch: Option<String>,
    pub(super) commit: String,
}

/// A build that was requested recently.
#[derive(Debug, Clone)]
pub(super) struct RecentBuild {
    pub(super) requested: RequestedBuild,
    /// Its number, and what the action returns of it; `None` if no response showed it.
    pub(super) started: Option<(u64, ActionResults)>,
    until: Instant,
}

/// The pipeline, and the key of the request.
type Key = (ObjectSlug, String);

/// The builds that Buildkite may not list yet.
#[derive(Debug, Default)]
pub(in crate::providers::buildkite) struct RecentBuilds(Mutex<HashMap<Key, RecentBuild>>);

impl RecentBuilds {
    /// Remembers a build that was started or may have been started, for `time`.
    pub(super) fn record(
        &self,
        key: Key,
        requested: RequestedBuild,
        started: Option<(u64, ActionResults)>,
        time: Duration,
    ) {
        let now = Instant::now();
        let mut sent = self.lock();
        sent.retain(|_, build| build.until > now);
        let until = now + time;
        sent.insert(
            key,
            RecentBuild {
                requested,
                started,
                until,
            },
        );
    }

    /// The build that was requested with this key, while it may not be listed.
    pub(super) fn get(&self, key: &Key) -> Option<RecentBuild> {
        let build = self.lock().get(key).cloned();
        build.filter(|build| build.until > Instant::now())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, RecentBuild>> {
        // No code that can panic runs while it is locked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RecentBuild {
    /// How much longer the build may not be listed.
    pub(super) fn hidden_for(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_build_is_remembered_by_pipeline_and_key_for_the_time_it_may_not_be_listed() {
        let builds = RecentBuilds::default();
        let key = |pipeline: &str, key: &str| (ObjectSlug::of(pipeline).unwrap(), key.to_owned());
        let requested = RequestedBuild {
            branch: Some("main".to_owned()),
            commit: "HEAD".to_owned(),
        };
        let ten_seconds = Duration::from_secs(10);
        builds.record(key("deploy", "k"), requested.clone(), None, ten_seconds);
        let found = builds.get(&key("deploy", "k")).unwrap();
        assert_eq!((found.requested, found.started), (requested, None));
        assert!(builds.get(&key("deploy", "other")).is_none() && builds.get(&key("docs", "k")).is_none());
        tokio::time::advance(ten_seconds).await;
        assert!(builds.get(&key("deploy", "k")).is_none());
    }
}
