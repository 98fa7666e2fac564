//! No person and no token in what is exported.

use buildkite_connector::proto::c1::connector::v2::grants_service_client::GrantsServiceClient;
use buildkite_connector::proto::c1::connector::v2::{GrantManagerServiceGrantRequest, GrantsServiceListGrantsRequest};
use secrecy::ExposeSecret;
use tonic::Request;

use super::{example, traced};
use crate::support::platform::{entitlement, resource};

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_name_no_address_no_id_of_a_person_and_no_token_is_exported() {
    let sandbox = example().await;
    let (collector, server) = traced(&sandbox).await;
    let platform = server.platform().await;
    platform.sync().await.unwrap();
    let people = sandbox.with_organization(|organization| organization.people().to_vec());
    let team = sandbox.with_organization(|organization| organization.teams()[0].id.to_string());
    let mut grants = platform.grants_client();
    // A grant by address, also as the id of the request, of someone unknown, and to somebody who is there.
    for email in people
        .iter()
        .map(|person| person.email.as_str())
        .take(2)
        .chain(["new@northwind-rail.example"])
    {
        let mut request = Request::new(GrantManagerServiceGrantRequest {
            entitlement: Some(entitlement(&team, "member")),
            principal: Some(resource("user", email)),
            ..Default::default()
        });
        request.metadata_mut().insert("x-request-id", email.parse().unwrap());
        // What becomes of it is of no account here.
        let _ = grants.grant(request).await;
    }
    // A path and headers that a client chooses.
    let mut request = Request::new(GrantsServiceListGrantsRequest::default());
    let bearer = format!("Bearer {}", sandbox.token().expose_secret());
    request.metadata_mut().insert("authorization", bearer.parse().unwrap());
    let _ = GrantsServiceClient::new(server.channel().await)
        .list_grants(request)
        .await;
    drop((grants, platform));
    assert!(server.terminate().status.success());

    let bytes = collector.bytes();
    assert!(collector.spans().len() > 30);
    for person in &people {
        assert!(!holds(&bytes, &person.name), "{} is exported", person.name);
        assert!(!holds(&bytes, &person.email), "{} is exported", person.email);
        assert!(
            !holds(&bytes, &person.id.to_string()),
            "the id of {} is exported",
            person.name
        );
    }
    assert!(!holds(&bytes, "new@northwind-rail.example"));
    let token = sandbox.token().expose_secret().trim_start_matches("bkua_").to_owned();
    assert!(!holds(&bytes, &token), "the token is exported");
    // The search finds what is there.
    assert!(holds(&bytes, "/v2/organizations/{organization}/teams"));
}
