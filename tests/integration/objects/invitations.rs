//! The list of invitations, which continues at cursors of the server.

use std::collections::BTreeSet;

use buildkite_connector::sandbox::{CursorBody, Endpoint, Fault, FaultKind};
use rstest::rstest;
use serde_json::json;
use tonic::Code::FailedPrecondition;
use uuid::Uuid;

use crate::support::platform::{SYNC, id_of};
use crate::support::{ObjectList, Platform, covering_all, reason, sandbox, sized};

const PENDING: usize = 250;

/// All pages of at most `size` rows.
async fn read_sized(platform: &Platform, sync: &str, size: u32) -> Vec<Uuid> {
    let (mut ids, mut token) = (vec![], String::new());
    loop {
        let page = platform
            .resources_sized("invitation", &token, sync, size)
            .await
            .unwrap();
        assert!(size == 0 || page.list.len() <= size as usize);
        ids.extend(page.list.iter().map(|row| id_of(row).parse::<Uuid>().unwrap()));
        if page.next_page_token.is_empty() {
            return ids;
        }
        token = page.next_page_token;
    }
}

#[rstest]
#[tokio::test]
async fn every_pending_invitation_is_listed_once_in_pages_of_any_size(
    #[values(CursorBody::Envelope, CursorBody::Array)] body: CursorBody,
    #[values(SYNC, "")] sync: &str,
    #[values(0, 7, 100, 130)] size: u32,
) {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    sandbox.change_behaviors(|behaviors| behaviors.cursor_body = body);
    ObjectList::Invitations.fill(&sandbox, PENDING);
    let (_server, platform) = covering_all(&sandbox).await;
    let ids = read_sized(&platform, sync, size).await;
    assert_eq!(ids.len(), PENDING);
    assert_eq!(
        ids.into_iter().collect::<BTreeSet<Uuid>>(),
        ObjectList::Invitations.truth(&sandbox)
    );
}

#[tokio::test]
async fn a_page_that_is_cut_short_is_read_again() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    ObjectList::Invitations.fill(&sandbox, PENDING);
    let (_server, platform) = covering_all(&sandbox).await;
    let fault = sandbox
        .faults()
        .add(Fault::new(Endpoint::Invitations, FaultKind::ShortPage(1)).once());
    let rows = ObjectList::Invitations.read(&platform, &sandbox).await.unwrap();
    assert_eq!((rows, fault.fired()), (ObjectList::Invitations.truth(&sandbox), 1));
}

#[rstest]
#[tokio::test]
async fn a_server_with_smaller_pages_is_read_in_pages_of_that_size(
    #[values(30, 99)] cap: u32,
    #[values(0, 7, 130)] size: u32,
) {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    sandbox.change_behaviors(|behaviors| behaviors.per_page_cap = cap);
    ObjectList::Invitations.fill(&sandbox, PENDING);
    let (_server, platform) = covering_all(&sandbox).await;
    let ids = read_sized(&platform, "", size).await;
    assert_eq!(ids.len(), PENDING);
    let ids = ids.into_iter().collect::<BTreeSet<Uuid>>();
    assert_eq!(ids, ObjectList::Invitations.truth(&sandbox));
    if size == 0 {
        // The size is known after three readings of the first page.
        let pages = PENDING.div_ceil(cap as usize) as u64;
        assert_eq!(sandbox.request_log().count(Endpoint::Invitations), pages + 2);
    }
}

/// A page that is cut names the next one behind the rows that it lacks.
#[tokio::test]
async fn a_page_that_is_cut_again_and_again_loses_no_row() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    ObjectList::Invitations.fill(&sandbox, PENDING);
    let (_server, platform) = covering_all(&sandbox).await;
    let cut = Fault::new(Endpoint::Invitations, FaultKind::ShortPage(60));
    sandbox.faults().add(cut);
    let rows = ObjectList::Invitations.read(&platform, &sandbox).await.unwrap();
    assert_eq!(rows, ObjectList::Invitations.truth(&sandbox));
}

#[rstest]
#[case(json!({"items": []}))]
#[case(json!({"items": [], "links": {"next": 7}}))]
#[case(json!({"items": [{"email": "ada@example.com"}], "links": {}}))]
#[case(json!({"items": [], "links": {"next": "https://api.buildkite.com/v2/organizations/sized/invitations"}}))]
#[tokio::test]
async fn a_body_of_another_shape_is_no_list(#[case] body: serde_json::Value) {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let (_server, platform) = covering_all(&sandbox).await;
    sandbox
        .faults()
        .add(Fault::new(Endpoint::Invitations, FaultKind::WrongShape(body)));
    let error = platform.resources("invitation").await.unwrap_err();
    assert_eq!(reason(&error), (FailedPrecondition, "UNEXPECTED_RESPONSE".to_owned()));
}

#[tokio::test]
async fn a_page_token_of_another_list_is_refused() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    ObjectList::Invitations.fill(&sandbox, 3);
    ObjectList::Clusters.fill(&sandbox, 3);
    let (_server, platform) = covering_all(&sandbox).await;
    let page = platform.resources_sized("invitation", "", SYNC, 1).await.unwrap();
    let refused = platform
        .resources_sized("cluster", &page.next_page_token, SYNC, 1)
        .await;
    assert_eq!(reason(&refused.unwrap_err()).1, "INVALID_REQUEST");
}
