//! Pages of a list: `page`, `per_page` and the `Link` header (section 3.1 of the REST reference), within the chosen
//! behaviors.

use std::fmt::Write;

use http::{HeaderValue, header};
use serde::Serialize;
use url::form_urlencoded;

use super::behaviors::{Behaviors, Link, Order, Paging};
use super::response::Response;

/// Rows per page by default.
const DEFAULT_PER_PAGE: usize = 30;

/// The parameters of a request's query.
#[derive(Clone, Debug, Default)]
pub(super) struct PageQuery {
    parameters: Vec<(String, String)>,
}

impl PageQuery {
    pub(super) fn from_query(query: &str) -> Self {
        Self {
            parameters: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        }
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find_map(|(key, value)| (key == name).then_some(value.as_str()))
    }

    /// The requested page, from 1. An invalid number means page 1.
    pub(super) fn page(&self) -> usize {
        self.number("page").unwrap_or(1)
    }

    /// Requests page 1 instead.
    pub(super) fn reset_page(&mut self) {
        self.parameters
            .retain(|(key, _)| !matches!(key.as_str(), "page" | "after" | "before"));
    }

    /// All values of a parameter that may be repeated, with or without brackets.
    pub(super) fn values<'q>(&'q self, name: &'q str) -> impl Iterator<Item = &'q str> {
        self.parameters
            .iter()
            .filter(move |(key, _)| key.strip_suffix("[]").unwrap_or(key) == name)
            .map(|(_, value)| value.as_str())
    }

    /// The parameters of the form `name[key]`.
    pub(super) fn entries<'q>(&'q self, name: &'q str) -> impl Iterator<Item = (&'q str, &'q str)> {
        self.parameters.iter().filter_map(move |(key, value)| {
            let key = key.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']')?;
            Some((key, value.as_str()))
        })
    }

    /// The requested cursor, `after` or `before`.
    pub(super) fn cursor(&self) -> Option<(&str, &str)> {
        ["after", "before"]
            .into_iter()
            .find_map(|name| self.parameter(name).map(|cursor| (name, cursor)))
    }

    /// The same query with another cursor.
    pub(super) fn query_with_cursor(&self, cursor: Option<(&str, &str)>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(
            self.parameters
                .iter()
                .filter(|(key, _)| !matches!(key.as_str(), "after" | "before")),
        );
        query.extend_pairs(cursor).finish()
    }

    /// The rows that come before the requested page.
    pub(super) fn skipped_rows(&self, cap: u32) -> usize {
        (self.page() - 1).saturating_mul(self.per_page(cap))
    }

    fn per_page(&self, cap: u32) -> usize {
        self.number("per_page")
            .unwrap_or(DEFAULT_PER_PAGE)
            .min(usize::try_from(cap).unwrap_or(usize::MAX))
            .max(1)
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.parameter(name)?.parse().ok().filter(|&number| number > 0)
    }

    /// The same query for another page.
    fn query_for(&self, page: usize) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.parameters.iter().filter(|(key, _)| key != "page"));
        query.append_pair("page", &page.to_string()).finish()
    }
}

/// A list before it is rendered.
pub(super) struct Listing<'a> {
    pub(super) query: &'a PageQuery,
    pub(super) paging: Paging,
    pub(super) behaviors: &'a Behaviors,
    /// The list's absolute URL, without a query.
    pub(super) url: &'a str,
    /// Return at most this many rows of the page, because of a fault.
    pub(super) max_rows: Option<usize>,
}

impl Listing<'_> {
    /// Returns the requested page, in the order that the behavior determines. Only its own rows are serialized.
    pub(super) fn render<'r, R, D: Serialize>(&self, rows: &'r [R], document: impl Fn(&'r R) -> D) -> Response {
        match self.behaviors.order {
            Order::OldestFirst => self.page_of(rows.len(), rows.iter().map(document)),
            Order::NewestFirst => self.page_of(rows.len(), rows.iter().rev().map(document)),
        }
    }

    /// Returns the requested page of rows whose order is documented.
    pub(super) fn render_in_order<'r, R, D: Serialize>(
        &self,
        rows: &'r [R],
        document: impl Fn(&'r R) -> D,
    ) -> Response {
        self.page_of(rows.len(), rows.iter().map(document))
    }

    fn page_of<D: Serialize>(&self, length: usize, documents: impl Iterator<Item = D>) -> Response {
        let (page, per_page) = self.page_and_size(length);
        let start = (page - 1).saturating_mul(per_page);
        let max_rows = self.max_rows.map_or(per_page, |rows| rows.min(per_page));
        let documents: Vec<D> = documents.skip(start).take(max_rows).collect();
        let mut response = Response::ok(&documents);
        if let Some(link) = self.link(page, length.div_ceil(per_page).max(1)) {
            response.headers.insert(header::LINK, link);
        }
        response
    }

    /// The page and page size that the list uses for this request.
    fn page_and_size(&self, rows: usize) -> (usize, usize) {
        match self.paging {
            Paging::Paged => (self.query.page(), self.query.per_page(self.behaviors.per_page_cap)),
            Paging::PerPageIgnored => (self.query.page(), DEFAULT_PER_PAGE),
            Paging::PageIgnored => (1, self.query.per_page(self.behaviors.per_page_cap)),
            Paging::Complete => (1, rows.max(1)),
        }
    }

    fn link(&self, page: usize, pages: usize) -> Option<HeaderValue> {
        // A list without pages has no links.
        if matches!(self.paging, Paging::Complete | Paging::PageIgnored) {
            return None;
        }
        match self.behaviors.link {
            Link::Never => return None,
            Link::OnlyWhenMore | Link::ForeignHost if pages == 1 => return None,
            Link::OnlyWhenMore | Link::ForeignHost | Link::Always | Link::WrongNext => {}
        }
        let next = (page < pages || self.behaviors.link == Link::WrongNext).then_some(page + 1);
        let prev = (page > 1).then(|| page - 1);
        let entries = [
            ("next", next),
            ("prev", prev),
            ("first", Some(1)),
            ("last", Some(pages)),
        ];
        let mut value = String::new();
        for (relation, page) in entries
            .into_iter()
            .filter_map(|(relation, page)| page.map(|page| (relation, page)))
        {
            let separator = if value.is_empty() { "" } else { ", " };
            let url = self.page_url(page);
            // Writing to a string cannot fail.
            let _ = write!(value, "{separator}<{url}>; rel=\"{relation}\"");
        }
        HeaderValue::try_from(value).ok()
    }

    fn page_url(&self, page: usize) -> String {
        let query = self.query.query_for(page);
        if self.behaviors.link != Link::ForeignHost {
            return format!("{}?{query}", self.url);
        }
        let path = url::Url::parse(self.url)
            .map(|url| url.path().to_owned())
            .unwrap_or_default();
        format!("https://elsewhere.invalid{path}?{query}")
    }
}
