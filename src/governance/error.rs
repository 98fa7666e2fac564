//! The errors of governance: one variant for each row of the design's error table.
//!
//! `wire::status` turns each into a gRPC status, in one place. A message is one sentence with the cause and the remedy, and it
//! never contains a token.

use jiff::Timestamp;

use crate::governance::Change;
use crate::governance::model::{ResourceId, ResourceKind, ResourceTypeInfo};
use crate::governance::rate_limit::LimitExceeded;
use crate::governance::sync::page_token::PageTokenError;

/// What the refusal of a credential means for the requests that need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefusedCredential {
    /// The credential itself is not accepted.
    Rejected,
    /// It is not given these scopes.
    MissingScope(String),
    /// It is not given access to the organization.
    OrganizationUnreachable,
    /// The response to it differs from the documentation.
    Unexpected,
}

impl RefusedCredential {
    fn reason(&self) -> &'static str {
        match self {
            Self::Rejected => "TOKEN_REJECTED",
            Self::MissingScope(_) => "MISSING_SCOPE",
            Self::OrganizationUnreachable => "ORGANIZATION_UNREACHABLE",
            Self::Unexpected => "UNEXPECTED_RESPONSE",
        }
    }
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GovernanceError {
    /// 401.
    #[error(
        "buildkite rejects the api token (wrong, expired or revoked): create a new one and set BUILDKITE_API_TOKEN"
    )]
    TokenRejected,
    /// A credential that signs its requests or exchanges tokens is refused.
    #[error("{problem}")]
    CredentialRefused {
        /// What happened, and what to do.
        problem: String,
        /// What it means.
        meaning: RefusedCredential,
    },
    /// 403, and the token is known to lack the scope.
    #[error("{endpoint}: the api token lacks the scope `{scope}`: create a token that has it")]
    MissingScope {
        /// The scope that is missing.
        scope: &'static str,
        /// The name of the request.
        endpoint: &'static str,
    },
    /// 403 for another reason.
    #[error("{endpoint}: buildkite forbids it{}: check the owner's role, the plan and the ip allowlists", quoted(.message.as_ref()))]
    Forbidden {
        /// The name of the request.
        endpoint: &'static str,
        /// Buildkite's message.
        message: Option<String>,
    },
    /// 404 on the organization.
    #[error(
        "the organization `{organization}` is not reachable with this token: check the slug (its case counts) and that the token was made for it"
    )]
    OrganizationUnreachable {
        /// The configured slug.
        organization: String,
    },
    /// A list responds with 404 although the organization is readable.
    #[error("{endpoint}: buildkite answers 404 although the organization is readable: {}", .resource_type.unavailable_remedy)]
    ListUnavailable {
        /// The type of the list.
        resource_type: &'static ResourceTypeInfo,
        /// The name of the request.
        endpoint: &'static str,
    },
    /// The token's owner is not an organization admin.
    #[error(
        "the token's owner {owner} is not an organization admin and {}: use an admin's token, or set --partial-visibility allow",
        partial_view(.resource_type)
    )]
    PartialVisibility {
        /// The type of the list.
        resource_type: &'static ResourceTypeInfo,
        /// The owner's e-mail or name.
        owner: String,
    },
    /// A resource that responds with 404 and is not proven absent.
    #[error("{} {} answers 404 and is not proven gone: it may be hidden from the token's owner", .resource.resource_type, .resource.id)]
    ResourceUnreachable {
        /// The resource.
        resource: ResourceId,
    },
    /// A resource that is proven absent.
    #[error("{} {} {}: sync again", .resource.resource_type, .resource.id, .resource.resource_type.absence)]
    ResourceNotFound {
        /// The resource.
        resource: ResourceId,
    },
    /// A user outside the organization, or an e-mail address that no user has.
    #[error("{user} is not in the buildkite organization: invite them first")]
    UserNotInOrganization {
        /// The user's e-mail address or id.
        user: String,
    },
    /// An e-mail address that several users have.
    #[error("{users} users in the buildkite organization have the e-mail {email}: give the user id instead")]
    AmbiguousPrincipal {
        /// The address.
        email: String,
        /// The number of users that have it.
        users: usize,
    },
    /// The operator did not allow changes of this kind.
    #[error("{}", not_allowed(*.change))]
    ProvisioningDisabled {
        /// The kind of change.
        change: Change,
    },
    /// A protection forbids the change: the operator's, or the one against locking the connector out.
    #[error("{guard}")]
    Protected {
        /// What is protected, and by which setting.
        guard: String,
    },
    /// As many people were removed within an hour as the operator permits.
    #[error(
        "{limit} people were removed from the organization within the last hour, which is all that --off-boarding-limit permits: try again \
         at {next}, or raise the limit"
    )]
    LimitReached {
        /// The number of removals per hour that the operator permits.
        limit: u32,
        /// When the next removal is permitted.
        next: Timestamp,
    },
    /// A user without an e-mail address, whose invitations cannot be found.
    #[error(
        "{user} has no e-mail address, so a pending invitation that would let them back in cannot be found: remove them in buildkite itself"
    )]
    EmailUnknown {
        /// The user's name or id.
        user: String,
    },
    /// An invitation that was accepted, so that it can no longer be revoked.
    #[error("{email} has accepted the invitation and is a member of the organization now: delete the user instead")]
    InvitationAccepted {
        /// The address that was invited.
        email: String,
    },
    /// An operation that no setting permits for resources of the type.
    #[error("no {resource_type} is {operation} by this connector: do it in buildkite itself")]
    NotOffered {
        /// The type.
        resource_type: &'static ResourceTypeInfo,
        /// What was requested, as a participle.
        operation: &'static str,
    },
    /// The audit record of a change cannot be written, so the change is not made.
    #[error(
        "the audit record cannot be written ({why}), so the change is not carried out: check --audit-file or BUILDKITE_CONNECTOR_AUDIT_FILE"
    )]
    AuditUnavailable {
        /// Why.
        why: String,
    },
    /// Buildkite rejected the request, and another read did not explain why.
    #[error("{endpoint}: buildkite rejects the request{}", quoted(.message.as_ref()))]
    Rejected {
        /// The name of the request.
        endpoint: &'static str,
        /// Buildkite's message.
        message: Option<String>,
    },
    /// The budget is used up for longer than the call can wait.
    #[error("the buildkite rate limit is used up: wait for its reset")]
    RateLimited(LimitExceeded),
    /// Buildkite could not be reached, or did not respond usably.
    #[error("{endpoint}: {why}: try again, and see https://www.buildkitestatus.com if it lasts")]
    Unavailable {
        /// The name of the request.
        endpoint: &'static str,
        /// Why.
        why: String,
    },
    /// A response that differs from the documentation.
    #[error("{endpoint}: {what}: check the api base and the proxies in between, and report it if both are right")]
    Unexpected {
        /// The name of the request.
        endpoint: &'static str,
        /// What was received.
        what: String,
    },
    /// The caller's deadline passed.
    #[error("the caller's deadline passed before buildkite responded: allow the call more time")]
    DeadlineExceeded,
    /// The process is shutting down, and the write was not started.
    #[error("the connector is shutting down and starts nothing new: try again in a moment")]
    ShuttingDown,
    /// The caller of a write disconnected before the write was started.
    #[error("the caller disconnected, and nothing was changed")]
    Abandoned,
    /// An action, or an invocation of one, that does not exist.
    #[error("{problem}")]
    ActionNotFound {
        /// What does not exist, and where to look.
        problem: String,
    },
    /// A key of a request that another request has used.
    #[error(
        "the key was used for build {number} of another branch or commit: use a new key, or repeat the request as it was"
    )]
    RequestKeyReused {
        /// The number of the build that has the key.
        number: u64,
    },
    /// A response that is too large to be passed on.
    #[error("{endpoint}: the response is larger than 1 MiB: read fewer rows, with `per_page` in the query")]
    TooLarge {
        /// The name of the request.
        endpoint: &'static str,
    },
    /// The request is invalid.
    #[error("{problem}")]
    Invalid {
        /// The field of the request.
        field: &'static str,
        /// What is wrong with it, and what is accepted.
        problem: String,
    },
}

