//! The API token: parsed once and excluded from every output.

use std::fmt;
use std::str::FromStr;

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

/// Why a text is not an API access token. Never contains any part of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The text is empty or white space.
    #[error("the API token is empty")]
    Empty,
    /// The text contains characters that cannot be sent in a header.
    #[error("the API token holds spaces or characters that no token has: copy it again, on one line")]
    NotAToken,
    /// The text is another type of Buildkite secret.
    #[error(
        "the token starts with `{prefix}`, which is {kind}, not a user's API access token: create one at https://buildkite.com/user/api-access-tokens"
    )]
    WrongKind {
        /// The prefix that identifies the type; it is public and not part of the secret.
        prefix: &'static str,
        /// The type in words.
        kind: &'static str,
    },
}

/// Prefixes of Buildkite secrets that are not valid for the REST API (reference, section 5.6).
const OTHER_KINDS: [(&str, &str); 13] = [
    ("bkaa_", "an agent session token"),
    ("bkaj_", "an agent job token"),
    ("bkjat_", "a job acquisition token"),
    ("bkar_", "an agent registration token"),
    ("bkct_", "a cluster agent token"),
    ("bkcqt_", "a cluster queue token"),
    ("bkpt_", "a packages token"),
    ("bkrt_", "a registry token"),
    ("bkpat_", "a portal token"),
    ("bkps_", "a portal secret"),
    ("bktr_", "a pipeline trigger token"),
    ("bkat_", "a pipeline access token"),
    ("bkur_", "an OAuth refresh token"),
];

/// A bearer token of the REST API: an API access token (`bkua_…`, or an old one without prefix), a token of an exchange
/// (`bktx_…`), or a signed JWT.
#[derive(Clone)]
pub struct ApiToken(SecretString);

impl ApiToken {
    /// The `authorization` header, marked sensitive so that no HTTP library prints it.
    ///
    /// # Errors
    /// If the token cannot be put into a header.
    pub(crate) fn authorization(&self) -> Result<HeaderValue, CredentialError> {
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.0.expose_secret()))
            .map_err(|_| CredentialError::NotAToken)?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// Whether both tokens are the same secret.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl FromStr for ApiToken {
    type Err = CredentialError;

    /// Parses a token; surrounding white space, such as a trailing newline, is ignored.
    fn from_str(text: &str) -> Result<Self, CredentialError> {
        let token = text.trim();
        if token.is_empty() {
            return Err(CredentialError::Empty);
        }
        if !token.chars().all(|c| c.is_ascii_graphic()) {
            return Err(CredentialError::NotAToken);
        }
        if let Some((prefix, kind)) = OTHER_KINDS.into_iter().find(|(prefix, _)| token.starts_with(prefix)) {
            return Err(CredentialError::WrongKind { prefix, kind });
        }
        Ok(Self(token.into()))
    }
}

impl fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiToken(..)")
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn a_token_is_trimmed_and_sent_as_a_bearer() {
        let token: ApiToken = "  bkua_0123456789abcdef\n".parse().unwrap();
        let header = token.authorization().unwrap();
        assert_eq!(header.to_str().unwrap(), "Bearer bkua_0123456789abcdef");
        assert!(header.is_sensitive());
    }

    #[test]
    fn the_debug_output_of_the_token_and_its_header_hides_the_secret() {
        let token: ApiToken = "bkua_0123456789abcdef".parse().unwrap();
        let shown = format!("{token:?} {:?}", token.authorization().unwrap());
        assert!(!shown.contains("0123456789abcdef"), "{shown}");
    }

    #[rstest]
    #[case("", CredentialError::Empty)]
    #[case(" \n", CredentialError::Empty)]
    #[case("bkua_abc def", CredentialError::NotAToken)]
    #[case("bkua_abc\ndef", CredentialError::NotAToken)]
    #[case("bkua_äbc", CredentialError::NotAToken)]
    fn a_text_that_cannot_be_a_token_is_rejected(#[case] text: &str, #[case] error: CredentialError) {
        assert_eq!(text.parse::<ApiToken>().unwrap_err(), error);
    }

    #[test]
    fn each_other_secret_is_rejected_by_its_prefix() {
        for (prefix, _) in OTHER_KINDS {
            let sentence = format!("{prefix}s3cr3ts3cr3t")
                .parse::<ApiToken>()
                .unwrap_err()
                .to_string();
            assert!(sentence.contains(prefix) && !sentence.contains("s3cr3t"), "{sentence}");
        }
    }

    #[test]
    fn an_old_token_without_prefix_is_accepted() {
        assert!("0123456789abcdef0123456789abcdef01234567".parse::<ApiToken>().is_ok());
    }
}
