//! An access token with a public key: each request carries a JWT that the private key signed (reference, section 5.4).
//!
//! Buildkite accepts a JWT whose `iat` is within 10 seconds of its own clock, so one is used for at most 5 seconds, and `iat` is
//! corrected by the clock skew that responses show. Before the first response the skew is read from the root of the API.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::ExposeSecret;
use serde::Serialize;
use tokio::time::Instant;
use uuid::Uuid;

use super::authorization::Authorization;
use super::refusal::{CredentialRefusal, RefusalCause};
use super::secret_file::SecretFile;
use super::signing_key::SigningKey;
use super::upstream::Upstream;

/// How long a JWT is used.
const MAX_AGE: Duration = Duration::from_secs(5);

/// How long a JWT is valid, in seconds: the most that Buildkite accepts.
const VALIDITY: i64 = 5 * 60;

/// Interval between two attempts to read the server's clock.
const CLOCK_RETRY: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct PrivateKey {
    access_token_id: Uuid,
    pub(super) key: SecretFile<SigningKey>,
    signed: Mutex<Signatures>,
    /// When the server's clock was last requested. Held during the request, so that concurrent requests share it.
    clock_requested: tokio::sync::Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Signatures {
    latest: Option<Signed>,
    count: u64,
}

#[derive(Debug)]
struct Signed {
    authorization: Arc<Authorization>,
    key: u64,
    at: Instant,
}

#[derive(Serialize)]
struct Claims {
    iss: Uuid,
    iat: i64,
    exp: i64,
}

impl PrivateKey {
    pub(super) fn new(access_token_id: Uuid, key: SecretFile<SigningKey>) -> Self {
        Self {
            access_token_id,
            key,
            signed: Mutex::default(),
            clock_requested: tokio::sync::Mutex::default(),
        }
    }

    /// The same credential with the key in use now.
    pub(super) fn pinned(&self) -> Self {
        Self::new(self.access_token_id, self.key.pinned())
    }

    /// Makes the server's clock known, if it can be read.
    pub(super) async fn prepare(&self, upstream: &Upstream) {
        if upstream.clock_skew.server_ahead().is_some() {
            return;
        }
        let mut requested = self.clock_requested.lock().await;
        let is_recent = requested.is_some_and(|at| at.elapsed() < CLOCK_RETRY);
        if is_recent || upstream.clock_skew.server_ahead().is_some() {
            return;
        }
        upstream.read_clock().await;
        *requested = Some(Instant::now());
    }

    /// A JWT that was signed at most 5 seconds ago by the key in use.
    ///
    /// # Errors
    /// If the system cannot sign.
    pub(super) fn authorization(&self, upstream: &Upstream) -> Result<Arc<Authorization>, CredentialRefusal> {
        let key = self.key.current();
        let mut signatures = self.signatures();
        if let Some(latest) = &signatures.latest
            && latest.key == key.number
            && latest.at.elapsed() < MAX_AGE
        {
            return Ok(Arc::clone(&latest.authorization));
        }
        let at = Instant::now();
        let iat = upstream.now().as_second();
        let claims = Claims {
            iss: self.access_token_id,
            iat,
            exp: iat + VALIDITY,
        };
        signatures.count += 1;
        let version = signatures.count;
        let signed = key.secret.sign(&claims);
        let token = signed.and_then(|signed| signed.expose_secret().parse().ok());
        let authorization = token.and_then(|token| Authorization::bearer(&token, version));
        let authorization = Arc::new(authorization.ok_or_else(|| CredentialRefusal::new(RefusalCause::Signing))?);
        signatures.latest = Some(Signed {
            authorization: Arc::clone(&authorization),
            key: key.number,
            at,
        });
        Ok(authorization)
    }

    /// Reads the key's file, and discards a JWT that was rejected, so that the next request is signed anew.
    pub(super) async fn discard(&self, rejected: &Authorization) {
        self.key.reload().await;
        let mut signatures = self.signatures();
        let is_latest = |signed: &Signed| signed.authorization.version() == rejected.version();
        if signatures.latest.as_ref().is_some_and(is_latest) {
            signatures.latest = None;
        }
    }

    fn signatures(&self) -> MutexGuard<'_, Signatures> {
        self.signed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
