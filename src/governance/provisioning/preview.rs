//! Previews: the outcome that a request would have, without a write; and the lookup of a resource by its handle.

use super::plan::{Plan, Request, Write, plan};
use super::read_back::read_level;
use super::rejected_write::absent_principal;
use super::{GuardLock, Outcome, Provisioning};
use crate::governance::model::{EntitlementId, Level, Membership, Principal, Resource, ResourceId, ResourceTypeInfo};
use crate::governance::{CallContext, GovernanceError, Lane};

/// The outcome of a request if nothing changes before it is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preview {
    /// The resource that the principal was resolved to.
    pub principal: ResourceId,
    /// The level that the principal holds now.
    pub held: Option<&'static Level>,
    /// The outcome of the request.
    pub outcome: Outcome,
}

impl Provisioning {
    /// The resource with this handle (a team's slug) or this id, in a list that is read now. A resource without a handle is found by
    /// its display name.
    ///
    /// # Errors
    /// `Invalid` if no listed resource has the name or several have it, or the failure to read the complete list.
    pub async fn find_resource(
        &self,
        resource_type: &'static ResourceTypeInfo,
        name: &str,
    ) -> Result<Resource, GovernanceError> {
        let call = self.new_call();
        let find = async {
            let listed = self.listings.all(resource_type, &call).await?;
            let has_name = |resource: &&Resource| {
                let known = resource.handle.as_deref().or(resource.name.as_deref());
                known == Some(name) || resource.id.id.to_string() == name
            };
            let mut found = listed.iter().filter(has_name);
            match (found.next(), found.next()) {
                (Some(resource), None) => Ok(resource.clone()),
                (Some(_), Some(_)) => Err(GovernanceError::Invalid {
                    field: "resource",
                    problem: format!(
                        "several resources of the type `{resource_type}` are named `{name}`: give the id instead"
                    ),
                }),
                (None, _) => Err(self
                    .listings
                    .resource_type(resource_type)?
                    .explain_unlisted(name, &call)
                    .await),
            }
        };
        find.await.map_err(|error| self.or_shutting_down(error))
    }

    /// The outcome that `request` would have, by the same reads, plan and protections as a request that is carried out. Nothing is
    /// written, and nothing is recorded.
    ///
    /// # Errors
    /// The errors of the request itself, except `ProvisioningDisabled` and `AuditUnavailable`.
    pub async fn preview(
        &self,
        request: Request,
        entitlement: EntitlementId,
        principal: &Principal,
    ) -> Result<Preview, GovernanceError> {
        let call = self.new_call();
        self.predict(request, entitlement, principal, &call)
            .await
            .map_err(|error| self.or_shutting_down(error))
    }

    async fn predict(
        &self,
        request: Request,
        entitlement: EntitlementId,
        principal: &Principal,
        call: &CallContext,
    ) -> Result<Preview, GovernanceError> {
        let resource = entitlement.resource;
        let membership = Membership {
            resource,
            principal: self.resolve_principal(principal, call).await?,
        };
        let (resources, levels) = self.assignable(resource)?;
        let held = read_level(resources, levels, membership, call).await?;
        let outcome = match plan(request, held, self.replacement_level(levels, request)) {
            Plan::NoChange => Outcome::unchanged(request),
            Plan::Apply(write) => {
                let labels = self.labels(membership, principal);
                let lock = &mut GuardLock::default();
                self.guard(levels, membership, write, &labels, lock, call).await?;
                if matches!(write, Write::Add(_)) && self.listings.is_absent(membership.principal, call).await? {
                    return Err(absent_principal(membership.principal, labels.principal));
                }
                Outcome::of(request, write)
            }
        };
        Ok(Preview {
            principal: membership.principal,
            held,
            outcome,
        })
    }

    /// A call on the provisioning lane; it is cancelled at shutdown.
    pub(super) fn new_call(&self) -> CallContext {
        CallContext::new(Lane::Provisioning).with_cancellation(&self.shutdown)
    }

    /// Replaces `Abandoned` by `ShuttingDown`: a call without a caller is cancelled only at shutdown.
    pub(super) fn or_shutting_down(&self, error: GovernanceError) -> GovernanceError {
        match error {
            GovernanceError::Abandoned if self.shutdown.is_cancelled() => GovernanceError::ShuttingDown,
            other => other,
        }
    }
}
