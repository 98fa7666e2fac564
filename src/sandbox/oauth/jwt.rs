//! Verifies JWTs: the signature by the public key, and the times by the sandbox's clock.

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// The longest validity of a JWT, in seconds.
const MAX_VALIDITY: i64 = 300;

/// How far `iat` of a request may be from the sandbox's time, in seconds.
const IAT_TOLERANCE: i64 = 10;

/// A text that is no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the public key is neither RSA nor EC on the curve P-256 in PEM form")]
pub struct KeyFormatError;

/// A public key, and the algorithm of its signatures.
pub(in crate::sandbox) struct PublicKey {
    key: DecodingKey,
    algorithm: Algorithm,
}

impl PublicKey {
    /// Reads an RSA or EC key in PEM form.
    pub(in crate::sandbox) fn parse(pem: &str) -> Result<Self, KeyFormatError> {
        if let Ok(key) = DecodingKey::from_rsa_pem(pem.as_bytes()) {
            return Ok(Self {
                key,
                algorithm: Algorithm::RS256,
            });
        }
        let key = DecodingKey::from_ec_pem(pem.as_bytes()).map_err(|_| KeyFormatError)?;
        Ok(Self {
            key,
            algorithm: Algorithm::ES256,
        })
    }

    /// The claims of a JWT that the private half of this key signed.
    fn verify<T: DeserializeOwned + Clone>(&self, jwt: &str) -> Option<T> {
        let mut validation = Validation::new(self.algorithm);
        // The times and the audience are checked against the sandbox's own clock and URL.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let read = jsonwebtoken::decode::<T>(jwt, &self.key, &validation).ok()?;
        Some(read.claims)
    }

    /// Whether a JWT authorizes a request with the access token `id` at `now`, in seconds.
    pub(in crate::sandbox) fn authorizes(&self, jwt: &str, id: Uuid, now: i64) -> bool {
        #[derive(Clone, Deserialize)]
        struct Claims {
            iss: Uuid,
            iat: i64,
            exp: i64,
        }
        self.algorithm == Algorithm::RS256
            && self.verify::<Claims>(jwt).is_some_and(|claims| {
                claims.iss == id
                    && (claims.iat - now).abs() <= IAT_TOLERANCE
                    && claims.exp > now
                    && claims.exp <= claims.iat + MAX_VALIDITY
            })
    }

    /// The claims of a client assertion of `client_id` for `audience` at `now`, in seconds; or what is wrong with it.
    pub(super) fn assertion(
        &self,
        jwt: &str,
        client_id: &str,
        audience: &str,
        now: i64,
    ) -> Result<AssertionClaims, &'static str> {
        let claims: AssertionClaims = self.verify(jwt).ok_or("The signature of the assertion is invalid")?;
        if claims.iss != client_id || claims.sub != client_id {
            return Err("iss and sub of the assertion must be the client id");
        }
        if claims.aud != audience {
            return Err("aud of the assertion must be the token URL");
        }
        if claims.exp <= now {
            return Err("The assertion has expired");
        }
        if claims.exp > now + MAX_VALIDITY {
            return Err("The assertion is valid for more than 5 minutes");
        }
        Ok(claims)
    }
}

/// The claims of a client assertion.
#[derive(Clone, Deserialize)]
pub(super) struct AssertionClaims {
    iss: String,
    sub: String,
    aud: String,
    exp: i64,
    pub(super) jti: Option<String>,
}

/// The issuer that a JWT names, without verification: it selects the key.
pub(in crate::sandbox) fn issuer(jwt: &str) -> Option<String> {
    #[derive(Clone, Deserialize)]
    struct Claims {
        iss: String,
    }
    let claims = jsonwebtoken::dangerous::insecure_decode_claims::<Claims>(jwt).ok()?;
    Some(claims.iss)
}
