//! The URLs of the web pages of resources. They are built from slugs: the URLs of a response are not trusted.

use url::Url;

/// The maximum bytes of the URL of a resource's web page.
const MAX_PAGE_URL: usize = 1024;

/// The URL of the web page with these path segments; `None` if it is too long for the protocol.
pub(super) fn page(segments: &[&str]) -> Option<String> {
    let mut url = Url::parse("https://buildkite.com").ok()?;
    url.path_segments_mut().ok()?.extend(segments);
    Some(url.to_string()).filter(|url| url.len() <= MAX_PAGE_URL)
}

/// The URL of the web page of something in the settings of an organization.
pub(super) fn organization_page(organization: &str, segments: &[&str]) -> Option<String> {
    page(&[&["organizations", organization], segments].concat())
}
