//! Pages of the requested size: none is larger, no row is missing, and none comes twice.

use std::collections::BTreeSet;

use buildkite_connector::sandbox::{MemberRows, Sandbox};
use rstest::rstest;

use crate::support::platform::{SYNC, id_of, resource};
use crate::support::{Listing, ROWS, Setup, TestServer, first_team, sandbox, sized};

async fn connector(sandbox: &Sandbox, read_ahead: usize) -> TestServer {
    let mut setup = Setup::default();
    setup.access.read_ahead = read_ahead;
    TestServer::with(sandbox, sandbox.token(), setup).await
}

#[rstest]
#[tokio::test]
async fn a_page_is_as_large_as_the_request_allows_and_no_row_is_missing_or_comes_twice(
    #[values(Listing::People, Listing::Teams, Listing::Members)] listing: Listing,
    #[values(0, 1, 7, 99, 100, 101, 250)] size: u32,
    #[values((16, SYNC), (0, SYNC), (16, ""))] (read_ahead, sync): (usize, &str),
) {
    let sandbox = sandbox(listing.seed(ROWS)).await;
    let connector = connector(&sandbox, read_ahead).await;
    let platform = connector.platform().await;
    let read = listing.read_sized(&platform, first_team(&sandbox), sync, size).await;
    let (rows, pages) = read.unwrap();
    let truth = listing.truth(&sandbox);
    assert_eq!(
        (rows.len(), rows.iter().copied().collect::<BTreeSet<_>>() == truth),
        (ROWS, true)
    );
    assert!(size == 0 || pages >= ROWS.div_ceil(size as usize));
}

#[rstest]
#[tokio::test]
async fn a_long_list_has_no_row_twice_for_any_page_size(
    #[values(0, 33, 250)] size: u32,
    #[values(16, 0)] read_ahead: usize,
) {
    let sandbox = sandbox(sized(1, 1, 2_000)).await;
    let connector = connector(&sandbox, read_ahead).await;
    let platform = connector.platform().await;
    let (rows, _) = Listing::People
        .read_sized(&platform, first_team(&sandbox), SYNC, size)
        .await
        .unwrap();
    let distinct = rows.iter().collect::<BTreeSet<_>>().len();
    assert_eq!((rows.len(), distinct), (2_000, 2_000));
}

#[rstest]
#[tokio::test]
async fn small_pages_of_a_sync_ask_buildkite_for_no_window_twice(
    #[values(Listing::People, Listing::Teams, Listing::Members)] listing: Listing,
    #[values(1, 40, 150)] size: u32,
) {
    let sandbox = sandbox(listing.seed(ROWS)).await;
    let connector = connector(&sandbox, 16).await;
    let platform = connector.platform().await;
    let read = listing.read_sized(&platform, first_team(&sandbox), SYNC, size).await;
    assert_eq!(read.unwrap().0.len(), ROWS);
    // Four windows hold 350 rows.
    assert_eq!(sandbox.request_log().count(listing.endpoint()), 4);
}

#[rstest]
#[tokio::test]
async fn the_token_of_a_small_page_is_gone_on_from_by_any_other_process(
    #[values(Listing::People, Listing::Teams, Listing::Members)] listing: Listing,
) {
    let sandbox = sandbox(listing.seed(ROWS)).await;
    let team = resource("team", &first_team(&sandbox).to_string());
    let (mut rows, mut token) = (vec![], String::new());
    loop {
        let connector = connector(&sandbox, 16).await;
        let platform = connector.platform().await;
        let (page, next): (Vec<String>, String) = match listing {
            Listing::Members => {
                let page = platform.grants_sized(&team, &token, SYNC, 60).await.unwrap();
                let ids = page.list.iter().map(|grant| id_of(grant.principal.as_ref().unwrap()));
                (ids.collect(), page.next_page_token)
            }
            Listing::People | Listing::Teams => {
                let kind = if listing == Listing::People { "user" } else { "team" };
                let page = platform.resources_sized(kind, &token, SYNC, 60).await.unwrap();
                (page.list.iter().map(id_of).collect(), page.next_page_token)
            }
        };
        assert!(page.len() <= 60);
        rows.extend(page);
        if next.is_empty() {
            break;
        }
        token = next;
    }
    let distinct: BTreeSet<_> = rows.iter().collect();
    assert_eq!((rows.len(), distinct.len()), (ROWS, ROWS));
}

#[tokio::test]
async fn the_entitlements_of_a_team_come_one_by_one_at_page_size_one() {
    let sandbox = sandbox(sized(2, 1, 2)).await;
    let connector = connector(&sandbox, 16).await;
    let platform = connector.platform().await;
    let team = resource("team", &first_team(&sandbox).to_string());
    let whole = platform.entitlements(&team).await.unwrap();
    let first = platform.entitlements_sized(&team, "", 1).await.unwrap();
    let second = platform
        .entitlements_sized(&team, &first.next_page_token, 1)
        .await
        .unwrap();
    assert_eq!(second.next_page_token, "");
    assert_eq!([first.list, second.list].concat(), whole);
    let other = sandbox.with_organization(|organization| organization.teams()[1].id);
    let other = resource("team", &other.to_string());
    assert!(
        platform
            .entitlements_sized(&other, &first.next_page_token, 1)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn users_that_only_member_rows_name_do_not_exceed_the_page_size() {
    let sandbox = sandbox(sized(1, 6, 10)).await;
    let connector = connector(&sandbox, 16).await;
    let platform = connector.platform().await;
    // Five people leave the organization, and their member rows stay.
    sandbox.edit(|organization| {
        let owner = organization.owner().map(|person| person.id);
        let members: Vec<_> = organization.teams()[0].members().iter().map(|row| row.user).collect();
        for user in members.into_iter().filter(|user| Some(*user) != owner).take(5) {
            organization.remove_person(user, MemberRows::Kept);
        }
    });
    let people = platform.sync().await.unwrap().users.len();
    assert_eq!(people, 5);
    for size in [1, 2, 3, 250] {
        let (rows, _) = Listing::People
            .read_sized(&platform, first_team(&sandbox), "next", size)
            .await
            .unwrap();
        let distinct: BTreeSet<_> = rows.iter().collect();
        assert_eq!((rows.len(), distinct.len()), (10, 10), "pages of {size}");
    }
}
