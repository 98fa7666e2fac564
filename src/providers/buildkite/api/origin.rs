//! The origin of the REST API: the only destination of requests.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use url::{Host, Url};

/// Why a text is not a valid API base.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// The text is not an absolute http or https URL. It is not shown, because it may hold a password.
    #[error("the API base is not an http or https URL: give an origin such as `https://api.buildkite.com`")]
    NotUrl,
    /// The URL has a path, query, fragment or credentials.
    #[error("the API base must be an origin such as `https://api.buildkite.com`, with no path, query or user in it")]
    NotOrigin,
    /// Plain http would expose the token on a network.
    #[error("plain http carries the token in the clear and is accepted for this machine only: use https")]
    PlainHttp,
}

/// An http(s) origin without a path: scheme, host and port. Requests and the token are sent to no other host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiOrigin(Url);

impl ApiOrigin {
    /// The default origin.
    pub const DEFAULT: &'static str = "https://api.buildkite.com";

    /// Whether the origin is on this machine: plain http is accepted, and no proxy is used.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.0)
    }

    /// The URL of the root, which needs no credential.
    pub(crate) fn root(&self) -> Url {
        self.0.clone()
    }

    /// The URL of a path below `/v2`; each segment is escaped.
    pub(crate) fn url<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.clear().push("v2").extend(segments);
        }
        url
    }
}

/// Whether a URL leads to this machine: plain http is accepted there.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    }
}

impl FromStr for ApiOrigin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let mut url = Url::parse(text).map_err(|_| OriginError::NotUrl)?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(OriginError::NotUrl);
        }
        let bare = url.query().is_none() && url.fragment().is_none();
        let anonymous = url.username().is_empty() && url.password().is_none();
        if !bare || !anonymous || !matches!(url.path(), "/" | "/v2" | "/v2/") {
            return Err(OriginError::NotOrigin);
        }
        if url.scheme() == "http" && !is_loopback(&url) {
            return Err(OriginError::PlainHttp);
        }
        url.set_path("/");
        Ok(Self(url))
    }
}

impl fmt::Display for ApiOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("https://api.buildkite.com", "https://api.buildkite.com")]
    #[case("https://api.buildkite.com/", "https://api.buildkite.com")]
    #[case("https://api.buildkite.com/v2", "https://api.buildkite.com")]
    #[case("https://api.buildkite.com/v2/", "https://api.buildkite.com")]
    #[case("http://127.0.0.1:8080", "http://127.0.0.1:8080")]
    #[case("http://[::1]:8080", "http://[::1]:8080")]
    #[case("http://localhost:8080/v2", "http://localhost:8080")]
    fn an_origin_is_accepted_with_or_without_v2(#[case] text: &str, #[case] origin: &str) {
        assert_eq!(text.parse::<ApiOrigin>().unwrap().to_string(), origin);
    }

    #[rstest]
    #[case("http://api.buildkite.com", OriginError::PlainHttp)]
    #[case("http://localhost.example.com", OriginError::PlainHttp)]
    #[case("http://10.0.0.1", OriginError::PlainHttp)]
    #[case("https://api.buildkite.com/v3", OriginError::NotOrigin)]
    #[case("https://api.buildkite.com/?a=b", OriginError::NotOrigin)]
    #[case("https://user:pass@api.buildkite.com", OriginError::NotOrigin)]
    #[case("api.buildkite.com", OriginError::NotUrl)]
    #[case("ftp://api.buildkite.com", OriginError::NotUrl)]
    fn any_other_text_is_rejected_with_its_reason(#[case] text: &str, #[case] error: OriginError) {
        assert_eq!(text.parse::<ApiOrigin>(), Err(error));
    }

    #[test]
    fn segments_cannot_leave_the_path() {
        let origin: ApiOrigin = "https://api.buildkite.com".parse().unwrap();
        let url = origin.url(["organizations", "a/b?c"]);
        assert_eq!(url.as_str(), "https://api.buildkite.com/v2/organizations/a%2Fb%3Fc");
    }
}
