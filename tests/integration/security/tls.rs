//! TLS and client certificates: which clients complete the handshake.

use buildkite_connector::sandbox::Sandbox;
use rstest::rstest;
use tonic::Status;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};

use super::pki::{Authority, Files};
use super::requests::call;
use crate::support::{TestServer, sandbox, sized};

const READ: &str = "/c1.connector.v2.ResourceTypesService/ListResourceTypes";

async fn read(channel: &Channel) -> Result<(), Status> {
    call(channel, READ, &MetadataMap::new()).await
}

async fn small() -> Sandbox {
    sandbox(sized(1, 1, 2)).await
}

#[tokio::test]
async fn tls_is_served_to_clients_that_trust_its_authority_and_plaintext_is_refused() {
    let authority = Authority::new();
    let files = Files::new(&authority, None);
    let server = TestServer::with_options(&small().await, files.options()).await;
    read(&server.tls(authority.client(None))).await.unwrap();
    assert!(read(&server.tls(Authority::new().client(None))).await.is_err());
    assert!(
        read(&server.tls(authority.client(None).domain_name("other.example")))
            .await
            .is_err()
    );
    let plain = Endpoint::try_from(format!("http://{}", server.address)).unwrap();
    assert!(read(&plain.connect_lazy()).await.is_err());
}

#[derive(Debug, Clone, Copy)]
enum Shown {
    Right,
    OtherAuthority,
    Expired,
    Nothing,
}

#[rstest]
#[case::right(Shown::Right, true)]
#[case::of_another_authority(Shown::OtherAuthority, false)]
#[case::expired(Shown::Expired, false)]
#[case::none(Shown::Nothing, false)]
#[tokio::test]
async fn with_a_client_ca_only_its_certificates_get_in(#[case] shown: Shown, #[case] let_in: bool) {
    let (authority, clients) = (Authority::new(), Authority::new());
    let files = Files::new(&authority, Some(&clients));
    let server = TestServer::with_options(&small().await, files.options()).await;
    let names = ["client.example"];
    let pair = match shown {
        Shown::Right => Some(clients.issue(&names)),
        // Also the server's own authority is none for clients.
        Shown::OtherAuthority => Some(authority.issue(&names)),
        Shown::Expired => Some(clients.issue_expired(&names)),
        Shown::Nothing => None,
    };
    let answer = read(&server.tls(authority.client(pair.as_ref()))).await;
    assert_eq!(answer.is_ok(), let_in, "{answer:?}");
    let plain = Endpoint::try_from(format!("http://{}", server.address)).unwrap();
    assert!(read(&plain.connect_lazy()).await.is_err());
    // A refused client does not affect the others.
    read(&server.tls(authority.client(Some(&clients.issue(&names)))))
        .await
        .unwrap();
}
