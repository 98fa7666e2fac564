//! The record of one change of a whole resource. Its lines have the fields of those of grants and revokes, and further ones.

use std::sync::Arc;

use serde::Serialize;
use uuid::Uuid;

use crate::governance::GovernanceError;
use crate::governance::model::{LifecycleOperation, ResourceId, ResourceKind, ResourceTypeInfo};
use crate::governance::provisioning::{Line, RecordHead};

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LifecycleOutcome {
    /// An invitation was sent.
    Invited,
    /// An invitation was pending already.
    AlreadyInvited,
    /// The person was a user already.
    AlreadyExists,
    /// The resource was created.
    Created,
    /// The resource was deleted.
    Deleted,
    /// The resource was absent already.
    AlreadyAbsent,
    /// An action made its change.
    Changed,
    /// What an action was to change was so already.
    Unchanged,
}

impl LifecycleOutcome {
    /// The outcome's name in logs and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::AlreadyInvited => "already_invited",
            Self::AlreadyExists => "already_exists",
            Self::Created => "created",
            Self::Deleted => "deleted",
            Self::AlreadyAbsent => "already_absent",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
        }
    }
}

/// The name of an operation in records and metrics. The off-boardings of the last hour are found by it.
pub(super) const OFF_BOARD: &str = "off_board";

pub(super) fn operation_name(operation: LifecycleOperation, resource_type: Option<&ResourceTypeInfo>) -> String {
    let of = resource_type.map_or("resource", |resource_type| resource_type.id);
    match (operation, resource_type.map(|resource_type| resource_type.kind)) {
        (LifecycleOperation::Invite, _) => "invite".to_owned(),
        (LifecycleOperation::Delete, Some(ResourceKind::User)) => OFF_BOARD.to_owned(),
        (LifecycleOperation::Delete, Some(ResourceKind::PendingUser)) => "revoke_invitation".to_owned(),
        (LifecycleOperation::Delete, _) => format!("delete_{of}"),
        (LifecycleOperation::Create, _) => format!("create_{of}"),
    }
}

/// What a record is about.
#[derive(Debug)]
pub(super) struct RecordedSubject {
    /// The type that the request named, if it could be parsed.
    pub(super) resource_type: Option<&'static ResourceTypeInfo>,
    /// The resource, once it is known.
    pub(super) id: Option<ResourceId>,
    /// Its e-mail address or its slug, where it is known.
    pub(super) name: Option<String>,
}

impl RecordedSubject {
    /// The type of the resource, or else the one that the request named.
    fn described_type(&self) -> Option<&'static ResourceTypeInfo> {
        self.id.map(|id| id.resource_type).or(self.resource_type)
    }
}

/// A group that a person is invited to, or that a removed user was in.
#[derive(Debug, Clone, Serialize)]
pub(super) struct RecordedGroup {
    pub(super) id: Uuid,
    pub(super) slug: Option<String>,
    /// `None` if this process does not know it.
    pub(super) role: Option<&'static str>,
}

/// The record of one request.
#[derive(Debug)]
pub(super) struct LifecycleRecord {
    head: RecordHead,
    organization: Arc<str>,
    operation: String,
    subject: RecordedSubject,
    role: Option<String>,
    groups: Option<Vec<RecordedGroup>>,
    has_intent: bool,
}

/// What a line is about.
#[derive(Serialize)]
struct LineSubject<'a> {
    resource_type: Option<&'static str>,
    resource_id: Option<Uuid>,
    resource_name: Option<&'a str>,
    organization: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    teams: Option<&'a [RecordedGroup]>,
}

impl LifecycleRecord {
    pub(super) fn new(head: RecordHead, organization: Arc<str>, operation: String, subject: RecordedSubject) -> Self {
        Self {
            head,
            organization,
            operation,
            subject,
            role: None,
            groups: None,
            has_intent: false,
        }
    }

    /// Sets the resource that the request turned out to be about.
    pub(super) fn set_resource(&mut self, id: ResourceId) {
        self.subject.id = Some(id);
    }

    /// Sets the e-mail address or slug of the resource.
    pub(super) fn set_name(&mut self, name: Option<&str>) {
        if let Some(name) = name {
            self.subject.name = Some(name.to_owned());
        }
    }

    /// Sets the role in the organization that is given or taken.
    pub(super) fn set_role(&mut self, role: &str) {
        self.role = Some(role.to_owned());
    }

    /// Sets the groups that the person is invited to, or that they are removed from.
    pub(super) fn set_groups(&mut self, groups: Vec<RecordedGroup>) {
        self.groups = Some(groups);
    }

    /// Records the change before its first write is sent, once.
    ///
    /// # Errors
    /// `AuditUnavailable` if the line is not on the disk.
    pub(super) async fn write_intent(&mut self) -> Result<(), GovernanceError> {
        if !self.has_intent {
            self.head.append_intent(&self.fields("intent")).await?;
            self.has_intent = true;
        }
        Ok(())
    }

    /// Records the outcome, and ends the record.
    pub(super) async fn write_outcome(mut self, outcome: Result<LifecycleOutcome, &GovernanceError>) {
        let line = self.outcome_line(outcome.map(LifecycleOutcome::as_str));
        self.head.conclude(line).await;
    }

    /// Ends the record without a line, because another record goes on with the request.
    pub(super) fn discard(mut self) {
        self.head.discard();
    }

    fn outcome_line(&self, outcome: Result<&'static str, &GovernanceError>) -> String {
        self.head.count(&self.operation, self.subject.described_type(), outcome);
        let line = self.fields("outcome").with_outcome(outcome, self.has_intent);
        tracing::info!(
            target: "audit",
            connection = self.head.connection(),
            caller = line.caller,
            request_id = line.request_id,
            operation = line.operation,
            role = line.role,
            resource_type = line.rest.resource_type,
            resource_id = line.rest.resource_id.map(tracing::field::display),
            resource_name = line.rest.resource_name,
            teams = line.rest.teams.map(|teams| serde_json::to_string(teams).unwrap_or_default()),
            outcome = line.outcome,
            reason = line.reason,
            detail = line.message,
            calls = serde_json::to_string(&line.calls).unwrap_or_default(),
            duration_ms = line.duration_ms,
            "lifecycle"
        );
        self.head.json(&line)
    }

    fn fields(&self, record: &'static str) -> Line<'_, LineSubject<'_>> {
        let RecordedSubject { id, name, .. } = &self.subject;
        let described = self.subject.described_type();
        let is = |kind| described.is_some_and(|described| described.kind == kind);
        let id = id.map(|id| id.id);
        let name = name.as_deref();
        // The name of a pending user is the address of the future user.
        let is_person = is(ResourceKind::User) || is(ResourceKind::PendingUser);
        let subject = LineSubject {
            resource_type: described.map(|described| described.id),
            resource_id: id,
            resource_name: name,
            organization: &self.organization,
            teams: self.groups.as_deref(),
        };
        Line {
            role: self.role.as_deref(),
            team_id: id.filter(|_| is(ResourceKind::Group)),
            team_slug: name.filter(|_| is(ResourceKind::Group)),
            user_id: id.filter(|_| is(ResourceKind::User)),
            user_email: name.filter(|_| is_person),
            ..self.head.line(record, &self.operation, subject)
        }
    }
}

impl Drop for LifecycleRecord {
    fn drop(&mut self) {
        if let Some(error) = self.head.disconnect_error() {
            self.head.conclude_dropped(self.outcome_line(Err(&error)));
        }
    }
}
