//! Who the token is and whose, and what needs no token at all.

use http::StatusCode;
use jiff::Timestamp;
use serde_json::json;

use super::Call;
use crate::sandbox::answers::{self, Answer, Refusal};
use crate::sandbox::documents::{self, UserDocument};

pub(super) fn root() -> Answer {
    Answer::ok(&json!({ "message": "👋 from the Buildkite sandbox", "timestamp": Timestamp::now().as_second() }))
}

pub(super) fn meta() -> Answer {
    // Addresses that are reserved for documentation; ranges and bare ones are mixed, as in the real answer.
    Answer::ok(&json!({ "webhook_ips": ["192.0.2.0/24", "198.51.100.7", "2001:db8::/32"] }))
}

/// Needs no scope: what a token says of itself.
pub(super) fn access_token(call: &Call<'_>) -> Result<Answer, Refusal> {
    let token = call.token()?;
    let organization = call.service.organization();
    let owner = organization.anyone(token.owner).ok_or_else(answers::unauthenticated)?;
    Ok(Answer::ok(&documents::access_token(
        token,
        owner,
        call.habits.expires_at,
    )))
}

/// Needs no scope: the token that asks is worthless from the next request on.
pub(super) fn revoke_access_token(call: &Call<'_>) -> Result<Answer, Refusal> {
    call.service.tokens.revoke_by_id(call.token()?.uuid);
    Ok(Answer::empty(StatusCode::NO_CONTENT).after_applying(true))
}

pub(super) fn user(call: &Call<'_>) -> Result<Answer, Refusal> {
    let token = call.with_scope("read_user")?;
    let organization = call.service.organization();
    let owner = organization.anyone(token.owner).ok_or_else(answers::unauthenticated)?;
    Ok(Answer::ok(&UserDocument::new(owner)))
}
