//! What a caller may send: page tokens that were made here, ids that are ids. Anything else is refused before any request
//! leaves.

use std::collections::BTreeSet;

use buildkite_connector::proto::c1::connector::v2::Resource;
use rstest::rstest;
use tonic::{Code, Status};

use crate::support::platform::{SYNC, resource};
use crate::support::{Listing, TestServer, details, first_team, sandbox};

/// Rows of a list that takes a platform several pages.
const LONG: usize = 1_300;

fn invalid<T>(result: Result<T, Status>) -> Vec<String> {
    let details = details(&result.err().expect("an error"));
    assert_eq!(
        (details.code, details.reason.as_str(), details.retry),
        (Code::InvalidArgument, "INVALID_REQUEST", None)
    );
    details.fields
}

#[rstest]
#[tokio::test]
async fn any_page_token_is_gone_on_from_by_any_other_process(
    #[values(Listing::People, Listing::Teams, Listing::Members)] listing: Listing,
) {
    let sandbox = sandbox(listing.seed(LONG)).await;
    let team = first_team(&sandbox);
    let (mut rows, mut token, mut pages) = (BTreeSet::new(), String::new(), 0);
    loop {
        let connector = TestServer::on(&sandbox).await;
        let (page, next) = listing.page(&connector.platform().await, team, &token).await.unwrap();
        rows.extend(page);
        pages += 1;
        if next.is_empty() {
            break;
        }
        // The same token gives the same page in two processes.
        let other = TestServer::on(&sandbox).await;
        let again = listing.page(&other.platform().await, team, &next).await.unwrap();
        let third = TestServer::on(&sandbox).await;
        assert_eq!(again, listing.page(&third.platform().await, team, &next).await.unwrap());
        token = next;
    }
    assert!(pages >= 3, "{pages} pages");
    assert_eq!(rows, listing.truth(&sandbox));
}

#[rstest]
#[tokio::test]
async fn a_page_token_that_was_not_made_for_this_list_is_refused_without_a_request(
    #[values(Listing::People, Listing::Teams, Listing::Members)] listing: Listing,
) {
    let sandbox = sandbox(listing.seed(LONG)).await;
    let team = first_team(&sandbox);
    let connector = TestServer::on(&sandbox).await;
    let platform = connector.platform().await;
    let (_, whole) = listing.page(&platform, team, "").await.unwrap();
    let cut = whole.get(..whole.len() / 2).unwrap().to_owned();
    let mut changed = whole.clone();
    changed.replace_range(20..21, if whole.get(20..21) == Some("A") { "B" } else { "A" });
    let made_up = ["0", "2", "null", "{}", "..", "1.", "1..", "\u{1f9f8}", "1.e30.x"].map(str::to_owned);
    let long = "A".repeat(1_000_000);
    sandbox.request_log().clear();
    for token in made_up.into_iter().chain([cut, changed, long, format!("{whole} ")]) {
        let fields = invalid(listing.page(&platform, team, &token).await);
        assert_eq!(fields, ["page_token"], "{token:.40}");
    }
    for other in Listing::ALL.into_iter().filter(|other| *other != listing) {
        assert_eq!(invalid(other.page(&platform, team, &whole).await), ["page_token"]);
    }
    assert_eq!(sandbox.request_log().total(), 0);
}

#[tokio::test]
async fn the_page_token_of_one_team_is_refused_for_another() {
    let sandbox = sandbox(Listing::Members.seed(LONG)).await;
    let connector = TestServer::on(&sandbox).await;
    let platform = connector.platform().await;
    let (_, token) = Listing::Members
        .page(&platform, first_team(&sandbox), "")
        .await
        .unwrap();
    sandbox.request_log().clear();
    let other = uuid::Uuid::new_v4();
    assert_eq!(
        invalid(Listing::Members.page(&platform, other, &token).await),
        ["page_token"]
    );
    assert_eq!(sandbox.request_log().total(), 0);
}

#[rstest]
#[case("../../access-token")]
#[case("..%2f..%2faccess-token")]
#[case("")]
#[case(" ")]
#[case("platform")]
#[case("0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d/members")]
#[case("0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d?page=2")]
#[case("0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d\n")]
#[case("{0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d}")]
#[case("urn:uuid:0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d")]
#[case("VXNlci0tLTAxOThjM2YyLTdkNWU=")]
#[tokio::test]
async fn an_invalid_id_is_refused_without_a_request(#[case] id: &str) {
    let sandbox = sandbox(Listing::Members.seed(2)).await;
    let connector = TestServer::on(&sandbox).await;
    let platform = connector.platform().await;
    for kind in ["user", "team"] {
        assert_eq!(invalid(platform.resource(kind, id).await), ["resource_id"]);
        assert_eq!(invalid(platform.grants(&resource(kind, id)).await), ["resource.id"]);
        assert_eq!(
            invalid(platform.entitlements(&resource(kind, id)).await),
            ["resource.id"]
        );
    }
    let (team, owner) = (first_team(&sandbox).to_string(), sandbox.owner().to_string());
    assert!(!invalid(platform.grant(id, "member", &owner).await).is_empty());
    assert!(!invalid(platform.grant(&team, "owner", &owner).await).is_empty());
    assert!(!invalid(platform.revoke(id, "member", &owner).await).is_empty());
    assert!(!invalid(platform.grant(&team, "member", id).await).is_empty());
    assert_eq!(sandbox.request_log().total(), 0);
}

#[tokio::test]
async fn kinds_of_resources_that_are_not_there_and_requests_without_any_are_refused() {
    let sandbox = sandbox(Listing::Members.seed(2)).await;
    let connector = TestServer::on(&sandbox).await;
    let platform = connector.platform().await;
    for kind in ["", "pipeline", "Team", "user "] {
        assert_eq!(
            invalid(platform.resources_page(kind, "", SYNC).await),
            ["resource_type_id"]
        );
        assert!(!invalid(platform.resource(kind, "x").await).is_empty());
    }
    assert_eq!(invalid(platform.grants(&Resource::default()).await), ["resource.id"]);
    assert_eq!(sandbox.request_log().total(), 0);
}
