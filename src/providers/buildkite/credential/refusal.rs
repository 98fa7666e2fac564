//! Why a credential that signs its requests, or that obtains tokens by an exchange, is refused, and what to do.

use std::fmt;

use crate::governance::RefusedCredential;

/// Where OAuth applications of an organization are configured.
const APPLICATIONS: &str = "https://buildkite.com/docs/apis/oauth-token-exchange";

/// A refusal: its cause, and Buildkite's own words, redacted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialRefusal {
    /// The cause.
    pub cause: RefusalCause,
    /// The message of Buildkite; for diagnostics only, no code depends on it.
    pub message: Option<String>,
}

/// The cause of a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefusalCause {
    /// 401 to a request that was signed by the private key of an access token.
    SignedRequest,
    /// 401 to a request with a token that was exchanged a moment before.
    IssuedToken,
    /// `invalid_client`: the client, its key or the signature.
    InvalidClient,
    /// `invalid_request`.
    InvalidRequest,
    /// `invalid_scope`, with the scopes that were requested.
    InvalidScope(String),
    /// `invalid_target`, with the organization that was requested.
    InvalidTarget(String),
    /// Another error of RFC 6749, or another status.
    Other(String),
    /// A response that is no response of a token endpoint.
    Unexpected(String),
    /// The key could not sign.
    Signing,
}

impl CredentialRefusal {
    /// A refusal without a message.
    pub(crate) fn new(cause: RefusalCause) -> Self {
        Self { cause, message: None }
    }

    /// Whether it is a 401 of the REST API, and not of the token endpoint.
    pub(crate) fn is_unauthorized(&self) -> bool {
        matches!(self.cause, RefusalCause::SignedRequest | RefusalCause::IssuedToken)
    }

    /// How requests that need the credential fail.
    pub(crate) fn meaning(&self) -> RefusedCredential {
        match &self.cause {
            RefusalCause::InvalidScope(scopes) => RefusedCredential::MissingScope(scopes.clone()),
            RefusalCause::InvalidTarget(_) => RefusedCredential::OrganizationUnreachable,
            RefusalCause::Unexpected(_) => RefusedCredential::Unexpected,
            _ => RefusedCredential::Rejected,
        }
    }

    /// What to do, as one sentence.
    pub(crate) fn remedy(&self) -> String {
        match &self.cause {
            RefusalCause::SignedRequest => {
                "check that --access-token-id is the UUID of the access token, that its public key belongs to --private-key-file, and that it still exists: https://buildkite.com/user/api-access-tokens"
                    .to_owned()
            }
            RefusalCause::IssuedToken => format!(
                "check that --oauth-subject is an active member of the organization, and the ip allowlists of the OAuth application: {APPLICATIONS}"
            ),
            RefusalCause::InvalidClient => format!(
                "check that --oauth-client-id is the application's, that its public key belongs to --oauth-private-key-file, and that it may exchange tokens from this address: {APPLICATIONS}"
            ),
            RefusalCause::InvalidRequest => format!(
                "check that --oauth-subject is an active member of the organization, and this machine's clock: {APPLICATIONS}"
            ),
            RefusalCause::InvalidScope(scopes) => {
                format!("let an organization admin allow the OAuth application these scopes: {scopes}: {APPLICATIONS}")
            }
            RefusalCause::InvalidTarget(organization) => format!(
                "check the slug `{organization}` (its case counts), and that token exchange is enabled there for the OAuth application: {APPLICATIONS}"
            ),
            RefusalCause::Other(_) | RefusalCause::Unexpected(_) => format!(
                "check --oauth-url and the proxies in between, and that token exchange is enabled for the organization: {APPLICATIONS}"
            ),
            RefusalCause::Signing => "restart the connector, and report it with the log if it happens again".to_owned(),
        }
    }
}

impl fmt::Display for CredentialRefusal {
    /// What happened, as the begin of a sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            RefusalCause::SignedRequest => f.write_str("buildkite rejects what the private key signed"),
            RefusalCause::IssuedToken => f.write_str("buildkite rejects the token that was exchanged a moment ago"),
            RefusalCause::InvalidClient => f.write_str("the token exchange is refused with `invalid_client`"),
            RefusalCause::InvalidRequest => f.write_str("the token exchange is refused with `invalid_request`"),
            RefusalCause::InvalidScope(_) => f.write_str("the token exchange is refused with `invalid_scope`"),
            RefusalCause::InvalidTarget(_) => f.write_str("the token exchange is refused with `invalid_target`"),
            RefusalCause::Other(code) => write!(f, "the token exchange is refused with `{code}`"),
            RefusalCause::Unexpected(what) => write!(f, "the token exchange has an unexpected response: {what}"),
            RefusalCause::Signing => f.write_str("the private key cannot sign"),
        }?;
        match &self.message {
            Some(message) => write!(f, " (\"{message}\")"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_one_sentence_with_what_to_do() {
        for cause in [
            RefusalCause::SignedRequest,
            RefusalCause::IssuedToken,
            RefusalCause::InvalidClient,
            RefusalCause::InvalidRequest,
            RefusalCause::InvalidScope("read_teams".to_owned()),
            RefusalCause::InvalidTarget("acme".to_owned()),
            RefusalCause::Other("unsupported_grant_type".to_owned()),
            RefusalCause::Unexpected("a redirect".to_owned()),
        ] {
            let refusal = CredentialRefusal::new(cause);
            assert!(refusal.remedy().contains("https://buildkite.com/"), "{refusal}");
            assert_eq!(refusal.to_string().lines().count(), 1);
        }
    }
}
