//! The interface between hosts and syncs: one run writes one file.

use std::path::Path;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{Status, async_trait};

use crate::proto::c1::connector::v2::Resource;

/// How much of each resource a sync reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SyncDepth {
    /// Resources, entitlements and grants.
    #[default]
    Full,
    /// Everything but grants; still a full sync.
    WithoutGrants,
    /// Resources alone.
    ResourcesOnly,
}

/// The content of a sync.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SyncRequest {
    /// The ids of the resource types to read; empty for all. Grants to a principal of another type are left out.
    pub types: Vec<String>,
    /// The resources to read, with their entitlements and grants; empty for all.
    pub targets: Vec<Resource>,
    /// How much of each.
    pub depth: SyncDepth,
}

/// The progress of a sync.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SyncProgress {
    /// What is being read, such as `grants of teams`.
    pub reading: String,
    /// The number of rows or resources that were read.
    pub done: u64,
    /// The total, if it is known.
    pub total: Option<u64>,
}

/// Runs syncs.
#[async_trait]
pub trait SyncRunner: Send + Sync + 'static {
    /// Reads what `request` selects into a new c1z file, version 1, at `path`. The file is complete when this returns without an
    /// error. Dropping the future, or cancelling `stop`, ends the work at once; the caller then removes what is at `path`.
    ///
    /// # Errors
    /// The status that is reported to the platform: code, message and details.
    async fn run(
        &self,
        request: SyncRequest,
        path: &Path,
        progress: &watch::Sender<SyncProgress>,
        stop: CancellationToken,
    ) -> Result<(), Status>;
}
