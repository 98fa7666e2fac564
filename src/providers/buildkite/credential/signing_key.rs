//! A private key that signs: RSA (RS256), or EC on the curve P-256 (ES256).

use std::fmt;

use aws_lc_rs::error::KeyRejected;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RsaKeyPair};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use secrecy::SecretString;
use serde::Serialize;

/// Why a text is no key that can sign. Never contains any part of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is no private key in the text.
    #[error(
        "it holds no private key in PEM form: give the private half of the key pair, such as `openssl genrsa` writes"
    )]
    NoKey,
    /// The key is encrypted.
    #[error("the key is protected by a passphrase: remove it with `openssl pkey -in OLD -out NEW`")]
    Encrypted,
    /// The key can be broken.
    #[error("the RSA key is shorter than 2048 bits: create another one with `openssl genrsa 4096`")]
    TooShort,
    /// A key of another type than RSA where only RSA is accepted.
    #[error("the key is not an RSA key, which an access token needs: create one with `openssl genrsa 4096`")]
    NotRsa,
    /// A key that signs neither RS256 nor ES256.
    #[error("the key is neither RSA nor EC on the curve P-256: create one with `openssl genrsa 4096`")]
    Unsupported,
}

/// A private key. It has no readable debug form and is erased from memory when it is dropped.
#[derive(Clone)]
pub(super) struct SigningKey {
    key: EncodingKey,
    algorithm: Algorithm,
}

impl SigningKey {
    /// The RSA key or the EC key in a PEM text, in any of the forms PKCS#1, SEC1 and PKCS#8.
    pub(super) fn parse(text: &str) -> Result<Self, KeyError> {
        let pem = text.as_bytes();
        let der = PrivateKeyDer::from_pem_slice(pem).map_err(|_| no_key(text))?;
        match &der {
            PrivateKeyDer::Pkcs1(der) => Self::rsa(pem, &RsaKeyPair::from_der(der.secret_pkcs1_der())),
            PrivateKeyDer::Sec1(der) => Self::ec(der.secret_sec1_der()),
            PrivateKeyDer::Pkcs8(der) => match RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()) {
                Err(error) if error.description_() != TOO_SHORT => Self::ec(der.secret_pkcs8_der()),
                pair => Self::rsa(pem, &pair),
            },
            _ => Err(KeyError::Unsupported),
        }
    }

    /// The RSA key in a PEM text.
    pub(super) fn parse_rsa(text: &str) -> Result<Self, KeyError> {
        let key = Self::parse(text)?;
        match key.algorithm {
            Algorithm::RS256 => Ok(key),
            _ => Err(KeyError::NotRsa),
        }
    }

    fn rsa(pem: &[u8], pair: &Result<RsaKeyPair, KeyRejected>) -> Result<Self, KeyError> {
        match pair {
            Ok(_) => Ok(Self {
                key: EncodingKey::from_rsa_pem(pem).map_err(|_| KeyError::NoKey)?,
                algorithm: Algorithm::RS256,
            }),
            Err(error) if error.description_() == TOO_SHORT => Err(KeyError::TooShort),
            Err(_) => Err(KeyError::Unsupported),
        }
    }

    fn ec(der: &[u8]) -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der);
        let pkcs8 = pair.map_err(|_| KeyError::Unsupported)?.to_pkcs8v1();
        Ok(Self {
            key: EncodingKey::from_ec_der(pkcs8.map_err(|_| KeyError::Unsupported)?.as_ref()),
            algorithm: Algorithm::ES256,
        })
    }

    /// Whether both are the same key.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        self.key.as_bytes() == other.key.as_bytes()
    }

    /// The claims as a signed JWT; `None` if the system cannot sign, for instance because it has no randomness.
    pub(super) fn sign(&self, claims: &impl Serialize) -> Option<SecretString> {
        let token = jsonwebtoken::encode(&Header::new(self.algorithm), claims, &self.key);
        token.ok().map(SecretString::from)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?}, ..)", self.algorithm)
    }
}

/// The description by which the library rejects a key below 2048 bits.
const TOO_SHORT: &str = "TooSmall";

fn no_key(text: &str) -> KeyError {
    if text.contains("ENCRYPTED") {
        KeyError::Encrypted
    } else {
        KeyError::NoKey
    }
}

