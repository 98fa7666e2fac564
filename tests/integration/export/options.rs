//! Partial syncs, as hosts request them.

use std::sync::Arc;

use buildkite_connector::export::{self, Counts, Format, Output, Progress, SyncOptions};
use buildkite_connector::governance::model::ResourceId;
use buildkite_connector::governance::{Governance, GovernanceSettings};
use buildkite_connector::providers::buildkite::resources::{TEAM, USER};
use buildkite_connector::providers::buildkite::{Client, ClientOptions, Coverage, govern};
use buildkite_connector::sandbox::{Endpoint, Sandbox, Seed};
use rstest::rstest;
use secrecy::ExposeSecret;

use super::job::{NAMES, Place, synced};
use super::read_back::C1z;
use crate::support::{sandbox, sized};

fn access(sandbox: &Sandbox) -> Arc<Governance> {
    let client = Client::new(
        sandbox.url().parse().unwrap(),
        sandbox.slug().parse().unwrap(),
        sandbox.token().expose_secret().parse().unwrap(),
        ClientOptions::default(),
    );
    Arc::new(govern(
        Arc::new(client.unwrap()),
        Coverage::default(),
        GovernanceSettings::default(),
    ))
}

async fn sync(sandbox: &Sandbox, options: &SyncOptions, place: &Place) -> (Counts, C1z) {
    let path = place.path("access.c1z");
    let mut output = Output::open(&path, Format::C1z, options.run_type()).unwrap();
    let counts = export::sync(&access(sandbox), options, &mut output, &Progress::default())
        .await
        .unwrap();
    output.finish().await.unwrap();
    (counts, C1z::open(&path))
}

#[rstest]
#[case::only_users(SyncOptions { types: Some(vec![&USER]), ..SyncOptions::default() }, [1, 30, 0, 0], "full")]
#[case::only_teams(SyncOptions { types: Some(vec![&TEAM]), ..SyncOptions::default() }, [1, 6, 12, 0], "full")]
#[case::no_grants(SyncOptions { skip_grants: true, ..SyncOptions::default() }, [2, 36, 12, 0], "full")]
#[case::resources_only(SyncOptions { skip_entitlements_and_grants: true, ..SyncOptions::default() }, [2, 36, 0, 0], "resources_only")]
#[tokio::test]
async fn an_excluded_resource_is_not_requested(
    #[case] options: SyncOptions,
    #[case] rows: [i64; 4],
    #[case] run: &str,
) {
    let sandbox = sandbox(sized(6, 4, 30)).await;
    let (_, file) = sync(&sandbox, &options, &Place::new()).await;
    let tables = ["v1_resource_types", "v1_resources", "v1_entitlements", "v1_grants"];
    assert_eq!(
        tables.map(|table| file.number(&format!("select count(*) from {table}"))),
        rows
    );
    assert_eq!(file.text("select sync_type from v1_sync_runs"), [run]);
    assert_eq!(sandbox.request_log().count(Endpoint::TeamMembers), 0);
}

#[tokio::test]
async fn targets_alone_are_read_and_belong_to_the_last_full_run() {
    let sandbox = sandbox(sized(6, 4, 30)).await;
    let place = Place::new();
    let (_, full) = sync(&sandbox, &SyncOptions::default(), &place).await;
    sandbox.request_log().clear();
    let (team, user) =
        sandbox.with_organization(|organization| (organization.teams()[2].id, organization.people()[9].id));
    let gone = uuid::Uuid::new_v4();
    let target = |resource_type, id| ResourceId { resource_type, id };
    let options = SyncOptions {
        targets: vec![
            target(&TEAM, team),
            target(&USER, user),
            target(&TEAM, gone),
            target(&TEAM, team),
        ],
        ..SyncOptions::default()
    };
    let (counts, file) = sync(&sandbox, &options, &place).await;
    let expected = Counts {
        users: 1,
        teams: 1,
        entitlements: 2,
        grants: 4,
    };
    assert_eq!(counts, expected);
    assert_eq!(sandbox.request_log().count(Endpoint::TeamMembers), 1);
    let runs = file.text("select sync_type || ' ' || parent_sync_id from v1_sync_runs order by id");
    assert_eq!(runs, ["full ".to_owned(), format!("partial {}", full.finished()[0])]);
}

#[tokio::test]
async fn a_sync_in_one_process_reads_everything_anew_each_time() {
    let sandbox = sandbox(Seed::Example).await;
    let access = access(&sandbox);
    let mut counted = Vec::new();
    for _ in 0..2 {
        let place = Place::new();
        let mut output = Output::open(
            &place.path("access.c1z"),
            Format::C1z,
            SyncOptions::default().run_type(),
        )
        .unwrap();
        let (options, progress) = (SyncOptions::default(), Progress::default());
        let counts = export::sync(&access, &options, &mut output, &progress).await;
        counted.push(counts.unwrap());
        sandbox.edit(|organization| {
            let team = organization.teams()[0].id;
            organization.remove_team(team);
        });
    }
    assert_eq!(counted[0].teams, counted[1].teams + 1);
    assert!(counted[0].grants > counted[1].grants);
}

#[rstest]
#[tokio::test]
async fn a_file_that_is_abandoned_while_it_is_completed_does_not_exist(#[values(0, 1, 2, 3)] format: usize) {
    let sandbox = sandbox(sized(6, 4, 30)).await;
    let (place, name) = (Place::new(), NAMES[format]);
    synced(&sandbox, &place.path(name)).await;
    let before = place.contents();
    let options = SyncOptions::default();
    let mut output = Output::open(
        &place.path(name),
        Format::of(&place.path(name)).unwrap(),
        options.run_type(),
    )
    .unwrap();
    let progress = Progress::default();
    export::sync(&access(&sandbox), &options, &mut output, &progress)
        .await
        .unwrap();
    let mut finishing = Box::pin(output.finish());
    assert!(futures::poll!(&mut finishing).is_pending());
    drop(finishing);
    assert_eq!(place.contents(), before);
}
