//! A sync runner that lists through the connector's own services, writes the messages to a file, and records its calls.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use buildkite_connector::hosts::{LocalConnector, SyncProgress, SyncRequest, SyncRunner};
use buildkite_connector::proto::c1::connector::v2::grants_service_client::GrantsServiceClient;
use buildkite_connector::proto::c1::connector::v2::resources_service_client::ResourcesServiceClient;
use buildkite_connector::proto::c1::connector::v2::{
    GrantsServiceListGrantsRequest, ResourcesServiceListResourcesRequest,
};
use prost::Message;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{Status, async_trait};

pub struct RecordingRunner {
    connector: LocalConnector,
    /// Syncs that were begun.
    pub begun: AtomicUsize,
    /// Whether a sync does not end after it has read everything.
    pub blocks: AtomicBool,
    /// Syncs that were stopped before their end.
    pub stopped: AtomicUsize,
    pub requests: Mutex<Vec<SyncRequest>>,
    /// Bytes that are added to the file.
    pub padding: AtomicUsize,
    /// The latest file's bytes.
    pub written: Mutex<Vec<u8>>,
}

struct Stopped<'a>(&'a AtomicUsize, bool);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        if self.1 {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl RecordingRunner {
    pub fn of(connector: LocalConnector) -> Self {
        Self {
            connector,
            begun: AtomicUsize::new(0),
            blocks: AtomicBool::new(false),
            stopped: AtomicUsize::new(0),
            requests: Mutex::default(),
            padding: AtomicUsize::new(0),
            written: Mutex::default(),
        }
    }
}

#[async_trait]
impl SyncRunner for RecordingRunner {
    async fn run(
        &self,
        request: SyncRequest,
        path: &Path,
        progress: &watch::Sender<SyncProgress>,
        stop: CancellationToken,
    ) -> Result<(), Status> {
        self.requests.lock().unwrap().push(request);
        self.begun.fetch_add(1, Ordering::SeqCst);
        let mut ended = Stopped(&self.stopped, true);
        let service = self.connector.with_request_id("sync");
        let mut bytes = b"C1ZF\0".to_vec();
        let mut teams = vec![];
        for kind in ["user", "team"] {
            let request = ResourcesServiceListResourcesRequest {
                resource_type_id: kind.to_owned(),
                ..Default::default()
            };
            let rows = ResourcesServiceClient::new(service.clone())
                .list_resources(request)
                .await?;
            for row in rows.into_inner().list {
                bytes.extend(row.encode_length_delimited_to_vec());
                if kind == "team" {
                    teams.push(row);
                }
            }
        }
        for team in teams {
            let request = GrantsServiceListGrantsRequest {
                resource: Some(team),
                ..Default::default()
            };
            let rows = GrantsServiceClient::new(service.clone()).list_grants(request).await?;
            for row in rows.into_inner().list {
                bytes.extend(row.encode_length_delimited_to_vec());
            }
        }
        progress.send_replace(SyncProgress {
            reading: "grants of teams".to_owned(),
            done: 3,
            total: Some(3),
        });
        bytes.extend(std::iter::repeat_n(7, self.padding.load(Ordering::SeqCst)));
        std::fs::write(path, &bytes).unwrap();
        if self.blocks.load(Ordering::SeqCst) {
            stop.cancelled().await;
            return Err(Status::cancelled("stopped"));
        }
        *self.written.lock().unwrap() = bytes;
        ended.1 = false;
        Ok(())
    }
}
