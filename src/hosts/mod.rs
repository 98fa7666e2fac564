//! Ways to run the connector other than as a server with an address: [`service`] polls an access platform for tasks, [`plugin`]
//! is started by a go-plugin host, [`child`] by a Baton runner. All use the same services, governance, budget and audit as the
//! server.

pub mod child;
mod export;
mod local;
pub mod plugin;
pub mod service;
mod sync;

pub use export::ExportRunner;
pub use local::{LocalConnector, LocalService};
pub use sync::{SyncDepth, SyncProgress, SyncRequest, SyncRunner};
