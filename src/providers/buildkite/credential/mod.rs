//! The credential of the REST API, in one of three forms: its sources, its renewal at runtime, and its secrecy.
//!
//! [`Credential`] yields an authorization for each request and reacts to a rejection. `token` and `secret_file` are a
//! token, possibly from a file; `private_key` signs each request; `token_exchange` exchanges tokens, each of which
//! `renewed` keeps for most of its life.

mod authorization;
mod exchange_response;
mod oauth_url;
mod private_key;
pub(crate) mod refusal;
mod renewed;
pub(crate) mod secret_file;
pub(crate) mod signing_key;
pub(crate) mod token;
mod token_exchange;
pub(crate) mod upstream;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use futures::future::join_all;
use tokio::time::sleep;
use uuid::Uuid;

use super::api::client::{ClientError, http_client};
use super::api::error::{ApiErrorKind, Unavailability};
use super::api::scope::Scope;
use super::shared::Shared;
pub(crate) use authorization::Authorization;
pub use oauth_url::{OAuthSubject, OAuthSubjectError, OAuthUrl, OAuthUrlError};
use private_key::PrivateKey;
use refusal::{CredentialRefusal, RefusalCause};
pub(super) use secret_file::SecretFileThread;
use secret_file::{POLL_INTERVAL, SecretFile, SecretFileError};
use signing_key::SigningKey;
use token::ApiToken;
use token_exchange::TokenExchange;
pub use token_exchange::TokenExchangeOptions;
use upstream::Upstream;

/// Why a credential cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialFileError {
    /// The file of its secret cannot be used.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// The HTTP library could not start.
    #[error(transparent)]
    Http(#[from] ClientError),
}

/// The form of a credential. Only a token is a secret that expires and is replaced as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialForm {
    /// An API access token.
    Token,
    /// An access token with a public key, whose private key signs each request.
    PrivateKey,
    /// Tokens from a token exchange.
    TokenExchange,
}

/// A credential of the REST API, whose secret may be replaced while it is in use.
#[derive(Debug)]
pub struct Credential(Source);

#[derive(Debug)]
enum Source {
    Token(SecretFile<ApiToken>),
    PrivateKey(PrivateKey),
    TokenExchange(TokenExchange),
}

impl From<ApiToken> for Credential {
    fn from(token: ApiToken) -> Self {
        Self(Source::Token(SecretFile::fixed(token)))
    }
}

impl Credential {
    /// Creates a credential from the token in `file`, which is reloaded when it changes.
    ///
    /// # Errors
    /// If the file cannot be used now.
    pub fn from_file(file: PathBuf, shared: &Shared) -> Result<Self, SecretFileError> {
        let token = SecretFile::open(file, str::parse::<ApiToken>)?.reading_on(&shared.secret_files);
        Ok(Self(Source::Token(token)))
    }

    /// Creates a credential from an access token's UUID and the RSA key in `file`, which is reloaded when it changes.
    ///
    /// # Errors
    /// If the file cannot be used now.
    pub fn from_private_key(access_token_id: Uuid, file: PathBuf, shared: &Shared) -> Result<Self, SecretFileError> {
        let key = SecretFile::open(file, SigningKey::parse_rsa)?.reading_on(&shared.secret_files);
        Ok(Self(Source::PrivateKey(PrivateKey::new(access_token_id, key))))
    }

    /// Creates a credential that exchanges tokens with the key in `file`, which is reloaded when it changes. Sends no
    /// request.
    ///
    /// # Errors
    /// If the file cannot be used now, or the HTTP library cannot start.
    pub fn from_token_exchange(
        options: TokenExchangeOptions,
        file: PathBuf,
        shared: &Shared,
    ) -> Result<Self, CredentialFileError> {
        let key = SecretFile::open(file, SigningKey::parse)?.reading_on(&shared.secret_files);
        let http = http_client(options.url.is_loopback(), &shared.tls)?;
        Ok(Self(Source::TokenExchange(TokenExchange::new(http, options, key))))
    }

    /// Requests tokens with these scopes, if tokens are exchanged. The scopes of another form are decided where it is
    /// created.
    pub fn request_scopes(&self, scopes: &BTreeSet<Scope>) {
        if let Source::TokenExchange(exchange) = &self.0 {
            exchange.request_scopes(scopes);
        }
    }

    /// The form.
    #[must_use]
    pub fn form(&self) -> CredentialForm {
        match &self.0 {
            Source::Token(_) => CredentialForm::Token,
            Source::PrivateKey(_) => CredentialForm::PrivateKey,
            Source::TokenExchange(_) => CredentialForm::TokenExchange,
        }
    }

