//! What each class of API error means for governance: the one place where an API error becomes a domain error.
//!
//! `api/response_class.rs` decides the class of a response. What the class means:
//!
//! | class | meaning |
//! | --- | --- |
//! | `TokenRejected` (401) | the token is rejected |
//! | `CredentialRefused` | a private key or a token exchange is refused, for the reason that the refusal has |
//! | `Forbidden` (403) | the token lacks the scope, if its own record shows that; else the request is forbidden. After a rejected write the user may be outside the organization: `rejected_write.rs` of `src/governance/provisioning` |
//! | `NotFound` (404) | decided by the [`Subject`]; whether it proves absence is decided in [`super::absence`] |
//! | `Rejected` (any other 4xx) | the request is rejected |
//! | `RateLimited` (429) | the rate limit is used up |
//! | `Unavailable`, `Unexpected`, `DeadlineExceeded`, `Abandoned` | as they are named |
//!
//! [`from_api`] is the mapping. The methods of [`Buildkite`] below it request its further inputs, such as the scopes of the token
//! after a 403, or whether the organization is readable after a 404.

use crate::governance::provider::{Failure, FailureClass};
use crate::governance::{CallContext, GovernanceError};
use crate::providers::buildkite::{
    AccessToken, ApiError, ApiErrorKind, Buildkite, Endpoint, Scope, Unavailability, resources,
};

/// The object of the failed request; it decides what a 404 means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject<'a> {
    /// The organization with this slug: a 404 means that it is out of reach.
    Organization(&'a str),
    /// A list of a readable organization: a 404 means that its type is unavailable.
    List,
    /// Any other object: a 404 is an unexpected response. The caller decides whether it proves absence, see [`super::absence`].
    Other,
}

/// Converts an API error. A 403 names the missing scope if `credential`, the token's own record, lacks it.
pub(crate) fn from_api(error: ApiError, subject: Subject<'_>, credential: Option<&AccessToken>) -> GovernanceError {
    let ApiError {
        endpoint,
        kind,
        message,
    } = error;
    let (request, scope, endpoint) = (endpoint, endpoint.scope(), endpoint.name());
    match kind {
        ApiErrorKind::TokenRejected => GovernanceError::TokenRejected,
        ApiErrorKind::CredentialRefused(refusal) => GovernanceError::CredentialRefused {
            problem: format!("{refusal}: {}", refusal.remedy()),
            meaning: refusal.meaning(),
        },
        ApiErrorKind::Forbidden => match (scope, credential) {
            (Some(scope), Some(token)) if token.lacks(scope) => GovernanceError::MissingScope {
                scope: scope.as_str(),
                endpoint,
            },
            _ => GovernanceError::Forbidden { endpoint, message },
        },
        ApiErrorKind::NotFound => match subject {
            Subject::Organization(slug) => GovernanceError::OrganizationUnreachable {
                organization: slug.to_owned(),
            },
            Subject::List => GovernanceError::ListUnavailable {
                resource_type: resources::listed_by(request),
                endpoint,
            },
            Subject::Other => GovernanceError::Unexpected {
                endpoint,
                what: kind.to_string(),
            },
        },
        ApiErrorKind::Rejected(_) => GovernanceError::Rejected { endpoint, message },
        ApiErrorKind::RateLimited(limit) => GovernanceError::RateLimited(limit),
        ApiErrorKind::Unavailable(Unavailability::TokenExchange { cause, .. }) => GovernanceError::Unavailable {
            endpoint: "token exchange",
            why: cause.to_string(),
        },
        ApiErrorKind::Unavailable(_) => GovernanceError::Unavailable {
            endpoint,
            why: kind.to_string(),
        },
        ApiErrorKind::Unexpected(_) => GovernanceError::Unexpected {
            endpoint,
            what: kind.to_string(),
        },
        ApiErrorKind::DeadlineExceeded => GovernanceError::DeadlineExceeded,
        ApiErrorKind::Abandoned => GovernanceError::Abandoned,
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        let class = match &error.kind {
            ApiErrorKind::TokenRejected | ApiErrorKind::CredentialRefused(_) => FailureClass::TokenRejected,
            ApiErrorKind::Forbidden => FailureClass::Forbidden,
            ApiErrorKind::NotFound => FailureClass::NotFound,
            ApiErrorKind::Rejected(_) => FailureClass::Rejected,
            ApiErrorKind::Unavailable(cause) if cause.is_before_sending() => FailureClass::NotSent,
            ApiErrorKind::Unavailable(_) => FailureClass::Unavailable,
            ApiErrorKind::Unexpected(_) => FailureClass::Unexpected,
            ApiErrorKind::DeadlineExceeded => FailureClass::DeadlineExceeded,
            ApiErrorKind::RateLimited(_) | ApiErrorKind::Abandoned => FailureClass::Other,
        };
        Self {
            class,
            scope: error.endpoint.scope().map(Scope::as_str),
            error: from_api(error, Subject::Other, None),
        }
    }
}

