//! The token endpoint of the token exchange, and the subject that tokens are for.

use std::fmt;
use std::str::FromStr;

use url::Url;
use uuid::Uuid;

use crate::providers::buildkite::api::origin::is_loopback;

/// Why a text is not a valid token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OAuthUrlError {
    /// The text is not an absolute http or https URL. It is not shown, because it may hold a password.
    #[error("the token endpoint is not an http or https URL: give one such as `https://buildkite.com/oauth/token`")]
    NotUrl,
    /// The URL has a query, fragment or credentials.
    #[error("the token endpoint must have no query, fragment or user in it: give `https://buildkite.com/oauth/token`")]
    NotBare,
    /// Plain http would expose tokens on a network.
    #[error("plain http carries tokens in the clear and is accepted for this machine only: use https")]
    PlainHttp,
}

/// The URL of the token endpoint: https, or plain http on this machine, as for the API base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthUrl(Url);

impl OAuthUrl {
    /// The default endpoint.
    pub const DEFAULT: &'static str = "https://buildkite.com/oauth/token";

    /// The URL, which is also the audience of a client assertion.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether the endpoint is on this machine, where no proxy is used.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.0)
    }
}

impl FromStr for OAuthUrl {
    type Err = OAuthUrlError;

    fn from_str(text: &str) -> Result<Self, OAuthUrlError> {
        let url = Url::parse(text).map_err(|_| OAuthUrlError::NotUrl)?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(OAuthUrlError::NotUrl);
        }
        let anonymous = url.username().is_empty() && url.password().is_none();
        if url.query().is_some() || url.fragment().is_some() || !anonymous {
            return Err(OAuthUrlError::NotBare);
        }
        if url.scheme() == "http" && !is_loopback(&url) {
            return Err(OAuthUrlError::PlainHttp);
        }
        Ok(Self(url))
    }
}

impl fmt::Display for OAuthUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The user whose access a token of the exchange has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OAuthSubject {
    /// By e-mail address.
    Email(String),
    /// By user id.
    User(Uuid),
}

/// A text that names no user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("give the e-mail address or the UUID of the user that tokens are for")]
pub struct OAuthSubjectError;

impl FromStr for OAuthSubject {
    type Err = OAuthSubjectError;

    fn from_str(text: &str) -> Result<Self, OAuthSubjectError> {
        let text = text.trim();
        if let Ok(id) = text.parse() {
            return Ok(Self::User(id));
        }
        let is_email = email_address::EmailAddress::is_valid(text);
        is_email.then(|| Self::Email(text.to_owned())).ok_or(OAuthSubjectError)
    }
}

impl OAuthSubject {
    /// The parameters `subject_token` and `subject_token_type`.
    pub(super) fn parameters(&self) -> (String, &'static str) {
        match self {
            Self::Email(email) => (email.clone(), "urn:buildkite:params:oauth:token-type:user-email"),
            Self::User(id) => (id.to_string(), "urn:buildkite:params:oauth:token-type:user-uuid"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("https://buildkite.com/oauth/token", None)]
    #[case("http://127.0.0.1:8080/oauth/token", None)]
    #[case("http://localhost/oauth/token", None)]
    #[case("http://buildkite.com/oauth/token", Some(OAuthUrlError::PlainHttp))]
    #[case("http://localhost.example.com/oauth/token", Some(OAuthUrlError::PlainHttp))]
    #[case("https://a:b@buildkite.com/oauth/token", Some(OAuthUrlError::NotBare))]
    #[case("https://buildkite.com/oauth/token?a=b", Some(OAuthUrlError::NotBare))]
    #[case("https://buildkite.com/oauth/token#a", Some(OAuthUrlError::NotBare))]
    #[case("buildkite.com/oauth/token", Some(OAuthUrlError::NotUrl))]
    #[case("ftp://buildkite.com/oauth/token", Some(OAuthUrlError::NotUrl))]
    fn the_token_endpoint_obeys_the_rules_of_the_api_base(#[case] text: &str, #[case] error: Option<OAuthUrlError>) {
        let parsed = text.parse::<OAuthUrl>();
        assert_eq!(parsed.as_ref().err(), error.as_ref());
        if let Ok(url) = parsed {
            assert_eq!(url.to_string(), text);
        }
    }

    #[rstest]
    #[case("ada@acme.example", "ada@acme.example", "user-email")]
    #[case(
        " 0d2f8a52-3c1b-4a6e-9d57-2f8b1c0e4a99\n",
        "0d2f8a52-3c1b-4a6e-9d57-2f8b1c0e4a99",
        "user-uuid"
    )]
    fn a_subject_is_an_email_address_or_a_uuid(#[case] text: &str, #[case] token: &str, #[case] token_type: &str) {
        let subject: OAuthSubject = text.parse().unwrap();
        let (sent, sent_type) = subject.parameters();
        assert_eq!(
            (sent.as_str(), sent_type),
            (
                token,
                format!("urn:buildkite:params:oauth:token-type:{token_type}").as_str()
            )
        );
    }

    #[rstest]
    #[case("")]
    #[case("ada")]
    #[case("0d2f8a52")]
    fn anything_else_names_no_subject(#[case] text: &str) {
        assert_eq!(text.parse::<OAuthSubject>(), Err(OAuthSubjectError));
    }
}
