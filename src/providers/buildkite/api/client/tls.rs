//! The TLS configuration of the HTTP clients. Clients that share it load the system's certificate authorities once.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls_platform_verifier::BuilderVerifierExt;

/// The protocols that are offered in a handshake.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A TLS configuration that is made when the first client needs it. Clones share it.
#[derive(Clone, Default)]
pub struct SharedTls(Arc<Mutex<Option<ClientConfig>>>);

impl SharedTls {
    /// The configuration: TLS 1.2 or newer, trusting the authorities of the system.
    ///
    /// # Errors
    /// The system has no certificate authorities.
    pub(crate) fn config(&self) -> Result<ClientConfig, rustls::Error> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = &*made {
            return Ok(config.clone());
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_platform_verifier()?
            .with_no_client_auth();
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(made.insert(config).clone())
    }
}

impl fmt::Debug for SharedTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedTls")
    }
}
