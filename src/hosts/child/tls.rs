//! TLS with the identity that the runner made: its authority is the only one that is trusted, for clients too.

use std::sync::Arc;

use aws_lc_rs::signature::Ed25519KeyPair;
use rustls::crypto::aws_lc_rs as provider;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::ChildError;
use crate::proto::c1::utls::v1::Credential;

/// Bytes of the seed of an Ed25519 key; the public key follows it.
const SEED_BYTES: usize = 32;

/// A TLS configuration with these certificates (DER) and this key (raw Ed25519: the seed, then the public key).
///
/// # Errors
/// One of them cannot be used, or they do not belong together.
pub(super) fn server_config(credential: &Credential) -> Result<ServerConfig, ChildError> {
    let unusable = |what: &str, error: &dyn std::error::Error| {
        ChildError::Config(format!("has {what} that cannot be used ({error})"))
    };
    let key = credential
        .key
        .split_at_checked(SEED_BYTES)
        .and_then(|(seed, public)| Ed25519KeyPair::from_seed_and_public_key(seed, public).ok())
        .and_then(|key| key.to_pkcs8v1().ok())
        .ok_or_else(|| ChildError::Config("has no raw Ed25519 key of 64 bytes".to_owned()))?;
    let key = PrivatePkcs8KeyDer::from(key.as_ref().to_vec());
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from(credential.ca_cert.clone()))
        .map_err(|error| unusable("an authority", &error))?;
    let provider = Arc::new(provider::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|error| unusable("an authority", &error))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ChildError::Server(error.to_string()))?
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![CertificateDer::from(credential.cert.clone())], key.into())
        .map_err(|error| unusable("a certificate", &error))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}
