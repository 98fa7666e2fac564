//! Syncs with the export driver: the same reading and the same file as the command `sync`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;
use tonic::{Status, async_trait};

use super::sync::{SyncDepth, SyncProgress, SyncRequest, SyncRunner};
use crate::export::{self, ExportError, Format, Output, Progress, Stage, SyncOptions};
use crate::governance::Governance;
use crate::governance::model::{Catalog, ResourceId, ResourceTypeInfo};
use crate::proto::c1::connector::v2::Resource;

/// Between two updates of the progress of a sync.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Runs syncs of one organization.
#[derive(Debug, Clone)]
pub struct ExportRunner {
    access: Arc<Governance>,
}

impl ExportRunner {
    /// Reads through `access`.
    #[must_use]
    pub fn new(access: Arc<Governance>) -> Self {
        Self { access }
    }

    async fn export(&self, options: &SyncOptions, path: &Path, progress: &Progress) -> Result<(), ExportError> {
        let mut output = Output::open(path, Format::C1z, options.run_type())?;
        export::sync(&self.access, options, &mut output, progress).await?;
        progress.begin(Stage::Writing);
        output.finish().await
    }

    /// Publishes the progress of a sync for as long as it is polled.
    async fn publish(&self, progress: &Progress, to: &watch::Sender<SyncProgress>) -> std::convert::Infallible {
        let mut ticks = interval(PROGRESS_INTERVAL);
        loop {
            ticks.tick().await;
            let status = progress.status(&self.access);
            let (done, total) = match status.stage {
                Stage::Grants(_) => (status.resources_read.into(), status.resources.map(u64::from)),
                _ => (status.rows, None),
            };
            to.send_replace(SyncProgress {
                reading: status.stage.to_string(),
                done,
                total,
            });
        }
    }
}

#[async_trait]
impl SyncRunner for ExportRunner {
    async fn run(
        &self,
        request: SyncRequest,
        path: &Path,
        progress: &watch::Sender<SyncProgress>,
        stop: CancellationToken,
    ) -> Result<(), Status> {
        let options = options(self.access.listings().catalog(), &request)?;
        let counted = Progress::default();
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(Status::cancelled("the sync was stopped")),
            done = self.export(&options, path, &counted) => done.map_err(status),
            never = self.publish(&counted, progress) => match never {},
        }
    }
}

/// The options of the export driver for a request.
fn options(catalog: &Catalog, request: &SyncRequest) -> Result<SyncOptions, Status> {
    let types: Result<Vec<_>, Status> = request.types.iter().map(|id| resource_type(catalog, id)).collect();
    let types = types?;
    let targets: Result<Vec<_>, Status> = request.targets.iter().map(|row| target(catalog, row)).collect();
    Ok(SyncOptions {
        types: (!types.is_empty()).then_some(types),
        targets: targets?,
        skip_grants: request.depth == SyncDepth::WithoutGrants,
        skip_entitlements_and_grants: request.depth == SyncDepth::ResourcesOnly,
    })
}

fn resource_type(catalog: &Catalog, id: &str) -> Result<&'static ResourceTypeInfo, Status> {
    catalog.resource_type(id).map_err(|_| {
        let id = crate::telemetry::redact::redact(id);
        Status::invalid_argument(format!(
            "the sync names a resource type `{id}` that this connector does not have"
        ))
    })
}

fn target(catalog: &Catalog, resource: &Resource) -> Result<ResourceId, Status> {
    let id = resource.id.clone().unwrap_or_default();
    catalog
        .resource(&id.resource_type, &id.resource)
        .map_err(|problem| Status::invalid_argument(format!("the sync names a resource that is not valid: {problem}")))
}

/// The status that is reported to the platform for a sync that failed.
fn status(error: ExportError) -> Status {
    match error {
        ExportError::Read(error) => Status::from(error),
        // The disk is full or the directory was removed: a retry may succeed, on this host or another.
        ExportError::Write { source, .. } => Status::unavailable(format!(
            "the sync's file cannot be written ({source}): check the temporary directory"
        )),
        ExportError::NoSuchType(_) | ExportError::NoSuchTeam(_) | ExportError::Refused { .. } => {
            Status::internal("the sync's file cannot be created: see the connector's log")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use tonic::Code;

    use super::*;
    use crate::governance::model::examples::{GROUP, USER};
    use crate::proto::c1::connector::v2;

    fn options(request: &SyncRequest) -> Result<SyncOptions, Status> {
        super::options(&Catalog::new(vec![&USER, &GROUP]), request)
    }

    fn resource(kind: &str, id: &str) -> Resource {
        Resource {
            id: Some(v2::ResourceId {
                resource_type: kind.to_owned(),
                resource: id.to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn a_request_becomes_the_options_of_the_driver() {
        let team = "0190a6b4-0000-7000-8000-000000000001";
        let request = SyncRequest {
            types: vec!["team".to_owned()],
            targets: vec![resource("team", team)],
            depth: SyncDepth::WithoutGrants,
        };
        let options = options(&request).unwrap();
        assert_eq!(options.types, Some(vec![&GROUP]));
        assert_eq!(options.targets.len(), 1);
        assert_eq!(options.targets[0].to_string(), format!("team:{team}"));
        assert!(options.skip_grants && !options.skip_entitlements_and_grants);
        assert_eq!(self::options(&SyncRequest::default()).unwrap(), SyncOptions::default());
    }

    #[test]
    fn an_unknown_type_and_an_invalid_target_are_rejected() {
        let refused = |types: &[&str], targets| {
            let types = types.iter().map(ToString::to_string).collect();
            let depth = SyncDepth::Full;
            options(&SyncRequest { types, targets, depth }).unwrap_err()
        };
        let unknown = refused(&["team", "printer"], vec![]);
        assert_eq!(unknown.code(), Code::InvalidArgument);
        assert!(unknown.message().contains("`printer`"), "{unknown}");
        for target in [resource("team", "x"), resource("printer", "x"), Resource::default()] {
            assert_eq!(refused(&[], vec![target]).code(), Code::InvalidArgument);
        }
    }

    #[test]
    fn a_full_disk_may_be_retried_and_no_path_leaves_the_machine() {
        let source = io::Error::from(io::ErrorKind::StorageFull);
        let path = "/somewhere/sync.c1z".into();
        let status = status(ExportError::Write { path, source });
        assert_eq!(status.code(), Code::Unavailable);
        assert!(!status.message().contains("somewhere"), "{status}");
    }
}
