//! Who is meant: a UUID, or an e-mail that exactly one person has.

use std::time::Duration;

use buildkite_connector::sandbox::{Endpoint, MemberRows, Person};
use tonic::Code;
use uuid::Uuid;

use super::model::{Answer, Asked, Pair, Role};
use super::{World, ask, reason};

const GRANT: Asked = Asked::Grant(Role::Member);
const REVOKE: Asked = Asked::Revoke(Role::Member);

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
async fn an_email_is_found_whatever_its_case_and_confirmed_with_that_persons_record() {
    let world = World::new().await;
    let ada = pair(&world, join(&world, "Ada@Example.com"));
    assert_eq!(
        ask(&world.platform, ada, "aDA@exAMPle.com", GRANT).await.unwrap(),
        Answer::Done
    );
    assert_eq!(
        ask(&world.platform, ada, "ada@example.com", GRANT).await.unwrap(),
        Answer::AlreadyExists
    );
    assert_eq!(
        ask(&world.platform, ada, "ADA@EXAMPLE.COM", REVOKE).await.unwrap(),
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
async fn people_are_read_again_once_what_is_kept_of_them_is_too_old() {
    let mut setup = super::setup();
    setup.access.directory_max_age = Duration::from_millis(200);
    let world = World::with(setup).await;
    let ada = pair(&world, join(&world, "ada@example.com"));
    let lists = || world.sandbox.request_log().count(Endpoint::OrganizationMembers);
    for asked in [GRANT, REVOKE] {
        ask(&world.platform, ada, "ada@example.com", asked).await.unwrap();
    }
    let before = lists();
    // Granted again and again, until what is kept is too old.
    let read_again = async {
        while lists() == before {
            ask(&world.platform, ada, "ada@example.com", GRANT).await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(120), read_again)
        .await
        .unwrap();
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
        for asked in [GRANT, REVOKE] {
            let refused = ask(&world.platform, first, email, asked).await.unwrap_err();
            assert_eq!(reason(&refused), (Code::FailedPrecondition, why.to_owned()));
            assert!(refused.message().contains(email), "{refused}");
        }
    }
    assert_eq!((world.applied(), world.held(first)), (0, Some(Role::Member)));
}

#[tokio::test]
async fn a_directory_that_is_out_of_date_harms_nobody() {
    let world = World::new().await;
    let first = pair(&world, join(&world, "ada@example.com"));
    ask(&world.platform, first, "ada@example.com", GRANT).await.unwrap();
    // Somebody who joined after the list was read is found.
    let grace = pair(&world, join(&world, "grace@example.com"));
    assert_eq!(
        ask(&world.platform, grace, "grace@example.com", GRANT).await.unwrap(),
        Answer::Done
    );
    // An address that went to somebody else leads to them.
    world
        .sandbox
        .edit(|organization| organization.remove_person(first.user, MemberRows::Kept));
    let second = pair(&world, join(&world, "ada@example.com"));
    assert_eq!(
        ask(&world.platform, second, "ada@example.com", GRANT).await.unwrap(),
        Answer::Done
    );
    assert_eq!(world.held(second), Some(Role::Member));
    // Two who had the same are one by now.
    let third = pair(&world, join(&world, "ADA@example.com"));
    ask(&world.platform, second, "ada@example.com", REVOKE).await.unwrap();
    ask(&world.platform, second, "nobody@example.com", REVOKE)
        .await
        .unwrap_err();
    ask(&world.platform, second, "ada@example.com", REVOKE)
        .await
        .unwrap_err();
    world
        .sandbox
        .edit(|organization| organization.remove_person(second.user, MemberRows::Dropped));
    assert_eq!(
        ask(&world.platform, third, "ada@example.com", GRANT).await.unwrap(),
        Answer::Done
    );
}

#[tokio::test]
async fn an_outsider_is_named_as_the_caller_named_them_or_as_lists_did() {
    let world = World::new().await;
    let ada = pair(&world, join(&world, "ada@example.com"));
    ask(&world.platform, ada, "ada@example.com", GRANT).await.unwrap();
    world
        .sandbox
        .edit(|organization| organization.remove_person(ada.user, MemberRows::Dropped));
    let refused = world.ask(ada, GRANT).await.unwrap_err();
    assert!(refused.message().contains("ada@example.com"), "{refused}");
    assert_eq!(reason(&refused).1, "USER_NOT_IN_ORGANIZATION");
}

#[tokio::test]
async fn several_in_a_remembered_list_are_ambiguous_only_if_a_fresh_one_shows_them() {
    let world = World::new().await;
    let first = pair(&world, join(&world, "twins@example.com"));
    let second = pair(&world, join(&world, "twins@example.com"));
    let revoke = || ask(&world.platform, first, "twins@example.com", REVOKE);
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
    ask(&world.platform, ada, "ada@example.com", GRANT).await.unwrap();
    world
        .sandbox
        .edit(|organization| organization.remove_person(ada.user, MemberRows::Kept));
    for asked in [GRANT, REVOKE] {
        let refused = ask(&world.platform, ada, "ada@example.com", asked).await.unwrap_err();
        assert_eq!(reason(&refused).1, "USER_NOT_IN_ORGANIZATION");
    }
}
