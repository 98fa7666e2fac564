//! A stand-in for the access platform's side of service mode: a token endpoint and `BatonService` over TLS, on this machine.
//!
//! It hands out the tasks that it was given, checks what a connector sends as the protocol demands, and keeps what it received.
//! A [`Fault`] makes it refuse, hang, close connections, cancel, hand a task out twice, or forget its tokens.
//!
//! Its certificate authority is made at each start and trusted by no other process: [`Platform::ca_file`] is what a connector has to trust.

mod connection;
mod credentials;
mod faults;
mod ledger;
mod service;
mod tls;
mod token;

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::proto::c1::connectorapi::baton::v1::Task;
use crate::proto::c1::connectorapi::baton::v1::task::TaskType;

pub use faults::{Fault, FaultKind, FaultSpecError, Method};
pub use ledger::{Finished, Ledger, Upload};

use service::Service;

/// How to start a platform.
#[derive(Clone, Debug)]
pub struct PlatformOptions {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How long an access token is good for.
    pub token_life: Duration,
    /// When a connector without a task is to ask again.
    pub next_poll: Duration,
    /// How often a connector is to send heartbeats.
    pub next_heartbeat: Duration,
    /// Faults armed from the start.
    pub faults: Vec<Fault>,
}

impl Default for PlatformOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            token_life: Duration::from_secs(3600),
            next_poll: Duration::from_secs(1),
            next_heartbeat: Duration::from_secs(30),
            faults: Vec::new(),
        }
    }
}

/// A running platform. It ends when it is stopped or dropped, and its files with it.
#[derive(Debug)]
pub struct Platform {
    service: Arc<Service>,
    address: SocketAddr,
    directory: PathBuf,
    client_id: String,
    client_secret: SecretString,
    stopped: CancellationToken,
    accepting: Option<JoinHandle<()>>,
}

impl Platform {
    /// Starts one. Its files are in a directory of their own below `within`, open to this user alone.
    ///
    /// # Errors
    /// When the address cannot be listened on, or the files cannot be written.
    pub async fn start(options: PlatformOptions, within: &Path) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let (tls, ca) = tls::make().map_err(io::Error::other)?;
        let made = credentials::make(address.port()).map_err(io::Error::other)?;
        let directory = within.join(format!("platform-{}", Uuid::new_v4()));
        DirBuilder::new().mode(0o700).create(&directory)?;
        let service = Arc::new(Service::new(made.client, &options));
        let stopped = CancellationToken::new();
        let accepting = connection::accept(listener, tls, Arc::clone(&service), stopped.clone());
        // Made before the files are written, so that they go where one of them cannot be.
        let platform = Self {
            service,
            address,
            directory,
            client_id: made.id,
            client_secret: made.secret,
            stopped,
            accepting: Some(tokio::spawn(accepting)),
        };
        write(&platform.ca_file(), &ca)?;
        write(&platform.client_secret_file(), platform.client_secret.expose_secret())?;
        Ok(platform)
    }

    /// Its host and port, as `BATON_C1_API_HOST` has it.
    #[must_use]
    pub fn host(&self) -> String {
        format!("localhost:{}", self.address.port())
    }

    /// The certificate of its authority, PEM.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// By what its one client is known.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The client's secret.
    #[must_use]
    pub fn client_secret(&self) -> &SecretString {
        &self.client_secret
    }

    /// A file that holds the secret.
    #[must_use]
    pub fn client_secret_file(&self) -> PathBuf {
        self.directory.join("client-secret")
    }

    /// Adds a task; its id.
    #[must_use]
    pub fn add(&self, kind: TaskType) -> String {
        self.service.ledger.add(kind)
    }

    /// Hands a task out once more, as after a connector that was not heard of again.
    pub fn hand_out_again(&self, task_id: &str) {
        self.service.ledger.hand_out_again(task_id);
    }

    /// Tells the connector at its next heartbeat to give a task up.
    pub fn cancel(&self, task_id: &str) {
        self.service.ledger.cancel(task_id);
    }

    /// Arms a fault.
    pub fn fail(&self, fault: Fault) {
        self.service.faults.add(fault);
    }

    /// The access tokens that were given out and are good.
    #[must_use]
    pub fn tokens(&self) -> Vec<SecretString> {
        self.service.tokens.all().into_iter().map(SecretString::from).collect()
    }

    /// Makes every token that was given out worthless.
    pub fn expire_tokens(&self) {
        self.service.tokens.expire();
    }

    /// Looks at what was received so far.
    pub fn look<T>(&self, at: impl FnOnce(&Ledger) -> T) -> T {
        self.service.ledger.look(at)
    }

    /// Resolves once `condition` holds of what was received.
    pub async fn until(&self, condition: impl Fn(&Ledger) -> bool) {
        self.service.ledger.until(condition).await;
    }

    /// The end of a task, once it has come.
    pub async fn finished(&self, task_id: &str) -> Finished {
        loop {
            self.until(|ledger| ledger.finished_task(task_id).is_some()).await;
            if let Some(finished) = self.look(|ledger| ledger.finished_task(task_id).cloned()) {
                return finished;
            }
        }
    }

    /// Ends it and closes open connections, even in the middle of a call.
    pub async fn stop(mut self) {
        self.stopped.cancel();
        if let Some(accepting) = self.accepting.take() {
            // It only fails by a panic, which has been reported already.
            let _ = accepting.await;
        }
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.stopped.cancel();
        // Files that stay are of no use: the authority in them is gone.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

/// The kind of a task, as the protocol names it.
#[must_use]
pub fn kind_name(task: &Task) -> &'static str {
    match &task.task_type {
        None => "unknown",
        Some(TaskType::None(_)) => "none",
        Some(TaskType::Hello(_)) => "hello",
        Some(TaskType::SyncFull(_)) => "sync_full",
        Some(TaskType::Grant(_)) => "grant",
        Some(TaskType::Revoke(_)) => "revoke",
        Some(_) => "other",
    }
}
