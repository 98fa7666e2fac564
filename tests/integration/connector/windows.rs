//! Lists that move while they are read, and servers that page in ways of their own: every row that stayed is in the
//! answer, or the listing fails.

use buildkite_connector::sandbox::{Behaviors, Edit, Fault, FaultKind, Link, Order, Organization, Paging, TeamRole};
use futures::{StreamExt, stream};
use rstest::rstest;
use tonic::Code;

use crate::support::platform::resource;
use crate::support::{Listing, ROWS, TestServer, details, first_team, sandbox};

const AT_ONCE: usize = 16;

fn paged(behaviors: &mut Behaviors, paging: Paging) {
    behaviors.team_paging = paging;
    behaviors.team_member_paging = paging;
    behaviors.organization_member_paging = paging;
}

/// Removes this number of rows from the front of a list, but neither the owner of the token nor the team that is read.
fn remove_many(listing: Listing, organization: &mut Organization, many: usize) {
    match listing {
        Listing::People => {
            let gone: Vec<_> = organization
                .people()
                .iter()
                .skip(1)
                .take(many)
                .map(|row| row.id)
                .collect();
            for id in gone {
                organization.remove_person(id, buildkite_connector::sandbox::MemberRows::Dropped);
            }
        }
        Listing::Teams => {
            let gone: Vec<_> = organization.teams().iter().take(many).map(|row| row.id).collect();
            for id in gone {
                organization.remove_team(id);
            }
        }
        Listing::Members => {
            let Some(team) = organization.teams().first() else {
                return;
            };
            let (team, gone): (_, Vec<_>) = (team.id, team.members().iter().take(many).map(|row| row.user).collect());
            for user in gone {
                organization.remove_membership(team, user);
            }
        }
    }
}

#[rstest]
#[tokio::test]
async fn every_row_that_stayed_is_listed_when_rows_move_between_any_two_windows(
    #[values(Listing::People, Listing::Teams, Listing::Members)] listing: Listing,
    #[values(Order::OldestFirst, Order::NewestFirst)] order: Order,
    #[values(
        Some(Edit::RemoveAhead),
        Some(Edit::InsertAhead),
        Some(Edit::RemoveAndAddAgain),
        None
    )]
    edit: Option<Edit>,
) {
    let sandbox = sandbox(listing.seed(ROWS)).await;
    sandbox.change_behaviors(|behaviors| behaviors.order = order);
    // A list that loses many rows with every window for ever never has two readings that agree: it is an error.
    let times = if edit.is_some() { u64::MAX } else { 8 };
    let edit = edit.unwrap_or_else(|| Edit::with(move |organization| remove_many(listing, organization, 12)));
    let moving = Fault::new(listing.endpoint(), FaultKind::MoveRows(edit.clone()));
    let moving = sandbox.faults().add(moving.after(1).times(times));
    let before = listing.truth(&sandbox);
    let connector = TestServer::on(&sandbox).await;
    let read = listing.read(&connector.platform().await, first_team(&sandbox)).await;
    assert!(moving.fired() >= 3, "rows moved {} times", moving.fired());
    let after = listing.truth(&sandbox);
    let stayed: Vec<_> = before.intersection(&after).collect();
    let rows = read.unwrap();
    let missing = stayed.iter().filter(|id| !rows.contains(id)).count();
    assert_eq!(missing, 0, "of {} rows that stayed, with {edit:?}", stayed.len());
}

#[rstest]
#[tokio::test]
async fn a_list_that_loses_more_rows_than_a_window_holds_is_complete_or_an_error(
    #[values(Listing::People, Listing::Teams, Listing::Members)] listing: Listing,
    #[values(40, 99, 150, 260)] many: usize,
) {
    let sandbox = sandbox(listing.seed(ROWS)).await;
    let edit = Edit::with(move |organization| remove_many(listing, organization, many));
    let moved = Fault::new(listing.endpoint(), FaultKind::MoveRows(edit))
        .after(1)
        .once();
    let moved = sandbox.faults().add(moved);
    let team = first_team(&sandbox);
    let connector = TestServer::on(&sandbox).await;
    let read = listing.read(&connector.platform().await, team).await;
    assert_eq!(moved.fired(), 1);
    // Every remaining row was there throughout.
    match read {
        Ok(rows) => assert!(listing.truth(&sandbox).is_subset(&rows), "{} rows", rows.len()),
        Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status:?}"),
    }
}