impl Buildkite {
    /// Explains the failure of any request: requests the token's record to name the missing scope after a 403.
    pub(super) async fn explain(&self, failure: Failure, call: &CallContext) -> GovernanceError {
        let (FailureClass::Forbidden, Some(scope)) = (failure.class, failure.scope) else {
            return failure.error;
        };
        let GovernanceError::Forbidden { endpoint, .. } = failure.error else {
            return failure.error;
        };
        for position in self.client.may_have_served(call) {
            let token = self.client.as_credential(position).access_token(call).await;
            if token.is_ok_and(|token| token.lacks(scope)) {
                return GovernanceError::MissingScope { scope, endpoint };
            }
        }
        failure.error
    }

    /// The error for a list that responds with 404: the organization is out of reach, or it has no such list.
    pub(super) async fn explain_missing_list(&self, endpoint: Endpoint, call: &CallContext) -> GovernanceError {
        match self.client.organization(call).await {
            Ok(_) => GovernanceError::ListUnavailable {
                resource_type: resources::listed_by(endpoint),
                endpoint: endpoint.name(),
            },
            Err(error) => self.credential_error(error, None),
        }
    }

    /// Converts the error of a request for the token, its owner or the organization.
    pub(crate) fn credential_error(&self, error: ApiError, token: Option<&AccessToken>) -> GovernanceError {
        let subject = match error.endpoint {
            Endpoint::Organization => Subject::Organization(self.organization_slug()),
            _ => Subject::Other,
        };
        from_api(error, subject, token)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn error(endpoint: Endpoint, kind: ApiErrorKind) -> ApiError {
        ApiError {
            endpoint,
            kind,
            message: None,
        }
    }

    #[rstest]
    #[case(Subject::Organization("acme"), "ORGANIZATION_UNREACHABLE")]
    #[case(Subject::List, "TEAMS_UNAVAILABLE")]
    #[case(Subject::Other, "UNEXPECTED_RESPONSE")]
    fn a_404_means_what_its_subject_decides(#[case] subject: Subject<'_>, #[case] reason: &str) {
        let converted = from_api(error(Endpoint::Teams, ApiErrorKind::NotFound), subject, None);
        assert_eq!(converted.reason(), reason);
    }

    #[rstest]
    #[case(Some(json!(["read_user"])), "MISSING_SCOPE")]
    #[case(Some(json!(["read_teams"])), "FORBIDDEN")]
    #[case(None, "FORBIDDEN")]
    fn a_403_names_the_scope_only_if_the_token_is_known_to_lack_it(
        #[case] scopes: Option<serde_json::Value>,
        #[case] reason: &str,
    ) {
        let token: Option<AccessToken> = scopes
            .map(|scopes| serde_json::from_value(json!({ "uuid": uuid::Uuid::nil(), "scopes": scopes })).unwrap());
        let forbidden = error(Endpoint::Teams, ApiErrorKind::Forbidden);
        assert_eq!(from_api(forbidden, Subject::Other, token.as_ref()).reason(), reason);
    }

    #[rstest]
    #[case(Unavailability::Connect("refused".to_owned()), FailureClass::NotSent)]
    #[case(Unavailability::ConnectionReset, FailureClass::Unavailable)]
    fn only_a_failure_to_connect_proves_that_nothing_was_sent(
        #[case] cause: Unavailability,
        #[case] class: FailureClass,
    ) {
        let failure = Failure::from(error(Endpoint::AddMember, ApiErrorKind::Unavailable(cause)));
        assert_eq!(failure.class, class);
    }
}
