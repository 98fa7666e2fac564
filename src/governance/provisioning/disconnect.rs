//! Revoking the connector's own token at Buildkite, for good: recorded before it is sent, and claimed only once Buildkite
//! rejects the token.
//!
//! The caller pins the credential: a token that took this one's place meanwhile must be neither asked with nor revoked.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::RequestContext;
use crate::governance::api_errors::{Subject, from_api};
use crate::governance::{Governance, GovernanceError, OwnerRole};
use crate::providers::buildkite::{AccessToken, ApiError, ApiErrorKind, CallContext, Endpoint};

/// How often the revoke is sent where the token is seen to work all the same.
const WRITES: usize = 5;

/// Whose the token is and what it may do.
#[derive(Debug, Clone)]
pub struct OwnToken {
    /// The token's own record.
    pub token: AccessToken,
    /// Its owner's e-mail or name, as far as known.
    pub owner: String,
    /// The owner's role in the organization.
    pub owner_role: OwnerRole,
    /// Whether the organization was read with it. Where it was not, the token lacks the scope for that.
    pub reaches_organization: bool,
}

/// A line of the audit record.
#[derive(Serialize)]
struct Line<'a> {
    record: &'static str,
    time: String,
    caller: &'a str,
    request_id: &'a str,
    operation: &'static str,
    token_owner: &'a str,
    outcome: Option<&'static str>,
    reason: Option<&'static str>,
    message: Option<String>,
}

impl Governance {
    /// The token's record, its owner and the organization, read now.
    ///
    /// # Errors
    /// Whatever keeps the token's record from being read, and an organization that the token does not reach: then it is not
    /// the token that the caller means.
    pub async fn own_token(&self) -> Result<OwnToken, GovernanceError> {
        let call = self.changing();
        let read = async {
            match self.credential_status(Duration::ZERO, &call).await {
                Ok(status) => Ok(OwnToken {
                    owner: status.owner_label(),
                    owner_role: status.owner_role,
                    reaches_organization: true,
                    token: status.token,
                }),
                Err(GovernanceError::MissingScope { .. } | GovernanceError::Forbidden { .. }) => {
                    let token = self.upstream.access_token(&call).await.map_err(plain)?;
                    let owner = token
                        .user
                        .as_ref()
                        .and_then(|user| user.email.clone().or_else(|| user.name.clone()));
                    Ok(OwnToken {
                        owner: owner.unwrap_or_else(|| "(unknown)".to_owned()),
                        owner_role: OwnerRole::Unknown,
                        reaches_organization: false,
                        token,
                    })
                }
                Err(error) => Err(error),
            }
        };
        read.await.map_err(|error| self.because_it_ends(error))
    }

    /// Revokes the token for good.
    ///
    /// # Errors
    /// Where the revoke cannot be recorded or is not begun, the token works as before. Every other error says what is known.
    pub async fn revoke_own_token(&self, own: &OwnToken, context: &RequestContext) -> Result<(), GovernanceError> {
        let line = |record| Line {
            record,
            time: Timestamp::now().to_string(),
            caller: &context.caller,
            request_id: &context.request_id,
            operation: "disconnect",
            token_owner: &own.owner,
            outcome: None,
            reason: None,
            message: None,
        };
        let audit = &self.provisioning.audit;
        let revoked = match audit.append_intent(text(&line("intent"))).await {
            Ok(()) => self.revoke_until_rejected().await,
            Err(unrecorded) => Err(unrecorded),
        };
        let revoked = revoked.map_err(|error| self.because_it_ends(error));
        let error = revoked.as_ref().err();
        let outcome = Line {
            outcome: Some(match error {
                None => "revoked",
                Some(GovernanceError::AuditUnavailable { .. }) => "not_carried_out",
                Some(_) => "failed",
            }),
            reason: error.map(GovernanceError::reason),
            message: error.map(ToString::to_string),
            ..line("outcome")
        };
        tracing::info!(
            target: "audit",
            caller = outcome.caller,
            request_id = outcome.request_id,
            operation = outcome.operation,
            token_owner = outcome.token_owner,
            outcome = outcome.outcome,
            reason = outcome.reason,
            detail = outcome.message,
            "disconnect"
        );
        audit.append_outcome(text(&outcome)).await;
        revoked
    }

    async fn revoke_until_rejected(&self) -> Result<(), GovernanceError> {
        let mut call = self.changing();
        let timeouts = &self.settings.write_timeouts;
        let mut lost = None;
        for _ in 0..WRITES {
            let sent = self.upstream.revoke_token(&call).await;
            let accepted = sent.is_ok();
            let delays = match sent {
                Ok(()) => timeouts.read_back_delays.as_slice(),
                // It works no longer: whoever revoked it, that is what was asked for.
                Err(error) if error.kind == ApiErrorKind::TokenRejected => &[],
                Err(error) if error.may_have_applied() || error.is_transient() => {
                    lost = Some(error);
                    timeouts.recheck_delays()
                }
                Err(error) => return Err(plain(error)),
            };
            if accepted || lost.as_ref().is_some_and(ApiError::may_have_applied) {
                // From here on it is finished whoever waits for it.
                call = call.detached_until(Instant::now() + timeouts.completion);
            }
            match self.is_rejected(delays, &call).await {
                Ok(true) => return Ok(()),
                Ok(false) if accepted => return Err(unknown("it was accepted, but the token still works")),
                Ok(false) => {}
                // Nothing was sent yet.
                Err(error) if call.deadline().is_none() => return Err(plain(error)),
                Err(error) => {
                    let why = format!("it was sent, and whether the token still works could not be read ({error})");
                    return Err(unknown(&why));
                }
            }
        }
        Err(lost.map_or_else(|| unknown("the token still works"), plain))
    }

    /// Whether Buildkite rejects the token, at once or after one of the delays.
    async fn is_rejected(&self, delays: &[Duration], call: &CallContext) -> Result<bool, ApiError> {
        for delay in std::iter::once(&Duration::ZERO).chain(delays) {
            sleep(*delay).await;
            match self.upstream.access_token(call).await {
                Ok(_) => {}
                Err(error) if error.kind == ApiErrorKind::TokenRejected => return Ok(true),
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}

/// The error itself: nothing more is known of the token or the organization.
fn plain(error: ApiError) -> GovernanceError {
    from_api(error, Subject::Other, None)
}

fn unknown(why: &str) -> GovernanceError {
    GovernanceError::Unavailable {
        endpoint: Endpoint::RevokeToken,
        why: why.to_owned(),
    }
}

fn text(line: &Line<'_>) -> String {
    // Strings only: there is nothing that cannot be written.
    serde_json::to_string(line).unwrap_or_default()
}
