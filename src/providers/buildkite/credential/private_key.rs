//! An access token with a public key: each request carries a JWT that the private key signed (reference, section 5.4).
//!
//! Buildkite accepts a JWT whose `iat` is within 10 seconds of its own clock, so one is used for at most 5 seconds, and
//! `iat` is corrected by the clock skew that responses show. Before the first response the skew is read from the root
//! of the API.

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

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jsonwebtoken::dangerous::insecure_decode;
    use serde_json::Value;
    use tokio::time::advance;

    use super::*;
    use crate::providers::buildkite::api::client::{SharedTls, http_client};
    use crate::providers::buildkite::api::clock_skew::ClockSkew;
    use crate::providers::buildkite::credential::signing_key::tests::rsa_pem;
    use crate::telemetry::metrics::ConnectionTag;

    fn private_key() -> (PrivateKey, Upstream) {
        let key = SigningKey::parse_rsa(&rsa_pem()).unwrap();
        let upstream = Upstream {
            http: http_client(true, &SharedTls::default()).unwrap(),
            origin: "http://127.0.0.1:1".parse().unwrap(),
            clock_skew: Arc::new(ClockSkew::default()),
            timeout: Duration::from_secs(1),
            tag: ConnectionTag::default(),
        };
        (PrivateKey::new(Uuid::from_u128(7), SecretFile::fixed(key)), upstream)
    }

    #[tokio::test(start_paused = true)]
    async fn a_jwt_is_used_for_five_seconds_and_none_that_was_rejected() {
        let (key, upstream) = private_key();
        let version = || key.authorization(&upstream).unwrap().version();
        assert_eq!((version(), version()), (1, 1));
        advance(Duration::from_millis(4_999)).await;
        assert_eq!(version(), 1);
        advance(Duration::from_millis(1)).await;
        assert_eq!(version(), 2);
        let rejected = key.authorization(&upstream).unwrap();
        key.discard(&rejected).await;
        assert_eq!(version(), 3);
        // Another request was rejected for the same reason, and is signed anew by then.
        key.discard(&rejected).await;
        assert_eq!(version(), 3);
    }

    #[tokio::test]
    async fn a_jwt_names_the_access_token_and_is_valid_for_five_minutes_by_the_clock_of_the_server() {
        let (key, upstream) = private_key();
        let server_time = Timestamp::now() + jiff::SignedDuration::from_hours(5);
        upstream.clock_skew.observe_time(server_time, Timestamp::now());
        let header = key.authorization(&upstream).unwrap().header();
        let jwt = header.to_str().unwrap().trim_start_matches("Bearer ").to_owned();
        let claims = insecure_decode::<Value>(jwt).unwrap().claims;
        let number = |name: &str| claims[name].as_i64().unwrap();
        assert_eq!(claims["iss"], Uuid::from_u128(7).to_string());
        assert_eq!(number("exp") - number("iat"), 300);
        assert!((number("iat") - server_time.as_second()).abs() < 60);
        assert_eq!(claims.as_object().unwrap().len(), 3);
    }
}
