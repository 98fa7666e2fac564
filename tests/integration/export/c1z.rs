//! `c1z`: version 1 as its readers expect it, the two newest runs, and never a file of another kind.

use std::fs;

use buildkite_connector::sandbox::{Options, Sandbox, Seed, Team, TeamRole};
use rstest::rstest;
use rusqlite::{Connection, params};

use super::job::{Place, ended, sync_into, synced, truth};
use super::read_back::C1z;
use crate::support::{sandbox, sized};

#[tokio::test]
async fn a_c1z_holds_all_that_the_organization_holds() {
    let sandbox = sandbox(sized(12, 230, 700)).await;
    let place = Place::new();
    let path = place.path("access.c1z");
    synced(&sandbox, &path).await;
    let file = C1z::open(&path);
    assert_eq!(file.truth(), truth(&sandbox));
    let run = file.finished().pop().unwrap();
    assert!(
        run.len() == 27 && run.chars().all(|c| c.is_ascii_alphanumeric()),
        "{run}"
    );
    let stats: serde_json::Value = serde_json::from_str(&file.text("select stats from v1_sync_runs")[0]).unwrap();
    let counted = ["resource_types", "resources", "entitlements", "grants"].map(|kind| stats[kind].as_u64().unwrap());
    assert_eq!(counted, [2, 712, 24, 12 * 230]);
    assert_eq!(
        stats["resources_by_resource_type"],
        serde_json::json!({"user": 700, "team": 12})
    );
}

#[tokio::test]
async fn names_of_every_script_arrive_as_they_are() {
    let sandbox = sandbox(Seed::Example).await;
    sandbox.edit(|organization| {
        let person = buildkite_connector::sandbox::Person::new("नादिया 🚆 שלום", "nadia@example.com");
        let person = organization.add_person(person);
        let team = organization.add_team(Team::new("tram", "Straßenbahn 市電"));
        organization.set_membership(team, person, TeamRole::Maintainer);
    });
    let place = Place::new();
    let path = place.path("access.c1z");
    synced(&sandbox, &path).await;
    let read = C1z::open(&path).truth();
    assert_eq!(read, truth(&sandbox));
    assert!(read.users.values().any(|name| name == "नादिया 🚆 שלום"));
}

#[tokio::test]
async fn an_organization_without_a_team_is_a_finished_run_too() {
    let sandbox = sandbox(sized(0, 0, 3)).await;
    let place = Place::new();
    let path = place.path("access.c1z");
    synced(&sandbox, &path).await;
    let file = C1z::open(&path);
    assert_eq!(file.truth(), truth(&sandbox));
    assert_eq!(file.number("select count(*) from v1_resources"), 3);
    assert_eq!(file.number("select count(*) from v1_grants"), 0);
}

#[tokio::test]
async fn tables_indexes_and_times_are_those_of_the_format() {
    let sandbox = sandbox(Seed::Example).await;
    let place = Place::new();
    let path = place.path("access.c1z");
    synced(&sandbox, &path).await;
    let file = C1z::open(&path);
    let mut listed =
        file.text("select type || ' ' || name from sqlite_schema where name not like 'sqlite_%' order by 1");
    listed.sort();
    insta::assert_snapshot!(listed.join("\n"));
    for column in ["started_at", "ended_at"] {
        let time = &file.text(&format!("select {column} from v1_sync_runs"))[0];
        let form: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(form, "0000-00-00 00:00:00.000000000");
    }
    assert_eq!(
        file.text("select sync_type || ' ' || sync_token from v1_sync_runs"),
        ["full "]
    );
}

#[tokio::test]
async fn the_two_newest_finished_full_runs_are_kept() {
    let sandbox = sandbox(Seed::Example).await;
    let place = Place::new();
    let path = place.path("access.c1z");
    let mut runs = Vec::new();
    for _ in 0..3 {
        synced(&sandbox, &path).await;
        runs.push(C1z::open(&path).finished().pop().unwrap());
    }
    let file = C1z::open(&path);
    assert_eq!(file.finished(), runs[1..]);
    for table in ["v1_resource_types", "v1_resources", "v1_entitlements", "v1_grants"] {
        let of: Vec<String> = file.text(&format!("select distinct sync_id from {table} order by sync_id"));
        assert_eq!(of.len(), 2, "{table}");
    }
    assert_eq!(file.truth(), truth(&sandbox));
}

