//! Pages: which rows, how many, and where the links lead.

use std::collections::HashSet;

use buildkite_connector::sandbox::{Link, Order, Paging};
use rstest::rstest;

use crate::probe::Probe;

#[tokio::test]
async fn a_page_holds_30_rows_by_default_and_never_more_than_100() {
    let probe = Probe::sized(0, 0, 150).await;
    for (query, rows) in [
        ("", 30),
        ("?per_page=7", 7),
        ("?per_page=100", 100),
        ("?per_page=500", 100),
        ("?page=9", 0),
    ] {
        assert_eq!(
            probe.get(&probe.path(&format!("members{query}"))).await.rows().len(),
            rows,
            "{query}"
        );
    }
    for query in ["?per_page=0", "?per_page=many", "?page=0&per_page=30", "?page=-1"] {
        assert_eq!(
            probe.get(&probe.path(&format!("members{query}"))).await.rows().len(),
            30,
            "{query}"
        );
    }
}

#[tokio::test]
async fn following_next_reads_every_row_once() {
    let probe = Probe::sized(1, 101, 120).await;
    let origin = probe.sandbox.url().to_owned();
    let mut seen = Vec::new();
    let mut next = Some(probe.members("team-0") + "?per_page=20");
    while let Some(path) = next {
        let reply = probe.get(&path).await;
        seen.extend(reply.column("user_id"));
        next = reply
            .link("next")
            .map(|url| url.strip_prefix(&origin).unwrap().to_owned());
    }
    assert_eq!(seen.len(), 101);
    assert_eq!(seen.iter().collect::<HashSet<_>>().len(), 101);
}

#[tokio::test]
async fn links_name_the_neighbors_and_both_ends() {
    let probe = Probe::sized(0, 0, 50).await;
    let reply = probe.get(&probe.path("members?page=2&per_page=20")).await;
    for (relation, page) in [("next", 3), ("prev", 1), ("first", 1), ("last", 3)] {
        let url = format!(
            "{}{}?per_page=20&page={page}",
            probe.sandbox.url(),
            probe.path("members")
        );
        assert_eq!(reply.link(relation), Some(url));
    }
    let last = probe.get(&probe.path("members?page=3&per_page=20")).await;
    assert_eq!((last.link("next"), last.link("prev").is_some()), (None, true));
}

#[tokio::test]
async fn links_keep_the_other_parameters() {
    let probe = Probe::example().await;
    let ingrid = probe.sandbox.owner();
    let reply = probe
        .get(&probe.path(&format!("teams?user_id={ingrid}&per_page=1")))
        .await;
    assert!(reply.link("next").unwrap().contains(&format!("user_id={ingrid}")));
}

#[rstest]
#[case(Link::OnlyWhenMore, false)]
#[case(Link::Always, true)]
#[case(Link::Never, false)]
#[case(Link::ForeignHost, false)]
#[tokio::test]
async fn a_list_of_one_page_has_a_link_by_behavior(#[case] link: Link, #[case] present: bool) {
    let probe = Probe::with_behaviors(|behaviors| behaviors.link = link).await;
    let reply = probe.get(&probe.path("members")).await;
    assert_eq!(reply.header("link").is_some(), present);
    assert_eq!(reply.link("next"), None);
}

#[tokio::test]
async fn without_the_link_behavior_no_page_has_one() {
    let probe = Probe::with_behaviors(|behaviors| behaviors.link = Link::Never).await;
    assert_eq!(probe.get(&probe.path("members?per_page=2")).await.header("link"), None);
}

#[tokio::test]
async fn a_wrong_next_leads_past_the_end() {
    let probe = Probe::with_behaviors(|behaviors| behaviors.link = Link::WrongNext).await;
    let reply = probe.get(&probe.path("members")).await;
    assert!(reply.link("next").unwrap().ends_with("page=2"));
    assert!(probe.get(&probe.path("members?page=2")).await.rows().is_empty());
}

#[tokio::test]
async fn a_foreign_link_leads_to_another_host() {
    let probe = Probe::with_behaviors(|behaviors| behaviors.link = Link::ForeignHost).await;
    let reply = probe.get(&probe.path("members?per_page=5")).await;
    let url = reply.link("next").unwrap();
    assert_eq!(
        url,
        "https://elsewhere.invalid/v2/organizations/northwind-rail/members?per_page=5&page=2"
    );
}

#[rstest]
#[case(Paging::Paged, 20, 20)]
#[case(Paging::Complete, 70, 70)]
#[case(Paging::PerPageIgnored, 30, 30)]
#[case(Paging::PageIgnored, 20, 20)]
#[tokio::test]
async fn each_list_pages_by_its_own_behavior(#[case] paging: Paging, #[case] first: usize, #[case] second: usize) {
    let probe = Probe::sized(70, 70, 70).await;
    let lists = [probe.path("teams"), probe.members("team-0"), probe.path("members")];
    for number in 0..lists.len() {
        probe.sandbox.change_behaviors(|behaviors| {
            let mut pagings = [Paging::Paged; 3];
            pagings[number] = paging;
            [
                behaviors.team_paging,
                behaviors.team_member_paging,
                behaviors.organization_member_paging,
            ] = pagings;
        });
        for (other, list) in lists.iter().enumerate() {
            let pages = [
                probe.get(&format!("{list}?per_page=20")).await,
                probe.get(&format!("{list}?per_page=20&page=2")).await,
            ];
            let sizes = pages.each_ref().map(|page| page.rows().len());
            assert_eq!(sizes, if other == number { [first, second] } else { [20, 20] });
            let repeats = other == number && matches!(paging, Paging::Complete | Paging::PageIgnored);
            assert_eq!(pages[0].text == pages[1].text, repeats);
        }
    }
}

#[tokio::test]
async fn the_cap_of_a_page_is_a_behavior() {
    let probe = Probe::with_behaviors(|behaviors| behaviors.per_page_cap = 10).await;
    assert_eq!(probe.get(&probe.path("members?per_page=100")).await.rows().len(), 10);
}

#[tokio::test]
async fn newest_first_is_the_same_list_backwards() {
    let probe = Probe::example().await;
    let mut oldest = probe.get(&probe.path("members")).await.column("id");
    probe
        .sandbox
        .change_behaviors(|behaviors| behaviors.order = Order::NewestFirst);
    oldest.reverse();
    assert_eq!(probe.get(&probe.path("members")).await.column("id"), oldest);
    assert_eq!(
        probe.get(&probe.path("members?per_page=4&page=2")).await.column("id"),
        oldest[4..8]
    );
}

#[rstest]
#[case(0, 0, 0)]
#[case(1, 1, 1)]
#[case(3, 100, 100)]
#[case(2, 101, 400)]
#[tokio::test]
async fn a_seeded_organization_has_the_requested_size(
    #[case] teams: usize,
    #[case] members: usize,
    #[case] people: usize,
) {
    let probe = Probe::sized(teams, members, people).await;
    let organization = probe.sandbox.organization();
    assert_eq!(
        (organization.teams().len(), organization.people().len()),
        (teams, people.max(1))
    );
    assert!(organization.teams().iter().all(|team| team.members().len() == members));
    let again = Probe::sized(teams, members, people).await.sandbox.organization();
    let ids = |organization: &buildkite_connector::sandbox::Organization| {
        organization
            .people()
            .iter()
            .map(|person| person.id)
            .chain(organization.teams().iter().map(|team| team.id))
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&organization), ids(&again));
}
