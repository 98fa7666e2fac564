//! A go-plugin host: its certificate, and how it dials its plugin.

use std::process::Command;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use buildkite_connector::sandbox::Sandbox;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, PKCS_ECDSA_P521_SHA512};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_util::either::Either;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tower::service_fn;

use super::process::{ConnectorProcess, connector, set_up};

/// A host's certificate: its own authority, of P-521.
pub struct Certificate {
    pub pem: String,
    der: CertificateDer<'static>,
    key: KeyPair,
}

impl Certificate {
    pub fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512).unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self {
            pem: certificate.pem(),
            der: certificate.der().clone(),
            key,
        }
    }
}

/// The command that a host starts, set up for a sandbox.
pub fn plugin(sandbox: &Sandbox) -> Command {
    let mut command = connector(&["plugin", "--provisioning"]);
    command.env("CONNECTOR_PLUGIN", "c1.connector.v2");
    set_up(&mut command, sandbox, sandbox.token());
    command
}

/// The parts of the handshake line.
pub fn handshake(running: &mut ConnectorProcess) -> Vec<String> {
    running.line("1|1|").split('|').map(str::to_owned).collect()
}

/// A channel as a host opens it, showing `shown` where there is `AutoMTLS`.
pub async fn dial(handshake: &[String], shown: Option<&Certificate>) -> Result<Channel, tonic::transport::Error> {
    let tls = shown.map(|shown| {
        let mut roots = RootCertStore::empty();
        let server = STANDARD_NO_PAD.decode(&handshake[5]).unwrap();
        roots.add(CertificateDer::from(server)).unwrap();
        let key = PrivateKeyDer::try_from(shown.key.serialize_der()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![shown.der.clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        TlsConnector::from(Arc::new(config))
    });
    let (network, address) = (handshake[2].clone(), handshake[3].clone());
    let connect = service_fn(move |_: http::Uri| {
        let (network, address, tls) = (network.clone(), address.clone(), tls.clone());
        async move {
            let stream = if network == "unix" {
                Either::Left(UnixStream::connect(address).await?)
            } else {
                Either::Right(TcpStream::connect(address).await?)
            };
            let stream = match tls {
                Some(tls) => {
                    let name = ServerName::try_from("localhost").unwrap();
                    Either::Left(tls.connect(name, stream).await?)
                }
                None => Either::Right(stream),
            };
            Ok::<_, std::io::Error>(TokioIo::new(stream))
        }
    });
    Endpoint::from_static("http://localhost")
        .connect_with_connector(connect)
        .await
}

/// Whether the plugin serves, by its health.
pub async fn serving(channel: &Channel) -> Result<bool, tonic::Status> {
    let request = HealthCheckRequest {
        service: "plugin".to_owned(),
    };
    let answer = HealthClient::new(channel.clone()).check(request).await?;
    Ok(answer.into_inner().status() == ServingStatus::Serving)
}
