//! TLS on the listener: a certificate and key, and where a client CA is given, certificates of its clients.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls::{RootCertStore, SupportedProtocolVersion, version};

use crate::files;
use crate::reload::Reloadable;

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

/// Which of the files is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsPart {
    /// The server's certificate chain.
    Certificate,
    /// Its private key.
    Key,
    /// The CA of client certificates.
    ClientCa,
}

impl TlsPart {
    fn holds(self) -> &'static str {
        match self {
            Self::Certificate | Self::ClientCa => "certificate",
            Self::Key => "private key",
        }
    }
}

/// Why TLS cannot be set up from its files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{file} cannot be read ({error}): check path and owner")]
    Unreadable {
        /// Which file.
        file: String,
        /// What it is for.
        part: TlsPart,
        /// What the system says.
        error: io::Error,
    },
    /// A file holds something else than it should.
    #[error("{file} holds no {}: {problem}", .part.holds())]
    Content {
        /// Which file.
        file: String,
        /// What it is for.
        part: TlsPart,
        /// What it holds instead, and what to do.
        problem: String,
    },
    /// Certificate and key do not belong together, or the CA is unusable.
    #[error("certificate, key and client CA do not fit together ({0})")]
    Unfit(String),
}

impl TlsError {
    /// Which file it is about; none where each is in order and they do not fit together.
    #[must_use]
    pub fn part(&self) -> Option<TlsPart> {
        match self {
            Self::Unreadable { part, .. } | Self::Content { part, .. } => Some(*part),
            Self::Unfit(_) => None,
        }
    }
}

impl TlsFiles {
    /// Loads the files and keeps watching them.
    ///
    /// # Errors
    /// When they cannot be used as they are.
    pub fn watch(self) -> Result<Reloadable<ServerConfig>, TlsError> {
        let files = [Some(&self.certificate), Some(&self.key), self.client_ca.as_ref()];
        let files = files.into_iter().flatten().cloned().collect();
        Reloadable::start("tls", files, move || self.load())
    }

    fn load(&self) -> Result<ServerConfig, TlsError> {
        let chain = certificates(&self.certificate, TlsPart::Certificate)?;
        let key = private_key(&self.key)?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&VERSIONS)
            .map_err(unfit)?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(file, TlsPart::ClientCa)? {
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

fn certificates(file: &Path, part: TlsPart) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(file, part)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(content(file, part, instead(&pem))),
        Ok(chain) => Ok(chain),
        Err(error) => Err(content(file, part, damaged(&error))),
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let pem = read(file, TlsPart::Key)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| {
        let problem = match &error {
            pem::Error::NoItemsFound => instead(&pem),
            error => damaged(error),
        };
        content(file, TlsPart::Key, problem)
    })
}

/// What a file without what it should hold does hold.
fn instead(pem: &[u8]) -> String {
    let holds = if pem.trim_ascii().is_empty() {
        "it is empty"
    } else if PrivateKeyDer::from_pem_slice(pem).is_ok() {
        "it holds a private key"
    } else if CertificateDer::from_pem_slice(pem).is_ok() {
        "it holds a certificate"
    } else {
        "there is none in PEM form in it"
    };
    format!("{holds}; --tls-cert and --tls-client-ca are for certificates, --tls-key is for the private key")
}

fn damaged(error: &pem::Error) -> String {
    format!("its PEM is damaged ({error})")
}

fn read(file: &Path, part: TlsPart) -> Result<Vec<u8>, TlsError> {
    files::read(file).map_err(|error| TlsError::Unreadable {
        file: file.display().to_string(),
        part,
        error,
    })
}

fn content(file: &Path, part: TlsPart, problem: String) -> TlsError {
    TlsError::Content {
        file: file.display().to_string(),
        part,
        problem,
    }
}

fn unfit(error: impl std::fmt::Display) -> TlsError {
    TlsError::Unfit(error.to_string())
}
