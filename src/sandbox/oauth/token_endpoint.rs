//! `POST /oauth/token`: the token exchange (RFC 8693), with errors in the form of RFC 6749.

use std::collections::HashMap;

use http::{HeaderMap, StatusCode, header};
use jiff::SignedDuration;
use serde_json::json;
use url::form_urlencoded;
use uuid::Uuid;

use crate::sandbox::auth::TokenSpec;
use crate::sandbox::response::{ErrorResponse, Response};
use crate::sandbox::service::Service;

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const USER_EMAIL: &str = "urn:buildkite:params:oauth:token-type:user-email";
const USER_UUID: &str = "urn:buildkite:params:oauth:token-type:user-uuid";

/// The shortest life of a token, in seconds.
const MIN_LIFE: u64 = 30;

/// Exchanges a token.
pub(in crate::sandbox) fn exchange(
    service: &Service,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, ErrorResponse> {
    if headers.contains_key(header::AUTHORIZATION) {
        return Err(invalid_request("The request has a second form of authentication"));
    }
    let form: HashMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
    let parameter = |name: &str| {
        let value = form.get(name).filter(|value| !value.is_empty());
        value.ok_or_else(|| invalid_request(&format!("Missing required parameter: {name}")))
    };
    if parameter("grant_type")? != GRANT_TYPE {
        let description = "The grant type is not supported";
        return Err(error(StatusCode::BAD_REQUEST, "unsupported_grant_type", description));
    }
    if parameter("client_assertion_type")? != ASSERTION_TYPE {
        return Err(invalid_request("client_assertion_type is not supported"));
    }
    let (assertion, audience) = (parameter("client_assertion")?, parameter("audience")?);
    let (subject, subject_type) = (parameter("subject_token")?, parameter("subject_token_type")?);
    let now = service.clock.now();
    let url = format!("{}/oauth/token", service.origin);
    let authenticated = service.applications.authenticate(assertion, &url, now.as_second());
    let application =
        authenticated.map_err(|description| error(StatusCode::UNAUTHORIZED, "invalid_client", description))?;
    let organization = service.organization();
    if *audience != organization.slug || !application.enabled {
        let description = "Token exchange is not available for this organization";
        return Err(error(StatusCode::BAD_REQUEST, "invalid_target", description));
    }
    let is_subject = |id: Uuid, email: &str| match subject_type.as_str() {
        USER_EMAIL => email.eq_ignore_ascii_case(subject),
        USER_UUID => subject.parse() == Ok(id),
        _ => false,
    };
    let mut people = organization.people().iter();
    let person = people.find(|person| is_subject(person.id, &person.email));
    let person = person.ok_or_else(|| invalid_request("The subject is not an active member of the organization"))?;
    let scopes: Vec<&str> = form
        .get("scope")
        .map_or("", String::as_str)
        .split_whitespace()
        .collect();
    let is_allowed = |scope: &&str| application.scopes.iter().any(|allowed| allowed == scope);
    if scopes.is_empty() || !scopes.iter().all(is_allowed) {
        let description = "The requested scope exceeds what the application is allowed";
        return Err(error(StatusCode::BAD_REQUEST, "invalid_scope", description));
    }
    let longest = application.token_life.as_secs();
    let life = match form.get("expires_in") {
        None => longest,
        Some(text) => match text.parse::<u64>() {
            Ok(seconds) if seconds >= MIN_LIFE => seconds.min(longest),
            _ => return Err(invalid_request("expires_in is invalid")),
        },
    };
    let mut spec = TokenSpec::owned_by(person.id)
        .with_scopes(&scopes)
        .with_description("token exchange");
    spec.expires_at = now
        .checked_add(SignedDuration::from_secs(i64::try_from(life).unwrap_or(i64::MAX)))
        .ok();
    drop(people);
    drop(organization);
    let response = json!({
        "access_token": service.tokens.issue(spec),
        "issued_token_type": ACCESS_TOKEN,
        "token_type": "Bearer",
        "expires_in": life,
        "scope": scopes.join(" "),
    });
    Ok(Response::ok(&response))
}

fn invalid_request(description: &str) -> ErrorResponse {
    error(StatusCode::BAD_REQUEST, "invalid_request", description)
}

fn error(status: StatusCode, code: &str, description: &str) -> ErrorResponse {
    Response::json(status, &json!({ "error": code, "error_description": description }))
}
