//! Pending invitations to the organization: people who are not users yet.

use std::collections::HashSet;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::rows::{min_rows, texts};
use crate::governance::model::{
    Holding, LifecycleOffer, LifecycleOperation, Resource, ResourceId, ResourceKind, ResourceTypeInfo,
};
use crate::governance::provider::{
    Amount, Assignable, Batch, Cursor, Deletable, EmptyReading, Failure, ListStage, ResourceType, Rows,
};
use crate::governance::{CallContext, Change, GovernanceError, PageTokenError};
use crate::providers::buildkite::api::server_cursor::ServerCursor;
use crate::providers::buildkite::pagination::{DEFAULT_BATCH_ROWS, Window};
use crate::providers::buildkite::{ApiErrorKind, Buildkite, Endpoint, Invitation, timestamp};

/// Pending invitations: they hold and offer nothing.
pub static INVITATION: ResourceTypeInfo = ResourceTypeInfo {
    id: "invitation",
    display_name: "Invitation",
    description: "A person who was invited to the Buildkite organization and has not accepted yet",
    kind: ResourceKind::PendingUser,
    levels: &[],
    change: None,
    lifecycle: &[LifecycleOffer {
        operation: LifecycleOperation::Delete,
        change: Change::Invitations,
        scopes: &["read_organization_invitations", "write_organization_invitations"],
    }],
    principal_kinds: &[],
    principal_rule: "an invitation offers nothing that can be held",
    list_name: "invitations",
    grants_endpoint: "",
    read_scopes: &["read_organization_invitations"],
    write_scopes: &["write_organization_invitations"],
    absence: "is not pending",
    not_found_reason: "RESOURCE_NOT_FOUND",
    unreachable_reason: "RESOURCE_UNREACHABLE",
    unavailable_reason: "RESOURCES_UNAVAILABLE",
    unavailable_remedy: "check that the token's owner may invite people, or leave invitation out of --include",
};

/// The pending invitations of one organization.
#[derive(Debug)]
pub(in crate::providers::buildkite) struct Invitations {
    buildkite: Arc<Buildkite>,
}

/// Where the list continues. The names are part of the page tokens and must not change.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Position {
    /// The server's cursor of the page; absent for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<ServerCursor>,
    /// The invitation of that page behind which the list continues; absent for the beginning of the page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    behind: Option<Uuid>,
    /// The number of rows of the server's pages; absent for the largest number that can be requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    per_page: Option<NonZeroU32>,
}

impl Invitations {
    pub(super) fn new(buildkite: Arc<Buildkite>) -> Self {
        Self { buildkite }
    }
}

#[async_trait]
impl ResourceType for Invitations {
    fn info(&self) -> &'static ResourceTypeInfo {
        &INVITATION
    }

    async fn list(
        &self,
        from: Option<Cursor>,
        amount: Amount,
        call: &CallContext,
    ) -> Result<Box<dyn Batch<Resource>>, Failure> {
        let position = from.map_or_else(|| Ok(Position::default()), |cursor| cursor.parse());
        let Position {
            mut after,
            mut behind,
            per_page,
        } = position.map_err(|_| GovernanceError::from(PageTokenError))?;
        let mut per_page = per_page.map_or(Window::LARGEST, NonZeroU32::get).min(Window::LARGEST);
        let (mut rows, mut seen) = (Vec::new(), HashSet::new());
        loop {
            seen.insert(after.clone());
            let client = &self.buildkite.client;
            let page = client.invitations(after.clone(), per_page, call).await?;
            per_page = page.per_page;
            let rest = rows_behind(page.rows, behind.take()).into_iter();
            rows.extend(rest.filter(is_pending).map(|row| (after.clone(), row)));
            after = page.next;
            if after.is_none() || rows.len() >= min_rows(amount) {
                let per_page = Some(per_page).filter(|rows| *rows < Window::LARGEST);
                return Ok(Box::new(InvitationBatch {
                    rows,
                    next: after,
                    per_page: per_page.and_then(NonZeroU32::new),
                }));
            }
            if seen.contains(&after) {
                return Err(Failure::from(GovernanceError::Unexpected {
                    endpoint: Endpoint::Invitations.name(),
                    what: "a page that continues at itself".to_owned(),
                }));
            }
        }
    }

    async fn get(&self, id: Uuid, call: &CallContext) -> Result<Resource, Failure> {
        let invitation = self.buildkite.client.invitation(id.into(), call).await?;
        if is_pending(&invitation) {
            return Ok(resource(invitation));
        }
        Err(Failure::from(GovernanceError::ResourceNotFound {
            resource: invitation_id(id),
        }))
    }

    async fn grants(
        &self,
        _: Uuid,
        _: Option<Cursor>,
        _: Amount,
        _: &CallContext,
    ) -> Result<Box<dyn Batch<Holding>>, Failure> {
        Ok(Box::new(Rows::default()))
    }

    async fn explain(&self, failure: Failure, resource: Option<Uuid>, call: &CallContext) -> GovernanceError {
        let buildkite = &self.buildkite;
        buildkite
            .explain_by_list(self, Endpoint::Invitations, failure, resource, call)
            .await
    }

    async fn explain_unlisted(&self, name: &str, _: &CallContext) -> GovernanceError {
        GovernanceError::Invalid {
            field: "invitation",
            problem: format!("no pending invitation is for `{name}`: `list invitations` shows the pending ones"),
        }
    }

    async fn check_visibility(&self, _: ListStage, _: &CallContext) -> Result<(), GovernanceError> {
        Ok(())
    }

    async fn check_empty(&self, reading: EmptyReading, call: &CallContext) -> Result<(), GovernanceError> {
        self.buildkite
            .check_empty(self, Endpoint::Invitations, reading, call)
            .await
    }

    fn assignable(&self) -> Option<&dyn Assignable> {
        None
    }

    fn deletable(&self) -> Option<&dyn Deletable> {
        Some(self)
    }
}