#[cfg(test)]
pub(super) mod tests {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::KeySize;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use jsonwebtoken::{DecodingKey, Validation};
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    pub(in crate::providers::buildkite::credential) fn pem(label: &str, der: &[u8]) -> String {
        let lines: Vec<String> = STANDARD
            .encode(der)
            .as_bytes()
            .chunks(64)
            .map(|line| String::from_utf8(line.to_vec()).unwrap())
            .collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
    }

    /// A new RSA key of 2048 bits.
    pub(in crate::providers::buildkite::credential) fn rsa_pem() -> String {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        pem("PRIVATE KEY", der.as_ref())
    }

    /// The output of `openssl`, which every test machine has.
    fn openssl(arguments: &[&str]) -> String {
        let made = std::process::Command::new("openssl").args(arguments).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout).unwrap()
    }

    #[rstest]
    #[case(&["genrsa", "-traditional", "2048"], &["rsa", "-pubout"], Algorithm::RS256)]
    #[case(&["genrsa", "2048"], &["rsa", "-pubout"], Algorithm::RS256)]
    #[case(&["ecparam", "-name", "prime256v1", "-genkey"], &["ec", "-pubout"], Algorithm::ES256)]
    #[case(
        &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        &["ec", "-pubout"],
        Algorithm::ES256
    )]
    fn a_key_in_each_form_signs_what_its_public_half_verifies(
        #[case] private: &[&str],
        #[case] public: &[&str],
        #[case] algorithm: Algorithm,
    ) {
        let text = openssl(private);
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("key");
        std::fs::write(&file, &text).unwrap();
        let public = openssl(&[public, &["-in", file.to_str().unwrap()]].concat());
        let key = SigningKey::parse(&text).unwrap();
        let claims = json!({"iss": "x", "exp": 4_000_000_000_u64});
        let signed = key.sign(&claims).unwrap();
        let public = match algorithm {
            Algorithm::RS256 => DecodingKey::from_rsa_pem(public.as_bytes()),
            _ => DecodingKey::from_ec_pem(public.as_bytes()),
        };
        let signed = secrecy::ExposeSecret::expose_secret(&signed);
        let read = jsonwebtoken::decode::<Value>(signed, &public.unwrap(), &Validation::new(algorithm));
        assert_eq!(read.unwrap().claims, claims);
        assert_eq!(SigningKey::parse_rsa(&text).is_ok(), algorithm == Algorithm::RS256);
    }

    #[test]
    fn a_key_that_cannot_be_used_is_rejected_with_what_to_do() {
        let rejected = |text: &str| SigningKey::parse(text).unwrap_err();
        let rsa = rsa_pem();
        let public = pem("PUBLIC KEY", &[48, 3, 2, 1, 0]);
        let broken = pem("RSA PRIVATE KEY", &[48, 3, 2, 1, 0]);
        assert_eq!(rejected(""), KeyError::NoKey);
        assert_eq!(rejected(&public), KeyError::NoKey);
        assert_eq!(rejected(&rsa[..rsa.len() / 2]), KeyError::NoKey);
        assert_eq!(rejected(&broken), KeyError::Unsupported);
        for short in [
            openssl(&["genrsa", "-traditional", "1024"]),
            openssl(&["genrsa", "1024"]),
        ] {
            assert_eq!(rejected(&short), KeyError::TooShort);
        }
        let other_curve = openssl(&["ecparam", "-name", "secp384r1", "-genkey"]);
        assert_eq!(rejected(&other_curve), KeyError::Unsupported);
        assert_eq!(
            rejected(&openssl(&["genpkey", "-algorithm", "ed25519"])),
            KeyError::Unsupported
        );
        let encrypted = openssl(&["genrsa", "-aes128", "-passout", "pass:x", "2048"]);
        assert_eq!(rejected(&encrypted), KeyError::Encrypted);
        let ec = openssl(&["ecparam", "-name", "prime256v1", "-genkey"]);
        assert_eq!(SigningKey::parse_rsa(&ec).unwrap_err(), KeyError::NotRsa);
    }

    #[test]
    fn a_key_is_not_shown_and_is_compared_by_its_content() {
        let (one, other) = (rsa_pem(), rsa_pem());
        let key = |text: &str| SigningKey::parse(text).unwrap();
        assert_eq!(format!("{:?}", key(&one)), "SigningKey(RS256, ..)");
        assert!(key(&one).is_same_as(&key(&one)) && !key(&one).is_same_as(&key(&other)));
    }
}
