//! The token endpoint: a client assertion in, an access token out.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Form, State};
use axum::response::{IntoResponse, Response};
use http::{Extensions, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use tonic::Code;

use super::faults::Method;
use super::service::Service;

const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

#[derive(Deserialize)]
pub(super) struct Asked {
    client_id: String,
    grant_type: String,
    client_assertion_type: String,
    client_assertion: String,
}

pub(super) async fn answer(
    State(service): State<Arc<Service>>,
    extensions: Extensions,
    Form(asked): Form<Asked>,
) -> Response {
    let after = match service.strike(Method::Token, &extensions).await {
        Ok(after) => after,
        Err(status) => return refusal(http_status(status.code()), status.message()),
    };
    let checked = match &asked {
        asked if asked.grant_type != "client_credentials" => Err("the grant type is not client_credentials"),
        asked if asked.client_assertion_type != ASSERTION => Err("the assertion type is not a JWT's"),
        asked if asked.client_id != service.client.id() => Err("the client is unknown"),
        asked => service.client.check(&asked.client_assertion, Timestamp::now()),
    };
    if let Err(problem) = checked {
        service
            .ledger
            .edit(|ledger| ledger.refused_assertions.push(problem.to_owned()));
        return refusal(StatusCode::UNAUTHORIZED, problem);
    }
    let (token, life) = service.tokens.give();
    service.ledger.edit(|ledger| ledger.tokens += 1);
    after.lose().await;
    Json(json!({"access_token": token, "token_type": "Bearer", "expires_in": life.as_secs()})).into_response()
}

fn refusal(status: StatusCode, problem: &str) -> Response {
    let body = json!({"error": "invalid_client", "error_description": problem});
    (status, Json(body)).into_response()
}

fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::InvalidArgument | Code::FailedPrecondition => StatusCode::BAD_REQUEST,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::DeadlineExceeded => StatusCode::REQUEST_TIMEOUT,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
