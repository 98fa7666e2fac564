//! Grants that a provider lists by principal instead of by resource.

use std::fmt::Debug;

use async_trait::async_trait;
use uuid::Uuid;

use super::{Amount, Batch, Cursor, Failure};
use crate::governance::CallContext;
use crate::governance::model::{Level, ResourceTypeInfo};

/// A resource of which a principal holds a level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// The resource.
    pub resource: Uuid,
    /// The level; `None` if the provider named one that is not in the catalog.
    pub level: Option<&'static Level>,
}

/// A resource type whose grants the provider lists by principal: the principals carry them. `governance::sync::carried` reads the
/// lists of all principals, and derives the grants of each resource from them.
#[async_trait]
pub trait CarriedGrants: Debug + Send + Sync {
    /// The type of the principals. No other principal holds a level.
    fn carriers(&self) -> &'static ResourceTypeInfo;

    /// Reads rows of the list of what a principal holds, from `from` on; `None` is the beginning. If a resource is listed twice,
    /// the later row is current.
    ///
    /// # Errors
    /// The failed request; [`super::ResourceType::explain`] of the principals' type finds its cause.
    async fn carried_by(
        &self,
        carrier: Uuid,
        from: Option<Cursor>,
        amount: Amount,
        call: &CallContext,
    ) -> Result<Box<dyn Batch<Carried>>, Failure>;
}
