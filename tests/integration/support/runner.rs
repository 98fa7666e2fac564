//! A Baton runner: its identities, its listener, and the pipe to the standard input of its child.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use buildkite_connector::proto::c1::connector::v2::ConnectorServiceGetMetadataRequest;
use buildkite_connector::proto::c1::connector::v2::connector_service_client::ConnectorServiceClient;
use buildkite_connector::proto::c1::connector_wrapper::v1::ServerConfig;
use buildkite_connector::proto::c1::utls::v1::Credential;
use buildkite_connector::sandbox::Sandbox;
use prost::Message;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, PKCS_ED25519,
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use secrecy::ExposeSecret;
use tempfile::TempDir;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::process::{ConnectorProcess, connector};
use super::{sandbox, sized};

/// The identities that a runner makes at each start.
pub struct Pki {
    authority_key: KeyPair,
    authority: CertificateParams,
    /// PEM and DER of the authority's certificate.
    pub pem: String,
    pub der: Vec<u8>,
}

/// A key from its seed, and its raw form.
pub fn key(seed: u8) -> (KeyPair, Vec<u8>) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let raw = [&[seed; 32], pair.public_key().as_ref()].concat();
    let pkcs8 = PrivatePkcs8KeyDer::from(pair.to_pkcs8v1().unwrap().as_ref().to_vec());
    (
        KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &PKCS_ED25519).unwrap(),
        raw,
    )
}

impl Pki {
    pub fn new(seed: u8) -> Self {
        let (authority_key, _) = key(seed);
        let mut authority = CertificateParams::new(vec![]).unwrap();
        authority.distinguished_name.push(DnType::CommonName, "c1-connector-ca");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = authority.self_signed(&authority_key).unwrap();
        Self {
            pem: certificate.pem(),
            der: certificate.der().to_vec(),
            authority_key,
            authority,
        }
    }

    /// A certificate of this authority for 127.0.0.1.
    pub fn issue(&self, name: &str, key: &KeyPair) -> rcgen::Certificate {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned(), "::1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        params
            .signed_by(key, &Issuer::from_params(&self.authority, &self.authority_key))
            .unwrap()
    }

    /// The credential that the runner gives to its child.
    pub fn credential(&self) -> Credential {
        let (pair, raw) = key(2);
        Credential {
            ca_cert: self.der.clone(),
            key: raw,
            cert: self.issue("c1-connector-server", &pair).der().to_vec(),
        }
    }

    /// The TLS configuration of the runner as a client.
    pub fn client(&self) -> ClientTlsConfig {
        let (pair, _) = key(3);
        let certificate = self.issue("c1-connector-client", &pair);
        self.trusting()
            .identity(Identity::from_pem(certificate.pem(), pair.serialize_pem()))
    }

    /// The same without an identity.
    pub fn trusting(&self) -> ClientTlsConfig {
        ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&self.pem))
            .domain_name("127.0.0.1")
    }
}

/// A runner on a sandbox. Its files are removed with it.
pub struct Runner {
    pub sandbox: Sandbox,
    pub pki: Pki,
    listener: TcpListener,
    pub files: TempDir,
}

/// Moves standard input to file descriptor 3, and reads standard input from the pipe that `$PIPE` names.
pub const INHERIT: &str = r#"exec 3<&0 <"$PIPE"; exec "$0" "$@""#;

impl Runner {
    pub async fn new() -> Self {
        let files = tempfile::tempdir().unwrap();
        let made = Command::new("mkfifo").arg(files.path().join("pipe")).status().unwrap();
        assert!(made.success());
        Self {
            sandbox: sandbox(sized(1, 1, 3)).await,
            pki: Pki::new(1),
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
            files,
        }
    }

    pub fn pipe(&self) -> PathBuf {
        self.files.path().join("pipe")
    }

    pub fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    /// The line that the runner writes to the standard input of its child.
    pub fn line(&self) -> String {
        let config = ServerConfig {
            credential: Some(self.pki.credential()),
            listen_port: self.port().into(),
            ..ServerConfig::default()
        };
        STANDARD.encode(config.encode_to_vec()) + "\n"
    }

    /// A shell that runs `script` with the binary as `$0`, these arguments, and the listener as its standard input.
    pub fn shell(&self, script: &str, arguments: &[&str]) -> Command {
        let binary = connector(&[]).get_program().to_owned();
        let mut command = Command::new("/bin/sh");
        let listener = OwnedFd::from(self.listener.try_clone().unwrap());
        command
            .args(["-c", script])
            .arg(binary)
            .args(arguments)
            .env_clear()
            .stdin(Stdio::from(listener))
            .env("PIPE", self.pipe())
            .env("BATON_CONNECTOR_SERVICE_LISTENER_FD", "3")
            .env("BUILDKITE_ORGANIZATION_SLUG", self.sandbox.slug())
            .env("BUILDKITE_API_TOKEN", self.sandbox.token().expose_secret())
            .env("BUILDKITE_REST_URL", self.sandbox.url());
        command
    }

    /// Starts the child with this on its standard input, which stays open while the file lives.
    pub async fn start(&self, command: Command, input: &str) -> (ConnectorProcess, File) {
        let (pipe, input) = (self.pipe(), input.to_owned());
        let started = move || {
            let running = ConnectorProcess::with_input(command);
            // Opens once the child reads it.
            let mut file = OpenOptions::new().write(true).open(pipe).unwrap();
            // A child that has refused to start reads nothing.
            let _ = file.write_all(input.as_bytes());
            (running, file)
        };
        tokio::task::spawn_blocking(started).await.unwrap()
    }

    pub async fn dial(&self, tls: ClientTlsConfig) -> Result<Channel, tonic::transport::Error> {
        let endpoint = Endpoint::try_from(format!("https://127.0.0.1:{}", self.port())).unwrap();
        endpoint.tls_config(tls).unwrap().connect().await
    }
}

/// Calls the child once.
pub async fn metadata(channel: &Channel) -> Result<(), tonic::Status> {
    let request = ConnectorServiceGetMetadataRequest::default();
    let answer = ConnectorServiceClient::new(channel.clone())
        .get_metadata(request)
        .await?;
    assert!(answer.into_inner().metadata.is_some());
    Ok(())
}
