//! What each credential is used for.

use buildkite_connector::providers::buildkite::budget::CredentialUse;
use buildkite_connector::sandbox::Endpoint;

use super::harness::ServiceUsers;

#[tokio::test]
async fn a_credential_for_provisioning_makes_all_changes_and_never_lists_for_a_sync() {
    let place = ServiceUsers::new(3).await;
    let uses = [CredentialUse::Any, CredentialUse::Sync, CredentialUse::Provisioning];
    let specs = uses.into_iter().enumerate();
    let specs = specs
        .map(|(user, usage)| place.credential(&user.to_string(), usage, user))
        .collect();
    let connector = place.connector(specs).await;
    let platform = connector.platform().await;
    platform.sync().await.unwrap();
    for list in [
        Endpoint::Teams,
        Endpoint::TeamMembers,
        Endpoint::OrganizationMembers,
        Endpoint::Team,
    ] {
        let askers: Vec<usize> = place.requests(list).into_keys().collect();
        assert!(!askers.contains(&2), "{list:?}: {askers:?}");
    }
    let (team, outsider) = place.team_and_outsider();
    place.sandbox.request_log().clear();
    platform.grant(&team, "member", &outsider).await.unwrap();
    platform.revoke(&team, "member", &outsider).await.unwrap();
    // Not only the writes: also the reads that decide and confirm them.
    let all = place.requests(Endpoint::Any);
    assert_eq!(all.keys().copied().collect::<Vec<_>>(), [2], "{all:?}");
    assert_eq!(
        (
            place.requests(Endpoint::AddTeamMember)[&2],
            place.requests(Endpoint::RemoveTeamMember)[&2]
        ),
        (1, 1)
    );
}

#[tokio::test]
async fn a_credential_for_syncs_makes_no_change() {
    let place = ServiceUsers::new(2).await;
    let specs = vec![
        place.credential("sync", CredentialUse::Sync, 0),
        place.credential("any", CredentialUse::Any, 1),
    ];
    let connector = place.connector(specs).await;
    let platform = connector.platform().await;
    platform.sync().await.unwrap();
    let (team, outsider) = place.team_and_outsider();
    place.sandbox.request_log().clear();
    platform.grant(&team, "member", &outsider).await.unwrap();
    assert_eq!(place.requests(Endpoint::Any).into_keys().collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn one_change_is_decided_made_and_confirmed_with_one_credential() {
    let place = ServiceUsers::new(4).await;
    let connector = place.connector(place.one_each()).await;
    let platform = connector.platform().await;
    let (team, outsider) = place.team_and_outsider();
    platform.resource("team", &team).await.unwrap();
    for _ in 0..3 {
        for role in ["member", "maintainer"] {
            place.sandbox.request_log().clear();
            platform.grant(&team, role, &outsider).await.unwrap();
            assert_eq!(
                place.requests(Endpoint::Any).len(),
                1,
                "{:?}",
                place.requests(Endpoint::Any)
            );
        }
        platform.revoke(&team, "maintainer", &outsider).await.unwrap();
    }
}
