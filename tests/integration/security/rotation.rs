//! What changes while the connector runs: token, certificate, callers. Under load, no call fails.

use std::sync::Arc;

use buildkite_connector::governance::{CallContext, Lane};
use buildkite_connector::grpc::server::{BearerToken, Callers, ServerOptions};
use buildkite_connector::providers::buildkite::{Client, Credential, Shared};
use buildkite_connector::sandbox::TokenSpec;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use secrecy::ExposeSecret;
use tonic::Code;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tracing::Level;

use super::callers::entry;
use super::pki::{Authority, Files, Pair, replace};
use super::raw::RawClient;
use super::requests::{bearer, call, reason_of, write_token};
use crate::support::load::Load;
use crate::support::log::Log;
use crate::support::scripted::{Scripted, json};
use crate::support::{Platform, Setup, TestServer, sandbox, sized, until_async};

const READ: &str = "/c1.connector.v2.ResourceTypesService/ListResourceTypes";

fn reads(channel: &Channel, shown: MetadataMap) -> Load {
    let channel = channel.clone();
    Load::of(move || {
        let (channel, shown) = (channel.clone(), shown.clone());
        async move { call(&channel, READ, &shown).await }
    })
}

/// Waits until changed files were read and rejected.
async fn rejected(log: &Log) {
    until_async("the rejection of the files", async || {
        log.text().contains("the changed files cannot be used")
    })
    .await;
}

#[tokio::test]
async fn a_token_that_buildkite_rejects_is_replaced_from_its_file_and_no_call_notices() {
    let sandbox = sandbox(sized(2, 2, 4)).await;
    let (_directory, file) = write_token(&sandbox);
    let credential = Credential::from_file(file.clone(), &Shared::default()).unwrap();
    let server = TestServer::with_credential(&sandbox, credential, ServerOptions::default()).await;
    let platform = Platform::new(server.channel().await);
    let load = Load::of(move || {
        let platform = platform.clone();
        async move { platform.resources("team").await.map(|teams| assert_eq!(teams.len(), 2)) }
    });
    load.goes_on().await;
    let rejected = || sandbox.request_log().count_status(401);
    assert_eq!(rejected(), 0);
    let second = sandbox.mint(TokenSpec::owned_by(sandbox.owner()));
    replace(&file, second.expose_secret());
    sandbox.revoke(sandbox.token());
    // The file is not polled here: the rejection makes the connector read it again.
    until_async("a rejection", async || rejected() > 0).await;
    load.goes_on().await;
    let seen = rejected();
    load.ends().await;
    assert_eq!(rejected(), seen, "the old token is sent no more");
}

#[tokio::test]
async fn a_new_token_is_picked_up_unprompted_and_a_broken_file_keeps_it() {
    let seen = Arc::new(std::sync::Mutex::new(String::new()));
    let kept = Arc::clone(&seen);
    let buildkite = Scripted::start(move |request| {
        let sent = request.headers()["authorization"].to_str().unwrap();
        sent.clone_into(&mut kept.lock().unwrap());
        json(&serde_json::json!({"id": "u", "name": "Ada"}))
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "bkua_first").unwrap();
    let client = Client::with_credential(
        buildkite.url.parse().unwrap(),
        "acme".parse().unwrap(),
        Credential::from_file(file.clone(), &Shared::default()).unwrap(),
        Setup::default().client,
    )
    .unwrap();
    let credential = client.credential();
    let watched = credential.clone();
    let watching = tokio::spawn(async move { Credential::watch_all(|| vec![Arc::clone(&watched)]).await });
    let used = async |token: &str| {
        // What the answer holds is of no interest: the request was sent.
        let _ = client.user(&CallContext::new(Lane::Interactive)).await;
        *seen.lock().unwrap() == format!("Bearer {token}")
    };
    assert!(used("bkua_first").await);
    replace(&file, "bkua_second\n");
    until_async("the second token", async || used("bkua_second").await).await;
    replace(&file, "two words");
    credential.reload().await;
    assert!(used("bkua_second").await);
    replace(&file, "bkua_third");
    until_async("the third token", async || used("bkua_third").await).await;
    watching.abort();
}

/// The certificate that is served now.
async fn served(server: &TestServer, authority: &Authority) -> CertificateDer<'static> {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

fn der(pair: &Pair) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()
}

