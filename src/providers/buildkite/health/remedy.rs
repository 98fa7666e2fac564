//! The remedies: one sentence each, with the page to open.

use super::assess::Context;
use super::credential::needed;
use crate::providers::buildkite::{CredentialForm, Scope, Unavailability};

/// The page that creates a token, with the needed scopes ticked.
fn new_token_url(context: &Context<'_>) -> String {
    let scopes = needed(context).into_iter();
    let page = "https://buildkite.com/user/api-access-tokens/new?description=buildkite-connector".to_owned();
    scopes.fold(page, |page, scope| page + "&scopes[]=" + scope.as_str())
}

/// Names all missing scopes in one sentence, so that one correction is enough.
pub(crate) fn give_scopes(missing: &[Scope], context: &Context<'_>) -> String {
    let named: Vec<String> = missing.iter().map(|scope| format!("`{scope}`")).collect();
    let named = named.join(" and ");
    match context.credential {
        CredentialForm::Token => format!(
            "create a token with {named} ticked and {}: {}",
            set_it(context),
            new_token_url(context)
        ),
        CredentialForm::PrivateKey => {
            format!(
                "tick {named} on the access token of {}: https://buildkite.com/user/api-access-tokens",
                match context.name {
                    None => "--access-token-id".to_owned(),
                    Some(name) => format!("the credential `{name}`"),
                }
            )
        }
        CredentialForm::TokenExchange => format!(
            "let an organization admin allow the OAuth application {named}: https://buildkite.com/docs/apis/oauth-token-exchange"
        ),
    }
}

pub(crate) fn replace_token(context: &Context<'_>) -> String {
    format!("create a new token and {}: {}", set_it(context), new_token_url(context))
}

/// Where a new token is set.
fn set_it(context: &Context<'_>) -> String {
    match context.name {
        None => "set it as BUILDKITE_API_TOKEN".to_owned(),
        Some(name) => format!("write it to the file of the credential `{name}`"),
    }
}

pub(crate) fn admin_owner() -> String {
    "use a token whose owner is an organization admin: https://buildkite.com/organizations/~/users".to_owned()
}

pub(crate) fn admin_owner_or_partial_view() -> String {
    format!("{}, or set --partial-visibility allow", admin_owner())
}

pub(crate) fn audit() -> String {
    "see to the path, the rights and the disk of --audit-file (BUILDKITE_CONNECTOR_AUDIT_FILE)".to_owned()
}

pub(crate) fn protected_names() -> String {
    "correct --protect-team (BUILDKITE_CONNECTOR_PROTECT_TEAM) or --protect-user (BUILDKITE_CONNECTOR_PROTECT_USER): a team is named by the slug of its page, a person by their e-mail address"
        .to_owned()
}

pub(crate) fn rate_limit() -> String {
    "wait for its reset, a minute at most, and give the connector a token of its own user if it happens often: https://buildkite.com/docs/apis/rest-api/limits"
        .to_owned()
}

pub(crate) fn unavailable(cause: &Unavailability) -> String {
    match cause {
        Unavailability::Resolve(_) => "check this machine's name resolution, and BUILDKITE_REST_URL".to_owned(),
        Unavailability::Tls(_) => {
            "check BUILDKITE_REST_URL, this machine's clock, and its certificates: the CA of a proxy that opens TLS has to be among the system's"
                .to_owned()
        }
        Unavailability::Connect(_) | Unavailability::ConnectionReset => {
            "check firewall and proxy on the way to the API base, and https://www.buildkitestatus.com".to_owned()
        }
        Unavailability::TokenExchange { .. } => {
            "check firewall and proxy on the way to --oauth-url (BUILDKITE_CONNECTOR_OAUTH_URL), and https://www.buildkitestatus.com".to_owned()
        }
        Unavailability::HtmlBody | Unavailability::NotJson(_) | Unavailability::TruncatedBody => api_base(),
        Unavailability::Status(_) | Unavailability::Timeout(_) | Unavailability::ListUnstable | Unavailability::Short => outage(),
    }
}

pub(crate) fn organization() -> String {
    "check BUILDKITE_ORGANIZATION_SLUG (its case counts), and that the token was made for this organization: https://buildkite.com/user/api-access-tokens"
        .to_owned()
}

pub(crate) fn teams() -> String {
    "enable teams for the organization: https://buildkite.com/docs/platform/team-management/permissions".to_owned()
}

pub(crate) fn unavailable_feature(scope: Scope) -> String {
    match scope {
        Scope::ReadSuites => {
            "turn on Test Engine for the organization, or leave suites out of the settings: https://buildkite.com/docs/test-engine"
                .to_owned()
        }
        Scope::ReadRegistries => {
            "turn on Package Registries for the organization, or leave registries out of the settings: https://buildkite.com/docs/package-registries"
                .to_owned()
        }
        _ => forbidden(),
    }
}

pub(crate) fn forbidden() -> String {
    "check the owner's role, the plan, and the ip allowlists of token and organization: https://buildkite.com/user/api-access-tokens"
        .to_owned()
}

pub(crate) fn api_base() -> String {
    "check BUILDKITE_REST_URL and the proxies in between: https://buildkite.com/docs/apis/rest-api".to_owned()
}

pub(crate) fn outage() -> String {
    "try again, and look at https://www.buildkitestatus.com if it lasts".to_owned()
}

pub(crate) fn report() -> String {
    "report it with the log of the call: https://buildkite.com/docs/apis/rest-api".to_owned()
}
