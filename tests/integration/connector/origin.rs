//! The token goes to the configured origin alone: a `Link` that leads elsewhere is not followed, nor is a redirect.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use buildkite_connector::sandbox::{Endpoint, Fault, FaultKind};
use http::{HeaderValue, header};
use rstest::rstest;
use serde_json::json;
use tonic::Code;
use uuid::Uuid;

use crate::support::recorder::Recorder;
use crate::support::scripted::{Scripted, json};
use crate::support::{Listing, Setup, TestServer, first_team, reason, sandbox};

fn people(from: u128, to: u128) -> serde_json::Value {
    (from..to)
        .map(|number| json!({"id": Uuid::from_u128(number), "name": "Ada"}))
        .collect()
}

#[tokio::test]
async fn a_link_to_another_host_gives_a_page_number_and_is_never_followed() {
    let elsewhere = Recorder::start().await;
    let next = elsewhere.url("/v2/organizations/acme/members?page=2&per_page=100&api_key=x");
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let server = Scripted::start(move |request| {
        counted.fetch_add(1, Ordering::SeqCst);
        let query = request.uri().query().unwrap_or_default();
        let first = query.contains("page=1&");
        let mut answer = json(&if first { people(1, 101) } else { people(100, 130) });
        if first {
            let link = format!("<{next}>; rel=\"next\", <{next}>; rel=\"last\"");
            answer
                .headers_mut()
                .insert(header::LINK, HeaderValue::try_from(link).unwrap());
        }
        answer
    })
    .await;
    let token = "bkua_0123456789abcdef0123456789abcdef01234567".into();
    let connector = TestServer::at(&server.url, "acme", &token, Setup::default()).await;
    let rows = connector.platform().await.resources("user").await.unwrap();
    assert_eq!((rows.len(), asked.load(Ordering::SeqCst)), (129, 2));
    assert_eq!(elsewhere.requests(), Vec::<String>::new());
}

#[rstest]
#[tokio::test]
async fn no_redirect_is_followed_wherever_it_leads(
    #[values(
        Endpoint::AccessToken,
        Endpoint::User,
        Endpoint::Organization,
        Endpoint::OrganizationMember,
        Endpoint::Teams,
        Endpoint::Team
    )]
    endpoint: Endpoint,
    #[values(true, false)] to_another_host: bool,
) {
    let elsewhere = Recorder::start().await;
    let sandbox = sandbox(Listing::Teams.seed(2)).await;
    let path = "/v2/access-token?api_key=bkua_0123456789abcdef0123";
    let target = if to_another_host {
        elsewhere.url(path)
    } else {
        path.to_owned()
    };
    let fault = sandbox.faults().add(Fault::new(endpoint, FaultKind::Redirect(target)));
    let connector = TestServer::on(&sandbox).await;
    let platform = connector.platform().await;
    let team = first_team(&sandbox).to_string();
    let status = match endpoint {
        Endpoint::Team => platform.resource("team", &team).await.unwrap_err(),
        _ => platform.resources("team").await.unwrap_err(),
    };
    assert_eq!(
        reason(&status),
        (Code::FailedPrecondition, "UNEXPECTED_RESPONSE".into())
    );
    assert!(!status.message().contains("bkua_") && !status.message().contains("/v2"));
    assert_eq!((fault.fired(), elsewhere.requests()), (1, Vec::<String>::new()));
}
