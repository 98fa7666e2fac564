//! The identity of the connector at the platform: client id, client secret, and the signed assertion.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::rand;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::Deserialize;
use serde_json::json;

/// Validity of an assertion before and after its issue, in seconds.
const VALIDITY: i64 = 120;

/// A client id: `<name>@<host>[:port]/<rest>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientId {
    text: String,
    authority: String,
}

/// What is wrong with a client id or a client secret. The secret itself is in no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The client id has another form.
    #[error("a client id is written `<name>@<host>/<rest>`: copy it from the platform's page of this connector")]
    ClientId,
    /// The client secret has another form.
    #[error(
        "a client secret has four parts with `:` between them, the third being `v1`: copy it from the platform whole"
    )]
    Secret,
    /// The secret's last part is no key.
    #[error("the client secret's last part holds no private Ed25519 key (JWK): copy it from the platform whole")]
    Key,
}

impl FromStr for ClientId {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let (name, rest) = text.split_once('@').ok_or(IdentityError::ClientId)?;
        let (authority, _) = rest.split_once('/').ok_or(IdentityError::ClientId)?;
        let parsed: http::uri::Authority = authority.parse().map_err(|_| IdentityError::ClientId)?;
        if name.is_empty() || parsed.host().is_empty() || authority.contains('@') {
            return Err(IdentityError::ClientId);
        }
        Ok(Self {
            text: text.to_owned(),
            authority: authority.to_owned(),
        })
    }
}

impl ClientId {
    /// The id as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The platform's host, and port if one is named.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The audience of assertions: the host without a port, also where another host is dialled.
    fn audience(&self) -> &str {
        self.authority
            .rsplit_once(':')
            .map_or(&self.authority, |(host, _)| host)
    }
}

/// A client secret. It has no readable debug form.
pub struct ClientSecret {
    key: SecretSlice<u8>,
    key_id: Option<String>,
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret([redacted])")
    }
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: String,
    d: SecretString,
    kid: Option<String>,
}

impl FromStr for ClientSecret {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let mut parts = text.trim().split(':');
        let (_, _, version, key) = (parts.next(), parts.next(), parts.next(), parts.next());
        let (Some("v1"), Some(key), None) = (version, key, parts.next()) else {
            return Err(IdentityError::Secret);
        };
        let jwk = SecretSlice::from(URL_SAFE_NO_PAD.decode(key).map_err(|_| IdentityError::Key)?);
        let jwk: Jwk = serde_json::from_slice(jwk.expose_secret()).map_err(|_| IdentityError::Key)?;
        if jwk.kty != "OKP" || jwk.crv != "Ed25519" {
            return Err(IdentityError::Key);
        }
        let seed = URL_SAFE_NO_PAD
            .decode(jwk.d.expose_secret())
            .map_err(|_| IdentityError::Key)?;
        let secret = Self {
            key: seed.into(),
            key_id: jwk.kid,
        };
        secret.pair().ok_or(IdentityError::Key)?;
        Ok(secret)
    }
}

impl ClientSecret {
    fn pair(&self) -> Option<Ed25519KeyPair> {
        Ed25519KeyPair::from_seed_unchecked(self.key.expose_secret()).ok()
    }

    /// A signed assertion for the token endpoint, good for two minutes from `now`; none where the system has no randomness.
    pub(super) fn assert(&self, client: &ClientId, now: Timestamp) -> Option<SecretString> {
        let mut nonce = [0; 16];
        rand::fill(&mut nonce).ok()?;
        let mut header = json!({"alg": "EdDSA", "typ": "JWT", "nonce": URL_SAFE_NO_PAD.encode(nonce)});
        if let (Some(id), Some(header)) = (&self.key_id, header.as_object_mut()) {
            header.insert("kid".to_owned(), json!(id));
        }
        let now = now.as_second();
        let claims = json!({
            "iss": client.as_str(),
            "sub": client.as_str(),
            "aud": [client.audience()],
            "iat": now,
            "nbf": now - VALIDITY,
            "exp": now + VALIDITY,
        });
        let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = self.pair()?.sign(signed.as_bytes());
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)).into())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn secret(jwk: &str) -> String {
        format!("a:b:v1:{}", URL_SAFE_NO_PAD.encode(jwk))
    }

    fn jwk() -> String {
        format!(
            r#"{{"kty":"OKP","crv":"Ed25519","x":"","d":"{}"}}"#,
            URL_SAFE_NO_PAD.encode([7; 32])
        )
    }

    #[rstest]
    #[case("name@host.example/x", "host.example", "host.example")]
    #[case("name@host.example:8443/x/y", "host.example:8443", "host.example")]
    fn a_client_id_names_the_host_to_dial_and_the_audience(
        #[case] id: &str,
        #[case] host: &str,
        #[case] audience: &str,
    ) {
        let id: ClientId = id.parse().unwrap();
        assert_eq!((id.authority(), id.audience()), (host, audience));
    }

    #[rstest]
    #[case("")]
    #[case("name@host")]
    #[case("host/x")]
    #[case("@host/x")]
    #[case("name@/x")]
    #[case("name@a b/x")]
    fn a_client_id_of_another_form_is_refused(#[case] id: &str) {
        assert_eq!(id.parse::<ClientId>(), Err(IdentityError::ClientId));
    }

    #[rstest]
    #[case("", IdentityError::Secret)]
    #[case("a:b:v2:c", IdentityError::Secret)]
    #[case("a:b:v1", IdentityError::Secret)]
    #[case("a:b:v1:!", IdentityError::Key)]
    #[case(&secret("{}"), IdentityError::Key)]
    #[case(&secret(r#"{"kty":"OKP","crv":"Ed25519","d":"c2hvcnQ"}"#), IdentityError::Key)]
    #[case(&secret(&jwk().replace("Ed25519", "X25519")), IdentityError::Key)]
    fn a_secret_of_another_form_is_refused_without_being_shown(#[case] text: &str, #[case] error: IdentityError) {
        let refused = text.parse::<ClientSecret>().unwrap_err();
        assert_eq!(refused, error);
    }

    #[test]
    fn a_secret_is_not_shown_and_signs_another_assertion_each_time() {
        let secret: ClientSecret = secret(&jwk()).parse().unwrap();
        assert_eq!(format!("{secret:?}"), "ClientSecret([redacted])");
        let id = "name@host/x".parse().unwrap();
        let assert = || {
            secret
                .assert(&id, Timestamp::UNIX_EPOCH)
                .unwrap()
                .expose_secret()
                .to_owned()
        };
        assert_ne!(assert(), assert());
    }
}
