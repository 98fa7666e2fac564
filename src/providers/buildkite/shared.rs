//! What the connections of a process share.

use super::api::client::SharedTls;
use super::budget::Budgets;
use super::credential::SecretFileThread;
use super::organization::Organizations;

/// What the connections of a process share. Clones share it too.
#[derive(Debug, Clone, Default)]
pub struct Shared {
    /// The TLS configuration of their clients.
    pub tls: SharedTls,
    /// The limits of organizations and users.
    pub budgets: Budgets,
    /// What connections to one organization share beside its limits.
    pub organizations: Organizations,
    /// The thread that reads the files of their secrets.
    pub secret_files: SecretFileThread,
}
