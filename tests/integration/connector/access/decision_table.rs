//! The decision table, cell by cell and type by type, and what each change costs.

use buildkite_connector::sandbox::{
    Behavior, Behaviors, CreatedLevel, DeleteAbsent, Echo, PatchAbsent, PostExisting, SuiteLevels, SuitePostPath,
    WriteLag,
};
use rstest::rstest;
use tonic::Code;

use super::model::{Answer, Change, Kind, writing_cells};
use super::{World, reason, setup};

fn all<H: Behavior>() -> Vec<H> {
    H::NAMES.iter().filter_map(|name| name.parse().ok()).collect()
}

async fn every_cell(world: &World, kind: Kind) {
    for change in kind.changes() {
        for held in kind.states() {
            let cell = format!("{kind:?} {change:?} {held:?}");
            world.hold(kind, held);
            let applied = world.applied();
            let said = world.perform(kind, change).await;
            let Some((after, answer)) = change.step(kind, held) else {
                let refused = said.unwrap_err();
                assert_eq!(
                    reason(&refused),
                    (Code::FailedPrecondition, "PROTECTED".to_owned()),
                    "{cell}"
                );
                assert!(refused.message().contains("delete the account"), "{refused}");
                assert_eq!((world.held(kind), world.applied()), (held, applied), "{cell}");
                continue;
            };
            assert_eq!(said.unwrap(), answer, "{cell}");
            assert_eq!(world.held(kind), after, "{cell}");
            assert_eq!(world.applied() - applied, usize::from(after != held), "{cell}");
        }
    }
}

#[rstest]
#[case::post_existing(all::<PostExisting>().into_iter().map(|post_existing| Behaviors { post_existing, ..Behaviors::default() }).collect())]
#[case::delete_absent(all::<DeleteAbsent>().into_iter().map(|delete_absent| Behaviors { delete_absent, ..Behaviors::default() }).collect())]
#[case::patch_absent(all::<PatchAbsent>().into_iter().map(|patch_absent| Behaviors { patch_absent, ..Behaviors::default() }).collect())]
#[case::echo(all::<Echo>().into_iter().map(|echo| Behaviors { echo, ..Behaviors::default() }).collect())]
#[case::created_level(all::<CreatedLevel>().into_iter().map(|created_level| Behaviors { created_level, ..Behaviors::default() }).collect())]
#[case::suite_levels(all::<SuiteLevels>().into_iter().map(|suite_levels| Behaviors { suite_levels, ..Behaviors::default() }).collect())]
#[case::suite_post_path(all::<SuitePostPath>().into_iter().map(|suite_post_path| Behaviors { suite_post_path, ..Behaviors::default() }).collect())]
#[tokio::test]
async fn every_cell_is_as_the_table_has_it(#[case] behaviors: Vec<Behaviors>) {
    let world = World::new().await;
    for behaviors in behaviors {
        world.sandbox.change_behaviors(|now| *now = behaviors);
        for kind in Kind::ALL {
            every_cell(&world, kind).await;
        }
    }
}

/// Requests of a grant that changes something, and of its repetition, for an owner who is an admin.
#[rstest]
#[case::pipeline(Kind::Pipeline, "build_and_read")]
#[case::suite(Kind::Suite, "edit")]
#[case::cluster_by_team(Kind::ClusterByTeam, "maintainer")]
#[case::cluster_by_user(Kind::ClusterByUser, "maintainer")]
#[tokio::test]
async fn a_new_grant_costs_two_requests_once_the_owner_is_known_and_a_repeated_one_costs_one(
    #[case] kind: Kind,
    #[case] level: &'static str,
) {
    let world = World::new().await;
    world.perform(kind, Change::Grant(level)).await.unwrap();
    world.perform(kind, Change::Revoke(level)).await.unwrap();
    let before = world.sandbox.request_log().total();
    let total = || world.sandbox.request_log().total() - before;
    assert_eq!(world.perform(kind, Change::Grant(level)).await.unwrap(), Answer::Done);
    assert_eq!(total(), 2);
    assert_eq!(
        world.perform(kind, Change::Grant(level)).await.unwrap(),
        Answer::AlreadyExists
    );
    assert_eq!(total(), 3);
}

#[tokio::test]
async fn a_role_in_the_organization_costs_two_requests_once_the_organization_and_the_owner_are_known() {
    let world = World::new().await;
    let total = || world.sandbox.request_log().total();
    let (grant, revoke) = (Change::Grant("admin"), Change::Revoke("admin"));
    world.perform(Kind::Organization, grant).await.unwrap();
    // The last admin is never demoted, so a demotion reads the list of people.
    world.perform(Kind::Organization, revoke).await.unwrap();
    let before = total();
    world.perform(Kind::Organization, grant).await.unwrap();
    assert_eq!(total() - before, 2);
    world.perform(Kind::Organization, grant).await.unwrap();
    assert_eq!(total() - before, 3);
    world.perform(Kind::Organization, revoke).await.unwrap();
    assert_eq!(total() - before, 6);
}

#[rstest]
#[tokio::test]
async fn a_write_that_shows_late_is_waited_for_and_made_once(
    #[values(
        Kind::Pipeline,
        Kind::Suite,
        Kind::ClusterByTeam,
        Kind::ClusterByUser,
        Kind::Organization
    )]
    kind: Kind,
    #[values(Echo::Full, Echo::Empty)] echo: Echo,
) {
    let mut setup = setup();
    setup.access.write_timeouts.own_write_window = std::time::Duration::from_secs(10);
    let world = World::with(setup).await;
    world.sandbox.change_behaviors(|behaviors| {
        behaviors.write_lag = WriteLag::Reads(3);
        behaviors.echo = echo;
    });
    let mut held = world.held(kind);
    for (change, before) in writing_cells(kind) {
        if before != held {
            continue;
        }
        let applied = world.applied();
        let (after, answer) = change.step(kind, held).unwrap();
        assert_eq!(
            world.perform(kind, change).await.unwrap(),
            answer,
            "{kind:?} {change:?}"
        );
        assert_eq!(world.held(kind), after, "{kind:?} {change:?}");
        assert_eq!(world.applied() - applied, 1, "{kind:?} {change:?}");
        held = after;
    }
    assert!(world.applied() > 0);
}