#[tokio::test]
async fn a_role_that_changes_between_two_readings_of_its_row_is_the_later_one_and_only_that() {
    let sandbox = sandbox(Listing::Members.seed(150)).await;
    let team = first_team(&sandbox);
    // The hundredth row is the last of the first window and the first of the second.
    let promoted = sandbox.with_organization(|organization| organization.team(team).unwrap().members()[99].user);
    let promote = Edit::with(move |organization| {
        organization.set_membership(team, promoted, TeamRole::Maintainer);
    });
    let moved = Fault::new(Listing::Members.endpoint(), FaultKind::MoveRows(promote)).on_page(2);
    let moved = sandbox.faults().add(moved);
    let connector = TestServer::on(&sandbox).await;
    let team = resource("team", &team.to_string());
    let grants = connector.platform().await.grants(&team).await.unwrap();
    let theirs = grants.iter().filter(|grant| grant.id.ends_with(&promoted.to_string()));
    let roles: Vec<_> = theirs.map(|grant| grant.entitlement.clone().unwrap().slug).collect();
    assert_eq!((roles, moved.fired()), (vec!["maintainer".to_owned()], 1));
}

/// One server with behaviors of its own. A server that answers the first page for ever cannot be read beyond it.
async fn listed_exactly(
    (listing, paging, link, order, cap, rows): (Listing, Paging, Link, Order, u32, usize),
) -> Result<(), String> {
    let sandbox = sandbox(listing.seed(rows)).await;
    sandbox.change_behaviors(|behaviors| {
        paged(behaviors, paging);
        (behaviors.link, behaviors.order, behaviors.per_page_cap) = (link, order, cap);
    });
    let connector = TestServer::on(&sandbox).await;
    let read = listing.read(&connector.platform().await, first_team(&sandbox)).await;
    let endless = paging == Paging::PageIgnored && rows >= 100;
    match read {
        Ok(read) if !endless && read == listing.truth(&sandbox) => Ok(()),
        Ok(read) => Err(format!("OK with {} rows", read.len())),
        Err(status) if endless && details(&status).reason == "UNEXPECTED_RESPONSE" => Ok(()),
        Err(status) => Err(details(&status).message),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_list_is_complete_however_the_server_pages_and_links() {
    let mut servers = vec![];
    let pagings = [
        Paging::Paged,
        Paging::Complete,
        Paging::PerPageIgnored,
        Paging::PageIgnored,
    ];
    let links = [
        Link::OnlyWhenMore,
        Link::Always,
        Link::Never,
        Link::WrongNext,
        Link::ForeignHost,
    ];
    for listing in Listing::ALL {
        for paging in pagings {
            for link in links {
                for (order, rows) in [(Order::OldestFirst, 37), (Order::NewestFirst, ROWS)] {
                    servers.push((listing, paging, link, order, 100, rows));
                }
            }
        }
        // A smaller cap shows by the Link alone: without one, a short page is all that there is to see.
        for link in links.into_iter().filter(|link| *link != Link::Never) {
            servers.push((listing, Paging::Paged, link, Order::OldestFirst, 40, ROWS));
        }
    }
    let asserted = servers.len();
    let complaints: Vec<String> = stream::iter(servers)
        .map(|server| async move {
            let read = tokio::spawn(listed_exactly(server)).await;
            let read = read.unwrap_or_else(|panic| Err(panic.to_string()));
            read.err().map(|complaint| format!("{server:?}: {complaint}"))
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await;
    println!("{asserted} servers read");
    assert!(
        complaints.is_empty(),
        "{} of {asserted}: {complaints:#?}",
        complaints.len()
    );
}
