//! Pages of a list with cursors: `after`, `before`, `per_page`, and the links in the body and in the `Link` header
//! (section 3.3 of the REST reference). These lists are newest first.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use super::behaviors::{Behaviors, CursorBody, Link};
use super::indexed_list::Keyed;
use super::pages::PageQuery;
use super::response::{ErrorResponse, Response};
use super::target;

const DEFAULT_PER_PAGE: usize = 30;
const MAX_PER_PAGE: usize = 100;

/// Which links a list's pages have beside `self` and `next`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CursorLinks {
    /// None.
    NextOnly,
    /// `prev` and `first`.
    BothWays,
}

/// A list with cursors before it is rendered.
pub(super) struct CursorListing<'a> {
    pub(super) query: &'a PageQuery,
    pub(super) behaviors: &'a Behaviors,
    /// The list's absolute URL, without a query.
    pub(super) url: String,
    pub(super) links: CursorLinks,
    /// Return at most this many rows of the page, because of a fault.
    pub(super) max_rows: Option<usize>,
}

impl CursorListing<'_> {
    /// Returns the requested page of the rows that `document` returns JSON for. `rows` are oldest first.
    ///
    /// A cursor names a row, which may have left the list since.
    pub(super) fn render<R: Keyed>(
        &self,
        rows: &[R],
        document: impl Fn(&R) -> Option<Value>,
    ) -> Result<Response, ErrorResponse> {
        let per_page = self.per_page()?;
        let position = |name: &str| -> Result<Option<usize>, ErrorResponse> {
            let is_list = self.query.parameter(&format!("{name}[]")).is_some();
            let Some(cursor) = self.query.parameter(name).or(is_list.then_some("")) else {
                return Ok(None);
            };
            let id = decode(cursor);
            let position = id.and_then(|id| rows.iter().position(|row| row.key() == id));
            position.map(Some).ok_or_else(|| bad_request("Invalid cursor"))
        };
        let (after, before) = (position("after")?, position("before")?);
        if after.is_some() && before.is_some() {
            return Err(bad_request("Only one of after and before can be given"));
        }
        let shown: Vec<(usize, Value, &R)> = rows
            .iter()
            .enumerate()
            .rev()
            .filter_map(|(position, row)| Some((position, document(row)?, row)))
            .collect();
        let start = match (after, before) {
            (Some(after), _) => shown.iter().take_while(|(position, ..)| *position >= after).count(),
            (None, Some(before)) => {
                let newer = shown.iter().take_while(|(position, ..)| *position > before).count();
                newer.saturating_sub(per_page)
            }
            (None, None) => 0,
        };
        let page: Vec<&(usize, Value, &R)> = shown.iter().skip(start).take(per_page).collect();
        let has_next = start + page.len() < shown.len() || self.behaviors.link == Link::WrongNext;
        let cursor = |row: Option<&&(usize, Value, &R)>| row.map(|(_, _, row)| encode(row.key()));
        let next = cursor(page.last()).filter(|_| has_next);
        let prev = cursor(page.first()).filter(|_| start > 0);
        let links = self.links(next.as_deref(), prev.as_deref());
        let items: Vec<&Value> = page
            .iter()
            .take(self.max_rows.unwrap_or(per_page))
            .map(|(_, document, _)| document)
            .collect();
        Ok(self.respond(&items, links))
    }

    fn respond(&self, items: &[&Value], links: Vec<(&'static str, String)>) -> Response {
        let header = links
            .iter()
            .map(|(relation, url)| format!("<{url}>; rel=\"{relation}\""))
            .collect::<Vec<_>>()
            .join(", ");
        let links: Map<String, Value> = links
            .into_iter()
            .map(|(relation, url)| (relation.to_owned(), url.into()))
            .collect();
        let mut response = match self.behaviors.cursor_body {
            CursorBody::Envelope => Response::ok(&json!({ "items": items, "links": links })),
            CursorBody::Array => Response::ok(&items),
        };
        if self.behaviors.link != Link::Never
            && let Ok(header) = HeaderValue::try_from(header)
        {
            response.headers.insert(header::LINK, header);
        }
        response
    }

    fn links(&self, next: Option<&str>, prev: Option<&str>) -> Vec<(&'static str, String)> {
        let mut links = vec![("self", self.link(self.query.cursor()))];
        links.extend(next.map(|cursor| ("next", self.link(Some(("after", cursor))))));
        if self.links == CursorLinks::BothWays {
            links.extend(prev.map(|cursor| ("prev", self.link(Some(("before", cursor))))));
            links.push(("first", self.link(None)));
        }
        links
    }

    fn link(&self, cursor: Option<(&str, &str)>) -> String {
        let query = self.query.query_with_cursor(cursor);
        let separator = if query.is_empty() { "" } else { "?" };
        let path = url::Url::parse(&self.url)
            .ok()
            .filter(|_| self.behaviors.link == Link::ForeignHost)
            .map(|url| format!("https://elsewhere.invalid{}", url.path()));
        format!("{}{separator}{query}", path.as_ref().unwrap_or(&self.url))
    }

    fn per_page(&self) -> Result<usize, ErrorResponse> {
        let wanted = match self.query.parameter("per_page") {
            Some(wanted) => wanted.parse().ok().filter(|rows| (1..=MAX_PER_PAGE).contains(rows)),
            None => Some(DEFAULT_PER_PAGE),
        };
        let wanted = wanted.ok_or_else(|| bad_request("per_page must be between 1 and 100"))?;
        let cap = usize::try_from(self.behaviors.per_page_cap).unwrap_or(MAX_PER_PAGE);
        Ok(wanted.min(cap))
    }
}

fn encode(id: uuid::Uuid) -> String {
    STANDARD.encode(format!("cursor-{id}"))
}

fn decode(cursor: &str) -> Option<uuid::Uuid> {
    let text = String::from_utf8(STANDARD.decode(cursor).ok()?).ok()?;
    target::parse_uuid(text.strip_prefix("cursor-")?)
}

fn bad_request(message: &str) -> ErrorResponse {
    Response::message(StatusCode::BAD_REQUEST, message)
}
