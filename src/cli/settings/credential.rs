//! The credential of the API, in one of three forms: a token, a private key, or a token exchange.

use std::path::PathBuf;
use std::str::FromStr;

use uuid::Uuid;

use super::SettingError;
use super::error::name;
use super::value::{PathParser, parsed_by};
use crate::providers::buildkite::{
    ApiToken, Credential, OAuthSubject, OAuthUrl, OrganizationSlug, Shared, TokenExchangeOptions,
};

/// The environment variable of the token. It has no flag, because other processes can read a command line.
pub(super) const TOKEN: &str = "BUILDKITE_API_TOKEN";

/// The flags.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct CredentialArgs {
    /// A file that holds the API token; the alternative is the variable `BUILDKITE_API_TOKEN`
    #[arg(
        long,
        env = "BUILDKITE_API_TOKEN_FILE",
        value_name = "PATH",
        value_parser = PathParser
    )]
    api_token_file: Option<PathBuf>,
    /// In place of a token: the UUID of an access token with a public key; needs --private-key-file
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_ACCESS_TOKEN_ID",
        value_name = "UUID",
        value_parser = parsed_by(access_token_id)
    )]
    access_token_id: Option<Uuid>,
    /// The RSA key that signs requests for --access-token-id, PEM
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_PRIVATE_KEY_FILE",
        value_name = "PATH",
        value_parser = PathParser
    )]
    private_key_file: Option<PathBuf>,
    /// In place of a token: the client id of an OAuth application that exchanges tokens; needs --oauth-private-key-file and
    /// --oauth-subject
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_OAUTH_CLIENT_ID",
        value_name = "ID",
        value_parser = parsed_by(client_id)
    )]
    oauth_client_id: Option<String>,
    /// The RSA or EC (P-256) key of the OAuth application, PEM
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_OAUTH_PRIVATE_KEY_FILE",
        value_name = "PATH",
        value_parser = PathParser
    )]
    oauth_private_key_file: Option<PathBuf>,
    /// The user that exchanged tokens are for, by e-mail address or UUID
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_OAUTH_SUBJECT",
        value_name = "EMAIL|UUID",
        value_parser = parsed_by(OAuthSubject::from_str)
    )]
    oauth_subject: Option<OAuthSubject>,
    /// The token endpoint that exchanges tokens
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_OAUTH_URL",
        value_name = "URL",
        default_value = OAuthUrl::DEFAULT,
        value_parser = parsed_by(OAuthUrl::from_str)
    )]
    oauth_url: OAuthUrl,
}

impl CredentialArgs {
    /// The credential for `organization`. `variable` reads the environment, of which only the token is used here.
    ///
    /// # Errors
    /// When there is no credential or only a part of one, when there are two, or when its secret cannot be used.
    pub(super) fn credential(
        &self,
        organization: &OrganizationSlug,
        shared: &Shared,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Credential, SettingError> {
        let token = variable(TOKEN).filter(|token| !token.is_empty());
        self.refuse_two_forms(token.is_some())?;
        if let Some(credential) = self.private_key(shared)? {
            return Ok(credential);
        }
        if let Some(credential) = self.token_exchange(organization, shared)? {
            return Ok(credential);
        }
        match (token, &self.api_token_file) {
            (Some(token), _) => {
                let token = ApiToken::from_str(&token).map_err(|problem| SettingError::of_variable(TOKEN, problem))?;
                Ok(token.into())
            }
            (None, Some(file)) => {
                Credential::from_file(file.clone(), shared).map_err(|problem| error("api-token-file", problem))
            }
            (None, None) => {
                let file = name::<Self>("api-token-file");
                let problem = format!(
                    "set it to an API access token from https://buildkite.com/user/api-access-tokens, or give {file}"
                );
                Err(SettingError::of_variable(TOKEN, problem))
            }
        }
    }

    /// Names the second form, if more than one is given.
    fn refuse_two_forms(&self, has_variable: bool) -> Result<(), SettingError> {
        let flags = [
            ("api-token-file", self.api_token_file.is_some()),
            (
                "access-token-id",
                self.access_token_id.is_some() || self.private_key_file.is_some(),
            ),
            (
                "oauth-client-id",
                self.oauth_client_id.is_some() || self.oauth_private_key_file.is_some() || self.oauth_subject.is_some(),
            ),
        ];
        let variable = has_variable.then(|| TOKEN.to_owned());
        let flags = flags.into_iter().filter(|(_, is_given)| *is_given);
        let mut given: Vec<&str> = flags.map(|(flag, _)| flag).collect();
        let Some(last) = given.pop() else { return Ok(()) };
        let other = variable.or_else(|| given.last().map(|flag| name::<Self>(flag)));
        match other {
            None => Ok(()),
            Some(other) => Err(error(last, format!("set either this or {other}, not both"))),
        }
    }

    fn private_key(&self, shared: &Shared) -> Result<Option<Credential>, SettingError> {
        match (self.access_token_id, &self.private_key_file) {
            (None, None) => Ok(None),
            (Some(id), Some(file)) => {
                let credential = Credential::from_private_key(id, file.clone(), shared);
                credential
                    .map(Some)
                    .map_err(|problem| error("private-key-file", problem))
            }
            (Some(_), None) => Err(needs("access-token-id", "private-key-file")),
            (None, Some(_)) => Err(needs("private-key-file", "access-token-id")),
        }
    }

    fn token_exchange(
        &self,
        organization: &OrganizationSlug,
        shared: &Shared,
    ) -> Result<Option<Credential>, SettingError> {
        let [id, key, subject] = ["oauth-client-id", "oauth-private-key-file", "oauth-subject"];
        match (&self.oauth_client_id, &self.oauth_private_key_file, &self.oauth_subject) {
            (None, None, None) => Ok(None),
            (Some(client_id), Some(file), Some(subject)) => {
                let options = TokenExchangeOptions {
                    client_id: client_id.clone(),
                    subject: subject.clone(),
                    url: self.oauth_url.clone(),
                    organization: organization.clone(),
                };
                let credential = Credential::from_token_exchange(options, file.clone(), shared);
                credential.map(Some).map_err(|problem| error(key, problem))
            }
            (Some(_), None, _) => Err(needs(id, key)),
            (Some(_), Some(_), None) => Err(needs(id, subject)),
            (None, Some(_), _) => Err(needs(key, id)),
            (None, None, Some(_)) => Err(needs(subject, id)),
        }
    }
}

fn error(long: &str, problem: impl std::fmt::Display) -> SettingError {
    SettingError::of::<CredentialArgs>(long, problem)
}

fn needs(long: &str, missing: &str) -> SettingError {
    error(long, format!("give {} as well", name::<CredentialArgs>(missing)))
}

fn access_token_id(text: &str) -> Result<Uuid, &'static str> {
    let id = text.trim().parse().ok().filter(|id: &Uuid| !id.is_nil());
    id.ok_or("give the UUID of the access token, as https://buildkite.com/user/api-access-tokens shows it")
}

fn client_id(text: &str) -> Result<String, &'static str> {
    let id = text.trim();
    let is_id = !id.is_empty() && id.chars().all(|character| character.is_ascii_graphic());
    is_id
        .then(|| id.to_owned())
        .ok_or("give the client id of the OAuth application, as its page shows it")
}