impl GovernanceError {
    /// The machine-readable reason: in the `ErrorInfo` of a status, and in the audit record.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TokenRejected => "TOKEN_REJECTED",
            Self::CredentialRefused { meaning, .. } => meaning.reason(),
            Self::MissingScope { .. } => "MISSING_SCOPE",
            Self::Forbidden { .. } => "FORBIDDEN",
            Self::OrganizationUnreachable { .. } => "ORGANIZATION_UNREACHABLE",
            Self::ListUnavailable { resource_type, .. } => resource_type.unavailable_reason,
            Self::PartialVisibility { .. } => "PARTIAL_VISIBILITY",
            Self::ResourceUnreachable { resource } => resource.resource_type.unreachable_reason,
            Self::ResourceNotFound { resource } => resource.resource_type.not_found_reason,
            Self::UserNotInOrganization { .. } => "USER_NOT_IN_ORGANIZATION",
            Self::AmbiguousPrincipal { .. } => "AMBIGUOUS_PRINCIPAL",
            Self::ProvisioningDisabled { .. } => "PROVISIONING_DISABLED",
            Self::Protected { .. } => "PROTECTED",
            Self::LimitReached { .. } => "LIMIT_REACHED",
            Self::EmailUnknown { .. } => "EMAIL_UNKNOWN",
            Self::InvitationAccepted { .. } => "INVITATION_ACCEPTED",
            Self::NotOffered { .. } => "NOT_OFFERED",
            Self::AuditUnavailable { .. } => "AUDIT_UNAVAILABLE",
            Self::Rejected { .. } => "REJECTED_BY_BUILDKITE",
            Self::RateLimited(_) => "RATE_LIMITED",
            Self::Unavailable { .. } => "BUILDKITE_UNAVAILABLE",
            Self::Unexpected { .. } => "UNEXPECTED_RESPONSE",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::Abandoned => "ABANDONED",
            Self::ShuttingDown => "SHUTTING_DOWN",
            Self::ActionNotFound { .. } => "ACTION_NOT_FOUND",
            Self::RequestKeyReused { .. } => "REQUEST_KEY_REUSED",
            Self::TooLarge { .. } => "TOO_LARGE",
            Self::Invalid { .. } => "INVALID_REQUEST",
        }
    }
}

impl From<PageTokenError> for GovernanceError {
    fn from(error: PageTokenError) -> Self {
        Self::Invalid {
            field: "page_token",
            problem: error.to_string(),
        }
    }
}

fn quoted(message: Option<&String>) -> String {
    message.map(|message| format!(" (\"{message}\")")).unwrap_or_default()
}

/// What an owner without the admin role is shown of a list.
fn partial_view(resource_type: &ResourceTypeInfo) -> String {
    match resource_type.kind {
        ResourceKind::Group => format!("is not shown secret {}", resource_type.list_name),
        _ => format!("is shown only the {} that their teams reach", resource_type.list_name),
    }
}

/// Names the setting that allows the change.
fn not_allowed(change: Change) -> String {
    match change {
        Change::Membership => "provisioning is off: start the connector with --provisioning or \
                               BUILDKITE_CONNECTOR_PROVISIONING=true (--allow membership means the same)"
            .to_owned(),
        other => format!("{other} is not allowed: add it to --allow or BUILDKITE_CONNECTOR_ALLOW"),
    }
}