/// A file as another writer leaves it: an older schema, a run that was never finished, and a mark that there is a log beside it.
fn of_another_writer() -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let database = Connection::open(file.path()).unwrap();
    database
        .execute_batch(
            "create table v1_grants (id integer primary key, resource_type_id text not null, resource_id text not null, \
             entitlement_id text not null, principal_resource_type_id text not null, principal_resource_id text not null, \
             external_id text not null, data blob not null, sync_id text not null, discovered_at datetime not null);
             create unique index idx_grants_external_sync_v1 on v1_grants (external_id, sync_id);
             create table v1_sync_runs (id integer primary key, sync_id text not null, started_at datetime not null, \
             ended_at datetime, sync_token text not null);
             insert into v1_sync_runs (sync_id, started_at, ended_at, sync_token) values
               ('finished', '2026-01-01 00:00:00.000000000', '2026-01-01 00:01:00.000000000', ''),
               ('unfinished', '2026-01-02 00:00:00.000000000', null, '{}');",
        )
        .unwrap();
    for run in ["finished", "unfinished"] {
        database
            .execute(
                "insert into v1_grants values (null, 'team', '1', 'team:1:member', 'user', '2', 'g', x'', ?1, '')",
                params![run],
            )
            .unwrap();
    }
    drop(database);
    let mut bytes = fs::read(file.path()).unwrap();
    bytes[18..20].fill(2);
    let mut c1z = b"C1ZF\0".to_vec();
    c1z.extend(zstd::encode_all(bytes.as_slice(), 3).unwrap());
    c1z
}

#[tokio::test]
async fn a_file_of_another_writer_gets_another_run_and_the_missing_schema() {
    let sandbox = sandbox(Seed::Example).await;
    let place = Place::new();
    let path = place.path("access.c1z");
    fs::write(&path, of_another_writer()).unwrap();
    synced(&sandbox, &path).await;
    let file = C1z::open(&path);
    assert_eq!(file.finished()[0], "finished");
    assert_eq!(file.finished().len(), 2);
    assert_eq!(file.number("select count(*) from v1_sync_runs"), 2);
    assert_eq!(
        file.number("select count(*) from v1_grants where sync_id = 'unfinished'"),
        0
    );
    assert_eq!(
        file.number("select count(*) from v1_grants where sync_id = 'finished'"),
        1
    );
    assert_eq!(file.truth(), truth(&sandbox));
}

#[rstest]
#[case::empty(b"")]
#[case::nothing_there(b"none")]
#[tokio::test]
async fn an_empty_file_counts_as_new(#[case] before: &[u8]) {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let place = Place::new();
    let path = place.path("access.c1z");
    if before.is_empty() {
        fs::write(&path, before).unwrap();
    }
    synced(&sandbox, &path).await;
    assert_eq!(C1z::open(&path).truth(), truth(&sandbox));
}

#[rstest]
#[case::version_3(b"C1Z3\0anything".to_vec(), "is a c1z of version 3")]
#[case::something_else(b"a letter".to_vec(), "is not a c1z")]
#[case::half_of_the_magic(b"C1".to_vec(), "is not a c1z")]
#[case::not_compressed(b"C1ZF\0a letter".to_vec(), "cannot be read as a c1z")]
#[case::no_database([b"C1ZF\0".to_vec(), zstd::encode_all(&b"a letter"[..], 1).unwrap()].concat(), "holds no database")]
#[case::a_damaged_database([b"C1ZF\0".to_vec(), zstd::encode_all(&[b"SQLite format 3\0".to_vec(), vec![7; 9000]].concat()[..], 1).unwrap()].concat(), "holds a damaged database")]
#[tokio::test]
async fn a_file_other_than_a_c1z_of_version_1_is_refused_and_unchanged(#[case] bytes: Vec<u8>, #[case] why: &str) {
    let sandbox = sandbox(Seed::Example).await;
    let place = Place::new();
    let path = place.path("access.c1z");
    fs::write(&path, bytes).unwrap();
    let before = place.contents();
    let ended = ended(sync_into(&sandbox, &path)).await;
    assert_eq!(ended.status.code(), Some(2), "{:#?}", ended.printed);
    assert_eq!(ended.printed.len(), 1, "{:#?}", ended.printed);
    assert!(ended.printed[0].contains(why), "{:#?}", ended.printed);
    assert_eq!(place.contents(), before);
    assert_eq!(
        sandbox.request_log().total(),
        0,
        "nothing is read before the place is known to be right"
    );
}

#[tokio::test]
async fn a_c1z_that_was_cut_short_is_refused_and_stays() {
    let sandbox = sandbox(Seed::Example).await;
    let place = Place::new();
    let path = place.path("access.c1z");
    synced(&sandbox, &path).await;
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let before = place.contents();
    let ended = ended(sync_into(&sandbox, &path)).await;
    assert_eq!(ended.status.code(), Some(2), "{:#?}", ended.printed);
    assert_eq!(place.contents(), before);
}