#[async_trait]
impl Deletable for Invitations {
    /// The invitation if it is pending. One that was revoked or has expired is absent.
    async fn find(&self, id: Uuid, call: &CallContext) -> Result<Option<Resource>, GovernanceError> {
        let invitation = match self.buildkite.client.invitation(id.into(), call).await {
            Ok(invitation) => invitation,
            Err(error) => {
                return match self.explain(error.into(), Some(id), call).await {
                    GovernanceError::ResourceNotFound { .. } => Ok(None),
                    error => Err(error),
                };
            }
        };
        if invitation.state.as_deref() == Some("accepted") {
            let email = invitation.email.unwrap_or_else(|| "the invited person".to_owned());
            return Err(GovernanceError::InvitationAccepted { email });
        }
        Ok(Some(invitation).filter(is_pending).map(resource))
    }

    async fn is_shown(&self, id: Uuid, call: &CallContext) -> Result<bool, Failure> {
        match self.buildkite.client.invitation(id.into(), call).await {
            Ok(invitation) => Ok(is_pending(&invitation)),
            Err(error) if error.kind == ApiErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn guard_deletion(&self, _: &Resource, _: &CallContext) -> Result<(), GovernanceError> {
        Ok(())
    }

    async fn groups(&self, _: Uuid, _: &CallContext) -> Result<Vec<Resource>, GovernanceError> {
        Ok(Vec::new())
    }

    async fn delete(&self, id: Uuid, call: &CallContext) -> Result<(), Failure> {
        Ok(self.buildkite.client.revoke_invitation(id.into(), call).await?)
    }

    async fn explain_deletion(&self, failure: Failure, id: Uuid, call: &CallContext) -> GovernanceError {
        self.explain(failure, Some(id), call).await
    }

    fn deletion_endpoint(&self) -> &'static str {
        Endpoint::RevokeInvitation.name()
    }
}

/// The rows of a page behind one of them; all of them if it left the page.
fn rows_behind(mut rows: Vec<Invitation>, behind: Option<Uuid>) -> Vec<Invitation> {
    let index = behind.and_then(|behind| rows.iter().position(|row| row.id.uuid() == behind));
    match index {
        Some(index) => rows.split_off(index + 1),
        None => rows,
    }
}

/// Whether the invitation can still be accepted. The list shows no other, and a state that is not known ends nothing.
fn is_pending(invitation: &Invitation) -> bool {
    !matches!(invitation.state.as_deref(), Some("accepted" | "revoked" | "expired"))
}

/// Invitations that were read together, each with the cursor of its page, and the cursor of the page after them.
#[derive(Debug)]
struct InvitationBatch {
    rows: Vec<(Option<ServerCursor>, Invitation)>,
    next: Option<ServerCursor>,
    /// The number of rows of the server's pages, if it is not the largest.
    per_page: Option<NonZeroU32>,
}

impl InvitationBatch {
    /// Where the list continues after the first `count` rows.
    fn position_after(&self, count: usize) -> Option<Position> {
        let before = count.checked_sub(1).and_then(|index| self.rows.get(index));
        let Some((after, _)) = self.rows.get(count) else {
            let after = Some(self.next.clone()?);
            return Some(Position {
                after,
                behind: None,
                per_page: self.per_page,
            });
        };
        let behind = before.filter(|(page, _)| page == after).map(|(_, row)| row.id.uuid());
        Some(Position {
            after: after.clone(),
            behind,
            per_page: self.per_page,
        })
    }
}

impl Batch<Resource> for InvitationBatch {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn next(&self) -> Option<Cursor> {
        self.position_after(self.rows.len()).as_ref().and_then(Cursor::new)
    }

    fn split(&mut self, limit: Option<NonZeroUsize>) -> Rows<Resource> {
        let count = limit.map_or(DEFAULT_BATCH_ROWS, NonZeroUsize::get).min(self.rows.len());
        let next = self.position_after(count).as_ref().and_then(Cursor::new);
        let rows = self.rows.drain(..count).map(|(_, row)| resource(row)).collect();
        Rows { rows, next }
    }

    fn take_all(&mut self) -> Rows<Resource> {
        let next = self.next();
        let rows = self.rows.drain(..).map(|(_, row)| resource(row)).collect();
        Rows { rows, next }
    }
}

fn invitation_id(id: Uuid) -> ResourceId {
    ResourceId {
        resource_type: &INVITATION,
        id,
    }
}

pub(super) fn resource(invitation: Invitation) -> Resource {
    let invited_by = invitation.created_by.and_then(|by| by.email.or(by.name));
    let profile = texts([
        ("email", invitation.email.clone()),
        ("state", invitation.state),
        ("role", invitation.role),
        ("created_at", invitation.created_at.clone()),
        ("invited_by", invited_by),
    ]);
    Resource {
        profile: profile.collect(),
        handle: invitation.email,
        created_at: invitation.created_at.as_deref().and_then(timestamp),
        ..Resource::named(invitation_id(invitation.id.uuid()), None)
    }
}
