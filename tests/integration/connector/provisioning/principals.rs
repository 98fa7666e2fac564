//! The principal of a call: a UUID, or an e-mail that exactly one member has.

use std::time::Duration;

use buildkite_connector::sandbox::{Endpoint, MemberRows, Person};
use tonic::Code;
use uuid::Uuid;

use super::model::{Answer, Change, Pair, Role};
use super::{World, perform, reason};
use crate::support::within;

const GRANT: Change = Change::Grant(Role::Member);
const REVOKE: Change = Change::Revoke(Role::Member);

fn join(world: &World, email: &str) -> Uuid {
    world
        .sandbox
        .edit(|organization| organization.add_person(Person::new("Ada", email)))
}

fn pair(world: &World, user: Uuid) -> Pair {
    Pair {
        team: world.teams[0],
        user,
    }
}

#[tokio::test]
async fn an_email_matches_in_any_case_and_is_confirmed_with_the_members_record() {
    let world = World::new().await;
    let ada = pair(&world, join(&world, "Ada@Example.com"));
    assert_eq!(
        perform(&world.platform, ada, "aDA@exAMPle.com", GRANT).await.unwrap(),
        Answer::Done
    );
    assert_eq!(
        perform(&world.platform, ada, "ada@example.com", GRANT).await.unwrap(),
        Answer::AlreadyExists
    );
    assert_eq!(
        perform(&world.platform, ada, "ADA@EXAMPLE.COM", REVOKE).await.unwrap(),
        Answer::Done
    );
    let request_log = world.sandbox.request_log();
    assert_eq!(
        (
            request_log.count(Endpoint::OrganizationMembers),
            request_log.count(Endpoint::OrganizationMember)
        ),
        (1, 3)
    );
}

#[tokio::test]
async fn the_members_are_read_again_once_the_cache_is_too_old() {
    let mut setup = super::setup();
    setup.access.directory_max_age = Duration::from_millis(200);
    let world = World::with(setup).await;
    let ada = pair(&world, join(&world, "ada@example.com"));
    let lists = || world.sandbox.request_log().count(Endpoint::OrganizationMembers);
    for change in [GRANT, REVOKE] {
        perform(&world.platform, ada, "ada@example.com", change).await.unwrap();
    }
    let before = lists();
    // Granted again and again, until what is kept is too old.
    let read_again = async {
        while lists() == before {
            perform(&world.platform, ada, "ada@example.com", GRANT).await.unwrap();
        }
    };
    within("another read of the members", read_again).await;
    assert_eq!(lists(), before + 1);
}

#[tokio::test]
async fn an_email_of_several_is_ambiguous_and_one_of_no_one_is_of_no_one_for_a_revoke_too() {
    let world = World::new().await;
    let first = pair(&world, join(&world, "twins@example.com"));
    join(&world, "Twins@Example.com");
    world.hold(first, Some(Role::Member));
    for (email, why) in [
        ("twins@example.com", "AMBIGUOUS_PRINCIPAL"),
        ("nobody@example.com", "USER_NOT_IN_ORGANIZATION"),
    ] {
        for change in [GRANT, REVOKE] {
            let refused = perform(&world.platform, first, email, change).await.unwrap_err();
            assert_eq!(reason(&refused), (Code::FailedPrecondition, why.to_owned()));
            assert!(refused.message().contains(email), "{refused}");
        }
    }
    assert_eq!((world.applied(), world.held(first)), (0, Some(Role::Member)));
}

#[tokio::test]
async fn an_outdated_directory_causes_no_wrong_change() {
    let world = World::new().await;
    let first = pair(&world, join(&world, "ada@example.com"));
    perform(&world.platform, first, "ada@example.com", GRANT).await.unwrap();
    // A member who joined after the list was read is found.
    let grace = pair(&world, join(&world, "grace@example.com"));
    assert_eq!(
        perform(&world.platform, grace, "grace@example.com", GRANT)
            .await
            .unwrap(),
        Answer::Done
    );
    // An address that moved to another member leads to that member.
    world
        .sandbox
        .edit(|organization| organization.remove_person(first.user, MemberRows::Kept));
    let second = pair(&world, join(&world, "ada@example.com"));
    assert_eq!(
        perform(&world.platform, second, "ada@example.com", GRANT)
            .await
            .unwrap(),
        Answer::Done
    );
    assert_eq!(world.held(second), Some(Role::Member));
    // One of the two members with the same address is left.
    let third = pair(&world, join(&world, "ADA@example.com"));
    perform(&world.platform, second, "ada@example.com", REVOKE)
        .await
        .unwrap();
    perform(&world.platform, second, "nobody@example.com", REVOKE)
        .await
        .unwrap_err();
    perform(&world.platform, second, "ada@example.com", REVOKE)
        .await
        .unwrap_err();
    world
        .sandbox
        .edit(|organization| organization.remove_person(second.user, MemberRows::Dropped));
    assert_eq!(
        perform(&world.platform, third, "ada@example.com", GRANT).await.unwrap(),
        Answer::Done
    );
}

#[tokio::test]
async fn an_outsider_is_named_as_the_caller_named_them_or_as_lists_did() {
    let world = World::new().await;
    let ada = pair(&world, join(&world, "ada@example.com"));
    perform(&world.platform, ada, "ada@example.com", GRANT).await.unwrap();
    world
        .sandbox
        .edit(|organization| organization.remove_person(ada.user, MemberRows::Dropped));
    let refused = world.perform(ada, GRANT).await.unwrap_err();
    assert!(refused.message().contains("ada@example.com"), "{refused}");
    assert_eq!(reason(&refused).1, "USER_NOT_IN_ORGANIZATION");
}

#[tokio::test]
async fn several_in_a_remembered_list_are_ambiguous_only_if_a_fresh_one_shows_them() {
    let world = World::new().await;
    let first = pair(&world, join(&world, "twins@example.com"));
    let second = pair(&world, join(&world, "twins@example.com"));
    let revoke = || perform(&world.platform, first, "twins@example.com", REVOKE);
    assert_eq!(reason(&revoke().await.unwrap_err()).1, "AMBIGUOUS_PRINCIPAL");
    for user in [first.user, second.user] {
        world
            .sandbox
            .edit(|organization| organization.remove_person(user, MemberRows::Dropped));
    }
    // The list that is remembered still shows both.
    let refused = revoke().await.unwrap_err();
    assert_eq!(
        reason(&refused),
        (Code::FailedPrecondition, "USER_NOT_IN_ORGANIZATION".to_owned())
    );
    assert!(refused.message().contains("twins@example.com"), "{refused}");
}

#[tokio::test]
async fn an_email_that_its_one_holder_gave_up_leads_to_no_one() {
    let world = World::new().await;
    let ada = pair(&world, join(&world, "ada@example.com"));
    perform(&world.platform, ada, "ada@example.com", GRANT).await.unwrap();
    world
        .sandbox
        .edit(|organization| organization.remove_person(ada.user, MemberRows::Kept));
    for change in [GRANT, REVOKE] {
        let refused = perform(&world.platform, ada, "ada@example.com", change)
            .await
            .unwrap_err();
        assert_eq!(reason(&refused).1, "USER_NOT_IN_ORGANIZATION");
    }
}
