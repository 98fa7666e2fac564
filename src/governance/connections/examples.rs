//! Connections for tests.

use std::sync::Arc;

use super::Connections;
use crate::governance::provider::{HealthSource, MockHealthSource, MockProvider};
use crate::governance::sync::ListHistory;
use crate::governance::{Governance, GovernanceSettings};

/// One connection, of which nothing is asked.
pub(crate) fn one() -> Connections {
    let mut health = MockHealthSource::new();
    health.expect_notifier().returning(Arc::default);
    let health: Arc<dyn HealthSource> = Arc::new(health);
    let mut provider = MockProvider::new();
    provider.expect_organization().return_const("acme".to_owned());
    provider.expect_health().return_const(health);
    provider.expect_resource_types().return_const(Vec::new());
    provider.expect_list_history().return_const(ListHistory::default());
    let governance = Governance::new(Arc::new(provider), GovernanceSettings::default());
    Connections::from(Arc::new(governance))
}
