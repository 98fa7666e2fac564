//! Whether the token expires soon. When an expiry is a warning is decided in `expiry_warning.rs` of
//! `src/governance/health`.

use crate::governance::health::{Expiry, State, format_minute};
use crate::providers::buildkite::AccessToken;
use crate::providers::buildkite::health::assess::{Context, Finding};
use crate::providers::buildkite::health::{credential, remedy};

/// Whether the token expires soon.
pub(crate) fn expiry(token: &AccessToken, context: &Context<'_>) -> Finding {
    let expiry = credential::expiry(token, context.credential);
    let summary = match expiry {
        Expiry::Renewed => {
            return Finding::healthy("the token is accepted and is replaced by a new exchange before it expires");
        }
        Expiry::Never => return Finding::healthy("the token is accepted and never expires"),
        Expiry::Unreadable => {
            let text = token.expires_at.as_deref().unwrap_or_default();
            let text = crate::telemetry::redact::redact(text);
            return Finding::healthy(format!(
                "the token is accepted (when it expires cannot be read: `{text}`)"
            ));
        }
        Expiry::At(at) if !expiry.is_warning(context.governance.expiry_warning, context.now) => {
            return Finding::healthy(format!("the token is accepted until {}", format_minute(at)));
        }
        Expiry::At(at) if at <= context.now => format!(
            "the token is still accepted although it expired at {}: it may end at any moment",
            format_minute(at)
        ),
        Expiry::At(at) => format!("the token expires soon, at {}", format_minute(at)),
    };
    Finding::new(State::Degraded, summary, remedy::replace_token(context))
}
