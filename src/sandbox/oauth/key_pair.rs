//! Key pairs for access tokens and OAuth applications.

use std::fmt;

use rcgen::{PKCS_RSA_SHA256, RsaKeySize};
use secrecy::{ExposeSecret, SecretString};

/// A key pair cannot be generated.
#[derive(Debug, thiserror::Error)]
#[error("no key pair can be generated: {0}")]
pub struct KeyGenerationError(#[from] rcgen::Error);

/// A new key pair in PEM form.
pub struct KeyPair {
    private: SecretString,
    public: String,
}

impl KeyPair {
    /// An RSA key of 2048 bits, for RS256.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn rsa() -> Result<Self, KeyGenerationError> {
        Ok(Self::new(&rcgen::KeyPair::generate_rsa_for(
            &PKCS_RSA_SHA256,
            RsaKeySize::_2048,
        )?))
    }

    /// An EC key on the curve P-256, for ES256.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn ec() -> Result<Self, KeyGenerationError> {
        Ok(Self::new(&rcgen::KeyPair::generate()?))
    }

    fn new(pair: &rcgen::KeyPair) -> Self {
        Self {
            private: pair.serialize_pem().into(),
            public: pair.public_key_pem(),
        }
    }

    /// The private key, PKCS#8.
    #[must_use]
    pub fn private_pem(&self) -> &str {
        self.private.expose_secret()
    }

    /// The public key.
    #[must_use]
    pub fn public_pem(&self) -> &str {
        &self.public
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("KeyPair(..)")
    }
}
