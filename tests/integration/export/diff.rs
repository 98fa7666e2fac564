//! `diff`: grants gained and lost between two files of any formats.

use std::fs;
use std::path::Path;

use buildkite_connector::sandbox::{Person, Sandbox, Seed, TeamRole};
use rstest::rstest;
use serde_json::{Value, json};

use super::job::{NAMES, Place, synced};
use crate::support::process::connector;
use crate::support::sandbox;

fn diff(old: &Path, new: &Path, format: &str) -> (String, String, Option<i32>) {
    let mut command = connector(&["diff", "--format", format]);
    let output = command.args([old, new]).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code())
}

/// One person comes, one goes, and one changes the role.
fn change(sandbox: &Sandbox) {
    sandbox.edit(|organization| {
        let ada = organization.add_person(Person::new("=Ada", "ada@example.com"));
        let team = organization.team_by_slug("platform").unwrap().clone();
        organization.set_membership(team.id, ada, TeamRole::Member);
        let [first, second] = [team.members()[0].user, team.members()[1].user];
        organization.remove_membership(team.id, first);
        organization.set_membership(team.id, second, TeamRole::Maintainer);
    });
}

#[rstest]
#[tokio::test]
async fn any_two_formats_are_compared(#[values(0, 1, 2, 3)] old: usize, #[values(0, 1, 2, 3)] new: usize) {
    let sandbox = sandbox(Seed::Example).await;
    let (before, after) = (Place::new(), Place::new());
    let [old, same, new] = [before.path(NAMES[old]), after.path(NAMES[old]), after.path(NAMES[new])];
    synced(&sandbox, &old).await;
    synced(&sandbox, &same).await;
    let (printed, said, code) = diff(&old, &same, "json");
    assert_eq!(code, Some(0), "{printed}{said}");
    assert_eq!(
        serde_json::from_str::<Value>(&printed).unwrap(),
        json!({"gained": [], "lost": []})
    );

    change(&sandbox);
    synced(&sandbox, &new).await;
    let (printed, said, code) = diff(&old, &new, "json");
    assert_eq!((code, said.as_str()), (Some(1), ""), "{printed}");
    let difference: Value = serde_json::from_str(&printed).unwrap();
    let held = |kind: &str| {
        let rows = difference[kind].as_array().unwrap().iter();
        let row =
            |row: &Value| ["team_slug", "role", "user_name"].map(|column| row[column].as_str().unwrap().to_owned());
        rows.map(row).collect::<Vec<_>>()
    };
    let row = |role: &str, user: &str| ["platform", role, user].map(str::to_owned);
    // A user who joins the organization becomes a member of its default team.
    let joined = ["everyone", "member", "=Ada"].map(str::to_owned);
    assert_eq!(
        held("gained"),
        [joined, row("maintainer", "Tomás Herrera"), row("member", "=Ada")]
    );
    assert_eq!(
        held("lost"),
        [row("maintainer", "Ingrid Sørensen"), row("member", "Tomás Herrera")]
    );
    assert_eq!(difference["gained"][0]["user_email"], "ada@example.com");
}

#[tokio::test]
async fn the_table_is_for_people() {
    let sandbox = sandbox(Seed::Example).await;
    let place = Place::new();
    synced(&sandbox, &place.path("old.csv")).await;
    change(&sandbox);
    synced(&sandbox, &place.path("new.csv")).await;
    let (printed, _, code) = diff(&place.path("old.csv"), &place.path("new.csv"), "table");
    assert_eq!(code, Some(1));
    insta::assert_snapshot!(printed);
    let (printed, _, code) = diff(&place.path("old.csv"), &place.path("old.csv"), "table");
    assert_eq!((printed.as_str(), code), ("no difference\n", Some(0)));
}

#[tokio::test]
async fn a_c1z_with_several_runs_is_its_newest_finished_full_one() {
    let sandbox = sandbox(Seed::Example).await;
    let place = Place::new();
    synced(&sandbox, &place.path("both.c1z")).await;
    change(&sandbox);
    synced(&sandbox, &place.path("both.c1z")).await;
    synced(&sandbox, &place.path("new.csv")).await;
    let (printed, said, code) = diff(&place.path("both.c1z"), &place.path("new.csv"), "json");
    assert_eq!(code, Some(0), "{printed}{said}");
}

#[rstest]
#[case::nothing_there(None)]
#[case::empty(Some(&b""[..]))]
#[case::a_letter(Some(&b"dear"[..]))]
#[case::another_table(Some(&b"name,age\nAda,36\n"[..]))]
#[case::lines_cut_short(Some(&b"{\"kind\":\"grant\",\"id\":\"1\"}\n{\"kind\":\"gra"[..]))]
#[case::a_last_line_without_its_end(Some(&b"{\"kind\":\"grant\",\"id\":\"1\"}"[..]))]
#[case::objects_of_another_kind(Some(&b"{\"name\":\"Ada\"}\n"[..]))]
#[case::version_3(Some(&b"C1Z3\0anything"[..]))]
#[case::a_damaged_c1z(Some(&b"C1ZF\0anything"[..]))]
fn incomparable_files_end_with_2(#[case] bytes: Option<&[u8]>) {
    let place = Place::new();
    let (one, other) = (place.path("one"), place.path("other.csv"));
    if let Some(bytes) = bytes {
        fs::write(&one, bytes).unwrap();
    }
    fs::write(
        &other,
        "team_slug,team_name,role,user_name,user_email,team_id,user_id\n",
    )
    .unwrap();
    for [old, new] in [[&one, &other], [&other, &one]] {
        let (printed, said, code) = diff(old, new, "json");
        assert_eq!((printed.as_str(), code), ("", Some(2)), "{said}");
        assert!(
            said.starts_with(&format!("error: {}", one.display())) && said.lines().count() == 1,
            "{said}"
        );
    }
}

#[test]
fn a_directory_without_a_sync_cannot_be_compared() {
    let place = Place::new();
    fs::write(place.path("users.json"), "[]").unwrap();
    let (_, said, code) = diff(&place.path(""), &place.path(""), "json");
    assert_eq!(code, Some(2));
    assert!(said.contains("grants.json"), "{said}");
}
