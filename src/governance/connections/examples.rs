//! Connections for tests.

use std::sync::Arc;

use super::Connections;
use crate::governance::provider::examples;
use crate::governance::sync::ListHistory;
use crate::governance::{Governance, GovernanceSettings};

/// One connection, from which no call reads anything.
pub(crate) fn one() -> Connections {
    let mut provider = examples::acme(Vec::new());
    provider.expect_list_history().return_const(ListHistory::default());
    let governance = Governance::new(Arc::new(provider), GovernanceSettings::default());
    Connections::from(Arc::new(governance))
}
