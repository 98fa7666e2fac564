//! Complete lists of resources, read at once and outside of any sync.

use super::Listings;
use crate::governance::model::{Resource, ResourceTypeInfo};
use crate::governance::provider::{Amount, Batch, EmptyReading, ResourceType};
use crate::governance::sync::ListHistory;
use crate::governance::{CallContext, GovernanceError};

impl Listings {
    /// Reads all resources of a type that the credential is shown.
    ///
    /// # Errors
    /// What keeps the list from being read completely.
    pub(crate) async fn all(
        &self,
        resource_type: &'static ResourceTypeInfo,
        call: &CallContext,
    ) -> Result<Vec<Resource>, GovernanceError> {
        let resources = self.resource_type(resource_type)?;
        let call = self.prefetch.with_list_concurrency(call);
        let rows = complete_list(resources.as_ref(), self.provider.list_history(), &call).await?;
        self.directory.record(&rows);
        Ok(rows)
    }
}

/// Reads all resources of a type. An empty list is checked as in a sync; the concurrency of `call` is the number of windows that are
/// requested at once.
///
/// # Errors
/// What keeps the list from being read completely.
pub async fn complete_list(
    resources: &dyn ResourceType,
    history: &ListHistory,
    call: &CallContext,
) -> Result<Vec<Resource>, GovernanceError> {
    let mut rows = read_to_end(resources, call).await?;
    if rows.is_empty() {
        resources.check_empty(EmptyReading::First, call).await?;
        rows = read_to_end(resources, call).await?;
        if rows.is_empty() {
            resources.check_empty(EmptyReading::Second, call).await?;
        }
    }
    if let Some(row) = rows.first() {
        history.record_listed(row.id);
    }
    Ok(rows)
}

async fn read_to_end(resources: &dyn ResourceType, call: &CallContext) -> Result<Vec<Resource>, GovernanceError> {
    let mut rows = Vec::new();
    let mut cursor = None;
    loop {
        let mut batch: Box<dyn Batch<Resource>> = match resources.list(cursor, Amount::All, call).await {
            Ok(batch) => batch,
            Err(failure) => return Err(resources.explain(failure, None, call).await),
        };
        let page = batch.take_all();
        rows.extend(page.rows);
        cursor = page.next;
        if cursor.is_none() {
            return Ok(rows);
        }
    }
}
