//! TLS on the listener: a certificate and key, and where a client CA is given, certificates of its clients.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls::{RootCertStore, SupportedProtocolVersion, version};

use super::watched::Watched;
use crate::files;

/// The protocol that is spoken inside.
const ALPN: &[u8] = b"h2";

/// TLS 1.2 and up.
const VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];

/// The files that TLS is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// Where given, clients need a certificate of this CA, PEM.
    pub client_ca: Option<PathBuf>,
}

/// Why TLS cannot be set up from its files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds no PEM of its kind.
    #[error("{file} holds no {what} that can be read ({error})")]
    File {
        /// Which file.
        file: String,
        /// What it should hold.
        what: &'static str,
        /// What is wrong.
        error: String,
    },
    /// Certificate and key do not belong together, or the CA is unusable.
    #[error("certificate, key and client CA do not fit together ({0})")]
    Unfit(String),
}

impl TlsFiles {
    /// Loads the files and keeps watching them.
    ///
    /// # Errors
    /// When they cannot be used as they are.
    pub fn watch(self) -> Result<Watched<ServerConfig>, TlsError> {
        let files = [Some(&self.certificate), Some(&self.key), self.client_ca.as_ref()];
        let files = files.into_iter().flatten().cloned().collect();
        Watched::start("tls", files, move || self.load())
    }

    fn load(&self) -> Result<ServerConfig, TlsError> {
        let chain = certificates(&self.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&pem(&self.key, "private key")?)
            .map_err(|error| unreadable(&self.key, "private key", error))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&VERSIONS)
            .map_err(unfit)?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(file)? {
                    roots.add(certificate).map_err(unfit)?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.map_err(unfit)?)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(unfit)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(config)
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem(file, "certificate")?).collect();
    let chain = chain.map_err(|error| unreadable(file, "certificate", error))?;
    if chain.is_empty() {
        return Err(unreadable(file, "certificate", "it is empty"));
    }
    Ok(chain)
}

fn pem(file: &Path, what: &'static str) -> Result<Vec<u8>, TlsError> {
    files::read(file).map_err(|error| unreadable(file, what, error))
}

fn unreadable(file: &Path, what: &'static str, error: impl std::fmt::Display) -> TlsError {
    TlsError::File {
        file: file.display().to_string(),
        what,
        error: error.to_string(),
    }
}

fn unfit(error: impl std::fmt::Display) -> TlsError {
    TlsError::Unfit(error.to_string())
}
