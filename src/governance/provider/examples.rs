//! Providers for tests.

use std::sync::Arc;

use super::{HealthSource, MockHealthSource, MockProvider, ResourceType};

/// The organization `acme` with these resource types. Its health has a notifier and no more.
pub(crate) fn acme(types: Vec<Arc<dyn ResourceType>>) -> MockProvider {
    let mut health = MockHealthSource::new();
    health.expect_notifier().returning(Arc::default);
    let health: Arc<dyn HealthSource> = Arc::new(health);
    let mut provider = MockProvider::new();
    provider.expect_organization().return_const("acme".to_owned());
    provider.expect_resource_types().return_const(types);
    provider.expect_health().return_const(health);
    provider
}
