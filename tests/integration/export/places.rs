//! Where a file may be written, and what is never overwritten.

use std::fs;

use buildkite_connector::sandbox::Seed;
use rstest::rstest;

use super::job::{NAMES, Place, ended, on, sync_into, synced, truth};
use super::read_back;
use crate::support::process::connector;
use crate::support::sandbox;

#[rstest]
#[tokio::test]
async fn the_remains_of_a_killed_job_are_replaced(#[values(0, 1, 2, 3)] format: usize) {
    let sandbox = sandbox(Seed::Example).await;
    let (place, name) = (Place::new(), NAMES[format]);
    let part = place.path(&format!(".{name}.part"));
    if name == "access.json" {
        fs::create_dir(&part).unwrap();
        fs::write(part.join("users.json"), "[").unwrap();
    } else {
        fs::write(&part, "half of it").unwrap();
    }
    synced(&sandbox, &place.path(name)).await;
    assert!(!part.exists());
}

#[tokio::test]
async fn a_directory_is_replaced_atomically() {
    let sandbox = sandbox(Seed::Example).await;
    let place = Place::new();
    let path = place.path("access.json");
    synced(&sandbox, &path).await;
    fs::write(path.join("pipelines.json"), "[]").unwrap();
    sandbox.edit(|organization| {
        let team = organization.teams()[0].id;
        organization.remove_team(team);
    });
    synced(&sandbox, &path).await;
    assert_eq!(read_back::truth(&path), truth(&sandbox));
    assert!(!path.join("pipelines.json").exists());
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[rstest]
#[case::a_directory_of_something_else("letters", "json", "contains files that are not from a sync")]
#[case::a_directory_for_a_file("letters", "csv", "is a directory")]
#[case::a_file_for_a_directory("letters/one.txt", "json", "is a file")]
#[case::a_device("/dev/null", "csv", "is not a regular file")]
#[tokio::test]
async fn a_place_that_a_sync_would_destroy_is_refused(#[case] name: &str, #[case] format: &str, #[case] why: &str) {
    let sandbox = sandbox(Seed::Example).await;
    let place = Place::new();
    fs::create_dir(place.path("letters")).unwrap();
    fs::write(place.path("letters/one.txt"), "dear").unwrap();
    let before = place.contents();
    let mut command = sync_into(&sandbox, &place.path(name));
    command.args(["--format", format]);
    let ended = ended(command).await;
    assert_eq!(ended.status.code(), Some(2), "{:#?}", ended.printed);
    assert!(
        ended.printed.len() == 1 && ended.printed[0].contains(why),
        "{:#?}",
        ended.printed
    );
    assert_eq!(place.contents(), before);
    assert_eq!(sandbox.request_log().total(), 0);
}

#[rstest]
#[case::no_path(&["sync"], "error: --output (BUILDKITE_CONNECTOR_OUTPUT): give the path of the file to write")]
#[case::an_unknown_ending(&["sync", "--output", "access.xlsx"], "error: --output (BUILDKITE_CONNECTOR_OUTPUT): give a path that ends with")]
#[case::no_organization(&["sync", "--output", "access.csv"], "error: --organization (BUILDKITE_ORGANIZATION_SLUG): ")]
#[case::a_wrong_wait(&["sync", "--output", "access.csv", "--sandbox", "--max-wait", "soon"], "error: --max-wait (BUILDKITE_CONNECTOR_MAX_WAIT): ")]
#[case::a_type_of_users(&["list", "users", "--type", "team"], "error: --type: ")]
#[case::an_unknown_type(&["list", "resources", "--type", "wizard"], "error: --type: ")]
#[case::a_team_of_teams(&["list", "teams", "--team", "platform"], "error: --team: ")]
fn wrong_usage_ends_with_2_and_one_sentence(#[case] arguments: &[&str], #[case] said: &str) {
    let output = connector(arguments).output().unwrap();
    let printed = String::from_utf8(output.stderr).unwrap();
    let problem: Vec<&str> = printed.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(output.status.code(), Some(2), "{printed}");
    assert!(problem.len() == 1 && problem[0].starts_with(said), "{printed}");
    assert_eq!(output.stdout, b"");
}

#[tokio::test]
async fn a_sync_needs_no_account_with_a_sandbox_of_its_own() {
    let place = Place::new();
    let path = place.path("access.csv");
    let command = connector(&["sync", "--sandbox", "--output", path.to_str().unwrap()]);
    let ended = ended(command).await;
    assert_eq!(ended.status.code(), Some(0), "{:#?}", ended.printed);
    assert_eq!(fs::read_to_string(path).unwrap().lines().count(), 35);
}

#[tokio::test]
async fn a_place_that_cannot_be_written_ends_with_1() {
    let sandbox = sandbox(Seed::Example).await;
    let place = Place::new();
    let path = place.path("no-such-directory/access.csv");
    let ended = ended(on(&sandbox, &["sync", "--output", path.to_str().unwrap()])).await;
    assert_eq!(ended.status.code(), Some(1), "{:#?}", ended.printed);
    assert!(ended.printed[0].contains("cannot be written"), "{:#?}", ended.printed);
}