#[tokio::test]
async fn a_new_certificate_is_served_and_open_connections_stay_and_a_broken_one_changes_nothing() {
    let (log, _guard) = Log::capture(Level::ERROR);
    let authority = Authority::new();
    let files = Files::new(&authority, None);
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let server = TestServer::with_options(&sandbox, files.options()).await;
    let load = reads(&server.tls(authority.client(None)), MetadataMap::new());
    load.goes_on().await;

    let (second, third) = (authority.issue(&["localhost"]), authority.issue(&["localhost"]));
    files.serve(&second);
    until_async("the second certificate", async || {
        served(&server, &authority).await == der(&second)
    })
    .await;

    // A certificate without its key is of no use, and is waited for until the key is there too.
    files.write("server.pem", &third.certificate);
    rejected(&log).await;
    assert_eq!(served(&server, &authority).await, der(&second));
    files.write("server.key", &third.key);
    until_async("the third certificate", async || {
        served(&server, &authority).await == der(&third)
    })
    .await;
    load.ends().await;
}

#[tokio::test]
async fn new_callers_are_known_and_old_ones_are_not_and_a_broken_file_changes_nothing() {
    let (log, _guard) = Log::capture(Level::ERROR);
    let made: Vec<BearerToken> = (0..3).map(|_| BearerToken::generate().unwrap()).collect();
    let entry = |index: usize| {
        let digest = &made[index].token_sha256;
        format!("[[caller]]\nname = \"caller-{index}\"\nrole = \"reader\"\ntoken_sha256 = \"{digest}\"\n")
    };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("callers.toml");
    std::fs::write(&file, entry(0) + &entry(1)).unwrap();
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let options = ServerOptions {
        callers: Some(Callers::watch(file.clone(), false).unwrap()),
        ..ServerOptions::default()
    };
    let server = TestServer::with_options(&sandbox, options).await;
    let channel = server.channel().await;
    let load = reads(&channel, bearer(&made[0].bearer));
    let known = async |index: usize| call(&channel, READ, &bearer(&made[index].bearer)).await.is_ok();
    assert!(known(1).await && !known(2).await);

    replace(&file, "[[caller]]\nname = \"half");
    rejected(&log).await;
    assert!(known(1).await);
    replace(&file, &(entry(0) + &entry(2)));
    until_async("the third caller", async || known(2).await).await;
    assert!(!known(1).await);
    load.ends().await;
}

#[tokio::test]
async fn a_caller_that_is_removed_gets_nothing_more_on_the_streams_that_it_has_open() {
    let made: Vec<BearerToken> = (0..2).map(|_| BearerToken::generate().unwrap()).collect();
    let entries: Vec<String> = ["stays", "goes"]
        .iter()
        .zip(&made)
        .map(|(name, made)| entry(name, "reader", made))
        .collect();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("callers.toml");
    std::fs::write(&file, entries.concat()).unwrap();
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let options = ServerOptions {
        callers: Some(Callers::watch(file.clone(), false).unwrap()),
        ..ServerOptions::default()
    };
    let server = TestServer::with_options(&sandbox, options).await;
    let client = RawClient::connect(server.address, 1 << 20).await;
    let mut streams = vec![];
    for made in &made {
        for path in [
            "/connector.health.v1.ScopeHealthService/WatchScopes",
            "/grpc.health.v1.Health/Watch",
        ] {
            let mut stream = client.call(path, Some(&made.bearer)).await.unwrap();
            stream.message().await.unwrap();
            streams.push(stream);
        }
    }
    let mut strangers = client.call("/grpc.health.v1.Health/Watch", None).await.unwrap();
    strangers.message().await.unwrap();

    replace(&file, &entries[0]);
    for stream in &mut streams[2..] {
        // Health changes nothing meanwhile, so the end is the next that comes, and it comes by itself.
        let ended = stream.message().await.unwrap_err();
        assert_eq!(
            (ended.code(), &*reason_of(&ended)),
            (Code::Unauthenticated, "CALLER_UNKNOWN")
        );
    }
    for stream in streams[..2].iter_mut().chain([&mut strangers]) {
        assert!(futures::poll!(std::pin::pin!(stream.message())).is_pending());
    }
}
