//! A certificate authority of the test's own, and the files that it fills.

use std::path::{Path, PathBuf};

use buildkite_connector::grpc::server::{ServerOptions, TlsFiles};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
    date_time_ymd,
};
use tempfile::TempDir;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

/// An authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate with these names; those with `://` are URIs.
    pub fn issue(&self, names: &[&str]) -> Pair {
        self.sign(&params(names))
    }

    /// One that has expired long ago.
    pub fn issue_expired(&self, names: &[&str]) -> Pair {
        let mut params = params(names);
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        Pair {
            certificate: params.signed_by(&key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    /// What a client needs that trusts this authority, and shows a certificate if it has one.
    pub fn client(&self, shown: Option<&Pair>) -> ClientTlsConfig {
        let config = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(self.pem()))
            .domain_name("localhost");
        match shown {
            Some(pair) => config.identity(Identity::from_pem(&pair.certificate, &pair.key)),
            None => config,
        }
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.subject_alt_names = names
        .iter()
        .map(|name| {
            let text = (*name).try_into().unwrap();
            if name.contains("://") {
                SanType::URI(text)
            } else {
                SanType::DnsName(text)
            }
        })
        .collect();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params
}

/// The files of a listener, in a directory that goes with them.
pub struct Files {
    directory: TempDir,
    pub tls: TlsFiles,
}

impl Files {
    /// With a server's certificate of `authority`, and `client_ca` where clients need one.
    pub fn new(authority: &Authority, client_ca: Option<&Authority>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let tls = TlsFiles {
            certificate: at("server.pem"),
            key: at("server.key"),
            client_ca: client_ca.map(|_| at("clients.pem")),
        };
        let files = Self { directory, tls };
        files.serve(&authority.issue(&["localhost"]));
        if let Some(ca) = client_ca {
            files.write("clients.pem", &ca.pem());
        }
        files
    }

    /// Another certificate for the server.
    pub fn serve(&self, pair: &Pair) {
        self.write("server.key", &pair.key);
        self.write("server.pem", &pair.certificate);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file as careful people do: whole, then moved into place.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        replace(&self.path(name), text);
        self.path(name)
    }

    pub fn options(&self) -> ServerOptions {
        ServerOptions {
            tls: Some(self.tls.clone().watch().unwrap()),
            ..ServerOptions::default()
        }
    }
}

/// Replaces a file in one step.
pub fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, path).unwrap();
}
