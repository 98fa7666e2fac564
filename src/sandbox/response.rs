//! Responses before they become HTTP, and the shapes of Buildkite's errors (section 1.7 of its REST reference).

use std::io;

use axum::body::Body;
use futures::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::json;

/// A response under construction.
#[derive(Clone, Debug)]
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// Whether the request changed the organization.
    pub(super) applied: bool,
    /// Whether it comes from a proxy in front of Buildkite, which does not set rate-limit headers.
    pub(super) from_proxy: bool,
    /// Whether the connection ends in the middle of the body.
    pub(super) truncated: bool,
}

/// A response that ends a request early.
pub(super) type ErrorResponse = Response;

impl Response {
    pub(super) fn empty(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: Vec::new(),
            applied: false,
            from_proxy: false,
            truncated: false,
        }
    }

    pub(super) fn json(status: StatusCode, document: &impl Serialize) -> Self {
        match serde_json::to_vec(document) {
            Ok(body) => Self::empty(status).with_body("application/json; charset=utf-8", body),
            Err(_) => Self::empty(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    pub(super) fn ok(document: &impl Serialize) -> Self {
        Self::json(StatusCode::OK, document)
    }

    pub(super) fn message(status: StatusCode, message: &str) -> Self {
        Self::json(status, &json!({ "message": message }))
    }

    pub(super) fn html(status: StatusCode) -> Self {
        let title = status.canonical_reason().unwrap_or("Buildkite");
        let page =
            format!("<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n");
        Self {
            from_proxy: true,
            ..Self::empty(status).with_body("text/html", page.into_bytes())
        }
    }

    pub(super) fn with_body(mut self, content_type: &'static str, body: Vec<u8>) -> Self {
        self.headers
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.body = body;
        self
    }

    pub(super) fn with_applied(mut self, applied: bool) -> Self {
        self.applied = applied;
        self
    }

    pub(super) fn into_response(self) -> http::Response<Body> {
        let mut response = http::Response::new(Body::empty());
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        if self.truncated {
            response
                .headers_mut()
                .insert(header::CONTENT_LENGTH, self.body.len().into());
            *response.body_mut() = first_half(self.body);
        } else if self.status != StatusCode::NO_CONTENT {
            *response.body_mut() = Body::from(self.body);
        }
        response
    }
}

/// A body that ends halfway.
fn first_half(mut body: Vec<u8>) -> Body {
    body.truncate(body.len() / 2);
    let start = stream::once(async move { Ok(body) });
    let end = stream::once(async {
        // Yielding lets the first half be flushed; an error right away would discard it.
        tokio::task::yield_now().await;
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    });
    Body::from_stream(start.chain(end))
}

pub(super) fn unauthenticated() -> ErrorResponse {
    Response::message(
        StatusCode::UNAUTHORIZED,
        "Authentication required. Please supply a valid API Access Token: https://buildkite.com/docs/apis/rest-api#authentication",
    )
}

pub(super) fn missing_scope(scope: &str) -> ErrorResponse {
    Response::message(
        StatusCode::FORBIDDEN,
        &format!("Your access token doesn't have the {scope} scope"),
    )
}

pub(super) fn forbidden() -> ErrorResponse {
    Response::message(StatusCode::FORBIDDEN, "Forbidden")
}

/// The 404 for a row that is missing, hidden or out of the token's reach: `No … found`.
pub(super) fn not_found(what: &str) -> ErrorResponse {
    Response::message(StatusCode::NOT_FOUND, &format!("No {what} found"))
}

pub(super) fn validation_failed(reason: &str) -> ErrorResponse {
    Response::message(
        StatusCode::UNPROCESSABLE_ENTITY,
        &format!("Validation failed: {reason}"),
    )
}
