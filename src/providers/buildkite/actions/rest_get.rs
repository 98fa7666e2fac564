//! Reading a path as it is, without its secrets.

use serde_json::Value;

use super::BuildkiteActions;
use super::credential_free::{repository, without_credentials};
use super::schemas::{BODY, MESSAGE, MORE, PATH, QUERY, STATUS};
use crate::governance::actions::{ActionResults, ActionValue, Arguments};
use crate::governance::provider::{Failure, Invocation};
use crate::governance::{CallContext, GovernanceError};
use crate::providers::buildkite::api::response_class::BodyError;
use crate::providers::buildkite::api::rest_path::RestPath;
use crate::providers::buildkite::pagination::Link;
use crate::providers::buildkite::{Endpoint, Unavailability};
use crate::telemetry::redact::{mask, redact};

/// Keys whose values hold secrets.
const SECRET_KEYS: [&str; 5] = ["env", "configuration", "steps", "webhook_url", "access_token"];

/// The key of the address of a repository.
const REPOSITORY: &str = "repository";

const UNAUTHORIZED: u16 = 401;
const FORBIDDEN: u16 = 403;

/// The path and the query that the arguments name.
///
/// # Errors
/// `Invalid`, which names the argument.
pub(super) fn path(arguments: &Arguments) -> Result<RestPath, GovernanceError> {
    let invalid = |field: &'static str| move |problem: String| GovernanceError::Invalid { field, problem };
    let path = RestPath::parse(arguments.text(PATH).unwrap_or_default()).map_err(invalid(PATH))?;
    let query = arguments.map(QUERY).into_iter().flatten();
    let path = path.with_query(query).map_err(invalid(QUERY))?;
    if path
        .query()
        .iter()
        .any(|(name, value)| mask(name) != *name || mask(value) != *value)
    {
        let problem = "a credential is never sent in a query: leave it out".to_owned();
        return Err(invalid(QUERY)(problem));
    }
    Ok(path)
}

impl BuildkiteActions {
    pub(super) async fn rest_get(
        &self,
        invocation: &Invocation,
        call: &CallContext,
    ) -> Result<ActionResults, GovernanceError> {
        let path = path(&invocation.arguments)?;
        let scope = path.scope();
        let response = self.buildkite.client.rest(path, call).await;
        let response = response.map_err(|error| Failure::from(error).error)?;
        let Some(response) = response else {
            return Ok(returned(UNAUTHORIZED, String::new(), false));
        };
        let endpoint = Endpoint::Rest.name();
        let body = match response.body() {
            Ok(body) => body,
            Err(BodyError::TooLarge) => return Err(GovernanceError::TooLarge { endpoint }),
            Err(BodyError::Truncated) => {
                return Err(GovernanceError::Unavailable {
                    endpoint,
                    why: Unavailability::TruncatedBody.to_string(),
                });
            }
        };
        let (body, names_more) = shown(body);
        let more = names_more || Link::parse(response.headers()).next;
        let status = response.status().as_u16();
        let results = returned(status, body, more);
        if status == FORBIDDEN {
            let message =
                format!("buildkite forbids it: the path needs the scope `{scope}`, and an owner who may read it");
            return Ok(results.with_text(MESSAGE, message));
        }
        Ok(results)
    }
}

fn returned(status: u16, body: String, more: bool) -> ActionResults {
    ActionResults::new()
        .with(STATUS, ActionValue::Number(status.into()))
        .with_text(BODY, body)
        .with(MORE, ActionValue::Flag(more))
}

/// The body without secrets, as JSON text, and whether its envelope names a next page. A body that is not JSON becomes a short text.
fn shown(body: &[u8]) -> (String, bool) {
    if body.is_empty() {
        return (String::new(), false);
    }
    let Ok(mut value) = serde_json::from_slice::<Value>(body) else {
        let text = redact(&without_credentials(&String::from_utf8_lossy(body)));
        return (Value::String(text).to_string(), false);
    };
    let next = value.get("links").and_then(|links| links.get("next"));
    let more = next.is_some_and(Value::is_string);
    clean(&mut value);
    (value.to_string(), more)
}

/// Drops the keys that hold secrets, takes credentials out of addresses, and masks tokens in what remains. The address of a
/// repository becomes its host and path, or `null`.
fn clean(value: &mut Value) {
    match value {
        Value::String(text) => *text = mask(&without_credentials(text)),
        Value::Array(values) => values.iter_mut().for_each(clean),
        Value::Object(fields) => {
            fields.retain(|name, _| !SECRET_KEYS.contains(&name.as_str()));
            for (name, value) in fields {
                if name == REPOSITORY
                    && let Value::String(address) = value
                {
                    *value = repository(address).map_or(Value::Null, Value::String);
                }
                clean(value);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_left_out_at_any_depth() {
        let token = "bkua_0123456789abcdef0123456789abcdef01234567";
        let body = json!({
            "name": "deploy",
            "env": { "KEY": "hush" },
            "configuration": "hush",
            "steps": [{ "command": "hush" }],
            "provider": { "id": "github", "webhook_url": "https://webhook.example/hush" },
            "repository": "https://ci:hush@git.example/source.git",
            "list": [{ "env": "hush", "text": format!("see {token}"), "clone": "ssh://hush@git.example/x" }],
        });
        let (shown, more) = shown(body.to_string().as_bytes());
        assert!(!shown.contains("hush") && !shown.contains(token) && !more, "{shown}");
        let kept: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(
            kept,
            json!({
                "name": "deploy",
                "provider": { "id": "github" },
                "repository": "git.example/source.git",
                "list": [{ "text": "see [redacted]", "clone": "ssh://git.example/x" }],
            })
        );
    }

    #[test]
    fn an_envelope_names_a_next_page_and_another_body_is_a_text() {
        assert!(shown(br#"{"items": [], "links": {"next": "https://x/?after=1"}}"#).1);
        assert!(!shown(br#"{"items": [], "links": {"next": null}}"#).1);
        assert_eq!(shown(b"<html>\n").0, "\"<html>\"");
        assert_eq!(shown(b""), (String::new(), false));
    }
}