    /// The same credential with the secret in use now, independent of later changes of its file. One that exchanges
    /// tokens stays as it is.
    #[must_use]
    pub fn pinned(self) -> Self {
        Self(match self.0 {
            Source::Token(token) => Source::Token(token.pinned()),
            Source::PrivateKey(key) => Source::PrivateKey(key.pinned()),
            exchange @ Source::TokenExchange(_) => exchange,
        })
    }

    /// Obtains what the next authorization needs, so that it is available without a wait while a request has a permit.
    ///
    /// # Errors
    /// As for [`Self::authorization`].
    pub(crate) async fn prepare(&self, upstream: &Upstream) -> Result<(), ApiErrorKind> {
        match &self.0 {
            Source::Token(_) => Ok(()),
            Source::PrivateKey(key) => {
                key.prepare(upstream).await;
                Ok(())
            }
            Source::TokenExchange(exchange) => exchange.token(upstream).await.map(drop),
        }
    }

    /// The authorization of a request that is sent now.
    ///
    /// # Errors
    /// If no token can be obtained: nothing was sent.
    pub(crate) async fn authorization(&self, upstream: &Upstream) -> Result<Arc<Authorization>, ApiErrorKind> {
        match &self.0 {
            Source::Token(token) => {
                let current = token.current();
                let authorization = Authorization::bearer(&current.secret, current.number);
                authorization.map(Arc::new).ok_or(ApiErrorKind::TokenRejected)
            }
            Source::PrivateKey(key) => {
                key.prepare(upstream).await;
                key.authorization(upstream).map_err(ApiErrorKind::CredentialRefused)
            }
            Source::TokenExchange(exchange) => exchange.authorization(upstream).await,
        }
    }

    /// Reacts to a 401, which means that the request was not executed: returns whether to send it again with the next
    /// authorization. `first` is the authorization of the same request that was rejected first, if this is not the first
    /// rejection: only a token from a file that changed again is sent once more. A response to an identical request of
    /// another call can be a rejection of `first` again, which does not count.
    pub(crate) async fn should_retry_after_rejection(
        &self,
        rejected: &Authorization,
        first: Option<&Authorization>,
    ) -> bool {
        let is_repeated = first.is_some_and(|first| rejected.version() != first.version());
        match &self.0 {
            Source::Token(token) => token.refresh_if_changed(rejected.version()).await,
            Source::PrivateKey(key) => {
                key.discard(rejected).await;
                !is_repeated
            }
            Source::TokenExchange(exchange) => !is_repeated && exchange.discard(rejected).await,
        }
    }

    /// What a 401 means that is final.
    pub(crate) fn rejection(&self) -> ApiErrorKind {
        let refused = |cause| ApiErrorKind::CredentialRefused(CredentialRefusal::new(cause));
        match &self.0 {
            Source::Token(_) => ApiErrorKind::TokenRejected,
            Source::PrivateKey(_) => refused(RefusalCause::SignedRequest),
            Source::TokenExchange(_) => refused(RefusalCause::IssuedToken),
        }
    }

    /// Describes why the credential could not be prepared in time.
    pub(crate) fn unavailable(&self, cause: Unavailability) -> Unavailability {
        match &self.0 {
            Source::TokenExchange(exchange) => exchange.unavailable(cause),
            Source::Token(_) | Source::PrivateKey(_) => cause,
        }
    }

    /// A number that increases whenever the secret is replaced.
    pub(crate) fn secret_number(&self) -> u64 {
        match &self.0 {
            Source::Token(token) => token.current().number,
            Source::PrivateKey(key) => key.key.current().number,
            Source::TokenExchange(exchange) => exchange.key().current().number,
        }
    }

    /// Reads the files of the secrets of `credentials` again and again; never resolves. A file that hangs delays no other for long.
    pub async fn watch_all(credentials: impl Fn() -> Vec<Arc<Self>>) {
        loop {
            sleep(POLL_INTERVAL).await;
            let credentials = credentials();
            join_all(credentials.iter().map(|credential| credential.reload())).await;
        }
    }

    /// Resolves once the secret was replaced. Supports one listener at a time.
    pub async fn replaced(&self) {
        match &self.0 {
            Source::Token(token) => token.replaced().await,
            Source::PrivateKey(key) => key.key.replaced().await,
            Source::TokenExchange(exchange) => exchange.key().replaced().await,
        }
    }

    /// Reads the file of the secret now, and returns when it was read or the read timed out.
    pub async fn reload(&self) {
        match &self.0 {
            Source::Token(token) => token.reload().await,
            Source::PrivateKey(key) => key.key.reload().await,
            Source::TokenExchange(exchange) => exchange.reload().await,
        }
    }
}
