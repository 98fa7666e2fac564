//! Lists that continue at a cursor of the server (reference, section 3.3).
//!
//! The cursor is taken from the URL of the next page. The URL itself is never followed, as it may name another host: every request
//! is sent to the configured origin.

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

use super::client::execute::Response;
use super::endpoint::Endpoint;
use super::error::{ApiError, ApiErrorKind};
use crate::providers::buildkite::pagination::next_page_url;

/// Longer than any cursor of Buildkite, and short enough for a URL and a page token.
const MAX_CURSOR_BYTES: usize = 2048;

/// A position in a list as the server wrote it. It is opaque.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerCursor(Arc<str>);

impl ServerCursor {
    /// The cursor, if a server can have written it.
    fn of(text: &str) -> Option<Self> {
        let is_plausible = (1..=MAX_CURSOR_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
        is_plausible.then(|| Self(text.into()))
    }

    /// The cursor in the URL of a next page.
    fn of_url(url: &Url) -> Option<Self> {
        let mut parameters = url.query_pairs();
        let (_, after) = parameters.find(|(name, _)| name == "after")?;
        Self::of(&after)
    }
}

impl fmt::Display for ServerCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for ServerCursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ServerCursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::of(&text).ok_or_else(|| serde::de::Error::custom("a cursor is a short text"))
    }
}

/// One page of such a list.
#[derive(Debug)]
pub struct CursorPage<R> {
    /// The rows, the newest first.
    pub rows: Vec<R>,
    /// Where the list continues; `None` at its end.
    pub next: Option<ServerCursor>,
    /// The number of rows that was requested. A page before the last has as many.
    pub per_page: u32,
}

/// The documented body is an envelope; an older form is a bare array, whose next page only the `Link` header names.
#[derive(Deserialize)]
#[serde(untagged)]
enum Body<R> {
    Envelope { items: Vec<R>, links: Links },
    Bare(Vec<R>),
}

#[derive(Deserialize)]
struct Links {
    next: Option<String>,
}

impl<R: DeserializeOwned> CursorPage<R> {
    /// Decodes a page of which `per_page` rows were requested.
    ///
    /// # Errors
    /// As for every body, and `Unexpected` for a next page without a cursor.
    pub(super) fn decode(response: &Response, per_page: u32, endpoint: Endpoint) -> Result<Self, ApiError> {
        let (rows, next) = match response.decode(endpoint)? {
            Body::Envelope { items, links } => (items, links.next),
            Body::Bare(rows) => (rows, None),
        };
        let without_cursor = || {
            let what = "a next page without a cursor".to_owned();
            ApiError::new(endpoint, ApiErrorKind::Unexpected(what))
        };
        let next = match next {
            Some(next) => Some(Url::parse(&next).map_err(|_| without_cursor())?),
            None => next_page_url(response.headers()),
        };
        let next = next.map(|url| ServerCursor::of_url(&url).ok_or_else(without_cursor));
        Ok(Self {
            rows,
            next: next.transpose()?,
            per_page,
        })
    }
}
