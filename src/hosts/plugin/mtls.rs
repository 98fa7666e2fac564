//! `AutoMTLS`: a certificate for this process, and the certificate of the host, compared byte for byte.
//!
//! The host's certificate is self-signed and usually uses P-521, which rustls' own verifier of client certificates rejects. It is
//! the only one that is accepted, and the signatures made with it are verified as usual.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};

use super::PluginError;

/// The certificate of this process, and the TLS configuration that accepts only the host.
pub(super) struct Identity {
    certificate: CertificateDer<'static>,
    config: ServerConfig,
}

impl Identity {
    /// A new certificate, for a host with this one (PEM).
    pub(super) fn make(host: &str) -> Result<Self, PluginError> {
        let unusable = |error: &dyn std::error::Error| PluginError::Tls(error.to_string());
        let host = CertificateDer::from_pem_slice(host.as_bytes())
            .map_err(|error| PluginError::Tls(format!("PLUGIN_CLIENT_CERT holds no certificate ({error})")))?;
        let key = KeyPair::generate().map_err(|error| unusable(&error))?;
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).map_err(|error| unusable(&error))?;
        params.distinguished_name.push(DnType::CommonName, "localhost");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.self_signed(&key).map_err(|error| unusable(&error))?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(|error| PluginError::Tls(error.to_owned()))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let pinned = Pinned {
            certificate: host,
            provider: Arc::clone(&provider),
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?
            .with_client_cert_verifier(Arc::new(pinned))
            .with_single_cert(vec![certificate.der().clone()], key)
            .map_err(|error| unusable(&error))?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self {
            certificate: certificate.der().clone(),
            config,
        })
    }

    /// The certificate as the handshake line has it.
    pub(super) fn encoded(&self) -> String {
        STANDARD_NO_PAD.encode(&self.certificate)
    }

    pub(super) fn into_config(self) -> ServerConfig {
        self.config
    }
}

/// Accepts one certificate.
#[derive(Debug)]
struct Pinned {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if *shown == self.certificate {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(
                CertificateError::ApplicationVerificationFailure,
            ))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
