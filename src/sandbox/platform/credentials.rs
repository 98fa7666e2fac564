//! The one client that the platform knows: how its secret is written, how its assertion is checked, and the tokens that it got.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

/// How far the two clocks may be apart, in seconds.
const LEEWAY: i64 = 60;

/// An assertion may be good for this long, in seconds.
const LONGEST: i64 = 120;

/// A client that was made: what the connector is given, and what the platform keeps.
pub(super) struct Made {
    pub(super) id: String,
    pub(super) secret: SecretString,
    pub(super) client: Client,
}

/// Makes a client of the platform on this port of this machine.
pub(super) fn make(port: u16) -> Result<Made, Unspecified> {
    let mut seed = [0; 32];
    rand::fill(&mut seed)?;
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| Unspecified)?;
    let public = pair.public_key().as_ref().to_vec();
    let key_id = Uuid::new_v4().to_string();
    let jwk = json!({
        "kty": "OKP",
        "crv": "Ed25519",
        "kid": key_id,
        "x": URL_SAFE_NO_PAD.encode(&public),
        "d": URL_SAFE_NO_PAD.encode(seed),
    });
    let id = format!("sandbox@localhost:{port}/connector");
    Ok(Made {
        id: id.clone(),
        secret: format!("secret-token:sandbox:v1:{}", URL_SAFE_NO_PAD.encode(jwk.to_string())).into(),
        client: Client {
            id,
            host: "localhost",
            key_id,
            public,
        },
    })
}

/// What the platform keeps of its client.
#[derive(Debug)]
pub(super) struct Client {
    id: String,
    /// The audience of an assertion: the id's host, without a port.
    host: &'static str,
    key_id: String,
    public: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    nonce: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Vec<String>,
    exp: i64,
    iat: i64,
    nbf: i64,
}

impl Client {
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Checks a client assertion; what is wrong with it, if anything is.
    pub(super) fn check(&self, assertion: &str, now: Timestamp) -> Result<(), &'static str> {
        let (signed, signature) = assertion.rsplit_once('.').ok_or("it is no JWT")?;
        let (header, claims) = signed.split_once('.').ok_or("it is no JWT")?;
        let header: Header = part(header).ok_or("its header cannot be read")?;
        if header.alg != "EdDSA" {
            return Err("its algorithm is not EdDSA");
        }
        if header.kid.as_deref().is_some_and(|id| id != self.key_id) {
            return Err("it names another key");
        }
        let nonce = header.nonce.and_then(|nonce| URL_SAFE_NO_PAD.decode(nonce).ok());
        if nonce.is_none_or(|nonce| nonce.len() < 16) {
            return Err("its nonce is not 16 bytes");
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| "it is no JWT")?;
        UnparsedPublicKey::new(&ED25519, &self.public)
            .verify(signed.as_bytes(), &signature)
            .map_err(|_| "its signature is wrong")?;
        let claims: Claims = part(claims).ok_or("its claims cannot be read")?;
        let now = now.as_second();
        if claims.iss != self.id || claims.sub != self.id {
            return Err("issuer and subject are not the client id");
        }
        if claims.aud != [self.host] {
            return Err("its audience is not the client id's host");
        }
        if claims.exp <= now || claims.exp > now + LONGEST + LEEWAY {
            return Err("it has expired, or is good for too long");
        }
        if claims.nbf > now || claims.iat > now + LEEWAY {
            return Err("it is of the future");
        }
        Ok(())
    }
}

fn part<T: for<'a> Deserialize<'a>>(text: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// The access tokens that were given out.
#[derive(Debug)]
pub(super) struct Tokens {
    life: Duration,
    given: Mutex<HashMap<String, Instant>>,
}

impl Tokens {
    pub(super) fn new(life: Duration) -> Self {
        Self {
            life,
            given: Mutex::default(),
        }
    }

    /// A new one, and for how long it is good.
    pub(super) fn give(&self) -> (String, Duration) {
        let token = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let ends = Instant::now() + self.life;
        self.given().insert(token.clone(), ends);
        (token, self.life)
    }

    /// Whether a call's `authorization` holds one that is good.
    pub(super) fn accept(&self, authorization: &str) -> bool {
        let Some(token) = authorization.strip_prefix("Bearer ") else {
            return false;
        };
        self.given().get(token).is_some_and(|ends| *ends > Instant::now())
    }

    /// Those that are good.
    pub(super) fn all(&self) -> Vec<String> {
        self.given().keys().cloned().collect()
    }

    /// None of them is good any more.
    pub(super) fn expire(&self) {
        self.given().clear();
    }

    fn given(&self) -> std::sync::MutexGuard<'_, HashMap<String, Instant>> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
