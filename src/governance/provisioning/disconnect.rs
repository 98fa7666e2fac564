//! Permanently revokes the connector's own token at Buildkite. The revocation is recorded before it is sent, and reported as done
//! only once Buildkite rejects the token.
//!
//! The caller pins the credential: a token that replaces this one in the meantime must be neither used nor revoked.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::{Provisioning, RequestContext};
use crate::governance::provider::{CredentialDetails, Failure, FailureClass};
use crate::governance::{CallContext, GovernanceError};

/// How often the revoke is sent while the token is seen to still work.
const MAX_WRITES: usize = 5;

/// A line of the audit record.
#[derive(Serialize)]
struct RevocationLine<'a> {
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

impl Provisioning {
    /// The token's record, its owner and the organization, read now.
    ///
    /// # Errors
    /// The failure to read the token's record, or an organization that the token does not reach: then it is not the token that
    /// the caller means.
    pub async fn own_token(&self) -> Result<CredentialDetails, GovernanceError> {
        let details = self.provider.credential().details(&self.new_call()).await;
        details.map_err(|error| self.or_shutting_down(error))
    }

    /// Revokes the token permanently.
    ///
    /// # Errors
    /// After `AuditUnavailable`, and after an error before the revoke was sent, the token works as before. The message of any other
    /// error says what is known.
    pub async fn revoke_own_token(
        &self,
        own: &CredentialDetails,
        context: &RequestContext,
    ) -> Result<(), GovernanceError> {
        let line = |record| RevocationLine {
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
        let audit = &self.audit;
        let revoked = match audit
            .append_intent(audit.line(&line("intent"), &context.request_id))
            .await
        {
            Ok(()) => self.revoke_until_rejected().await,
            Err(unrecorded) => Err(unrecorded),
        };
        let revoked = revoked.map_err(|error| self.or_shutting_down(error));
        let error = revoked.as_ref().err();
        let outcome = RevocationLine {
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
            connection = audit.connection(),
            caller = outcome.caller,
            request_id = outcome.request_id,
            operation = outcome.operation,
            token_owner = outcome.token_owner,
            outcome = outcome.outcome,
            reason = outcome.reason,
            detail = outcome.message,
            "disconnect"
        );
        audit.append_outcome(audit.line(&outcome, &context.request_id)).await;
        revoked
    }

    async fn revoke_until_rejected(&self) -> Result<(), GovernanceError> {
        let mut call = self.new_call();
        let timeouts = &self.settings.write_timeouts;
        let mut lost = None;
        for _ in 0..MAX_WRITES {
            let sent = self.provider.credential().revoke(&call).await;
            let accepted = sent.is_ok();
            let delays = match sent {
                Ok(()) => timeouts.read_back_delays.as_slice(),
                // The token no longer works, which is the requested state.
                Err(error) if error.class == FailureClass::TokenRejected => &[],
                Err(error) if error.may_have_applied() || error.is_transient() => {
                    lost = Some(error);
                    timeouts.recheck_delays()
                }
                Err(error) => return Err(error.error),
            };
            if accepted || lost.as_ref().is_some_and(Failure::may_have_applied) {
                // The revoke may have been applied: from here on it is finished even if the caller disconnects.
                call = call.detached_until(Instant::now() + timeouts.completion);
            }
            match self.is_rejected(delays, &call).await {
                Ok(true) => return Ok(()),
                Ok(false) if accepted => return Err(unknown("it was accepted, but the token still works")),
                Ok(false) => {}
                // Nothing was sent yet.
                Err(error) if call.deadline().is_none() => return Err(error.error),
                Err(error) => {
                    let why = format!(
                        "it was sent, and whether the token still works could not be read ({})",
                        error.error
                    );
                    return Err(unknown(&why));
                }
            }
        }
        Err(lost.map_or_else(|| unknown("the token still works"), |failure| failure.error))
    }

    /// Whether Buildkite rejects the token, immediately or after one of the delays.
    async fn is_rejected(&self, delays: &[Duration], call: &CallContext) -> Result<bool, Failure> {
        for delay in std::iter::once(&Duration::ZERO).chain(delays) {
            sleep(*delay).await;
            if self.provider.credential().is_rejected(call).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn unknown(why: &str) -> GovernanceError {
    GovernanceError::Unavailable {
        endpoint: "revoke access token",
        why: why.to_owned(),
    }
}
