//! Buildkite as governance uses it: the API, what its responses showed, and what they mean.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::Upstream;
use super::empty_lists::ListHistory;
use super::health::recorder::EvidenceRecorder;
use super::visibility::RoleAfterLists;
use crate::governance::PartialVisibility;

/// One organization of Buildkite.
#[derive(Debug)]
pub struct Buildkite {
    /// The API, by way of `recorder`.
    pub(crate) upstream: Arc<dyn Upstream>,
    pub(crate) recorder: Arc<EvidenceRecorder>,
    pub(super) partial_visibility: PartialVisibility,
    /// How many windows of a list may be requested concurrently.
    pub(super) list_concurrency: usize,
    /// Held during a probe run, so that concurrent callers share one.
    pub(super) probe_lock: Mutex<()>,
    pub(super) role_after_lists: RoleAfterLists,
    pub(crate) list_history: ListHistory,
}

impl Buildkite {
    /// The organization that `upstream` reaches.
    #[must_use]
    pub fn new(upstream: Arc<dyn Upstream>, partial_visibility: PartialVisibility, list_concurrency: usize) -> Self {
        let recorder = Arc::new(EvidenceRecorder::new(upstream));
        Self {
            upstream: Arc::clone(&recorder) as Arc<dyn Upstream>,
            recorder,
            partial_visibility,
            list_concurrency,
            probe_lock: Mutex::default(),
            role_after_lists: RoleAfterLists::default(),
            list_history: ListHistory::default(),
        }
    }

    /// The organization's slug.
    #[must_use]
    pub fn organization_slug(&self) -> &str {
        self.upstream.organization_slug()
    }
}
