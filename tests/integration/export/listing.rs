//! `list`: the same on the screen, and nothing before all of it is known.

use buildkite_connector::sandbox::{BodyStyle, Endpoint, Fault, FaultKind, Sandbox, Seed};
use http::StatusCode;
use rstest::rstest;
use serde_json::Value;

use super::job::{on, truth};
use crate::support::{sandbox, sized};

/// Standard output of a list, and how it ended.
async fn list(sandbox: &Sandbox, arguments: &[&str]) -> (String, String, Option<i32>) {
    let mut command = on(sandbox, &["list"]);
    command.args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code())
}

async fn rows(sandbox: &Sandbox, arguments: &[&str]) -> Vec<Value> {
    let (printed, said, code) = list(sandbox, &[arguments, &["--format", "json"]].concat()).await;
    assert_eq!(code, Some(0), "{said}");
    serde_json::from_str(&printed).unwrap()
}

#[tokio::test]
async fn every_list_is_complete() {
    let sandbox = sandbox(sized(7, 40, 230)).await;
    let truth = truth(&sandbox);
    let text = |row: &Value, column: &str| row[column].as_str().unwrap().to_owned();
    let users = rows(&sandbox, &["users"]).await;
    let users = users.iter().map(|row| (text(row, "user_id"), text(row, "user_name")));
    assert_eq!(users.collect::<std::collections::BTreeMap<_, _>>(), truth.users);
    let teams = rows(&sandbox, &["teams"]).await;
    let teams = teams.iter().map(|row| (text(row, "team_id"), text(row, "team_name")));
    assert_eq!(teams.collect::<std::collections::BTreeMap<_, _>>(), truth.teams);
    let grants = rows(&sandbox, &["grants"]).await;
    let id = |row: &Value| {
        let [team, role, user] = ["team_id", "role", "user_id"].map(|column| text(row, column));
        format!("team:{team}:{role}:user:{user}")
    };
    assert_eq!(
        grants.iter().map(id).collect::<std::collections::BTreeSet<_>>(),
        truth.grants
    );
    assert_eq!(rows(&sandbox, &["resources"]).await.len(), 237);
    assert_eq!(rows(&sandbox, &["resources", "--type", "team"]).await.len(), 7);
    assert_eq!(rows(&sandbox, &["resources", "--type", "user"]).await.len(), 230);
}

#[rstest]
#[case::grants("grants")]
#[case::users("users")]
#[tokio::test]
async fn one_team_costs_one_members_list(#[case] what: &str) {
    let sandbox = sandbox(sized(40, 5, 60)).await;
    let (slug, members) = sandbox.with_organization(|organization| {
        let team = &organization.teams()[7];
        (team.slug.clone(), team.members().len())
    });
    assert_eq!(rows(&sandbox, &[what, "--team", &slug]).await.len(), members);
    assert_eq!(sandbox.request_log().count(Endpoint::TeamMembers), 1);
}

#[tokio::test]
async fn a_team_that_does_not_exist_is_reported_as_such() {
    let sandbox = sandbox(Seed::Example).await;
    let (printed, said, code) = list(&sandbox, &["grants", "--team", "plattform"]).await;
    assert_eq!((printed.as_str(), code), ("", Some(1)));
    assert_eq!(
        said,
        "error: no team has the slug `plattform`: `list teams` shows the existing ones\n"
    );
}

#[rstest]
#[tokio::test]
async fn nothing_is_printed_of_an_incomplete_list(#[values("table", "csv", "json")] format: &str) {
    let sandbox = sandbox(sized(20, 3, 30)).await;
    let kind = FaultKind::Status(StatusCode::BAD_GATEWAY, BodyStyle::Html);
    sandbox.faults().add(Fault::new(Endpoint::TeamMembers, kind).after(10));
    let (printed, said, code) = list(&sandbox, &["grants", "--retry-for", "1ms", "--format", format]).await;
    assert_eq!((printed.as_str(), code), ("", Some(1)), "{said}");
}

#[tokio::test]
async fn an_empty_list_is_an_empty_array() {
    let sandbox = sandbox(sized(0, 0, 2)).await;
    assert!(rows(&sandbox, &["teams"]).await.is_empty());
}

#[tokio::test]
async fn tables_are_for_people() {
    let sandbox = sandbox(Seed::Example).await;
    let (grants, said, code) = list(&sandbox, &["grants", "--team", "platform"]).await;
    assert_eq!(code, Some(0), "{said}");
    insta::assert_snapshot!(grants);
}
