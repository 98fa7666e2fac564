//! `jsonl`, `csv` and `json`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use buildkite_connector::sandbox::{Person, Sandbox, Seed, Team, TeamRole};
use rstest::rstest;
use serde_json::{Value, json};

use super::job::{NAMES, Place, synced, truth};
use super::read_back;
use crate::support::{sandbox, sized};

#[rstest]
#[case("access.jsonl")]
#[case("access.json")]
#[tokio::test]
async fn a_file_holds_all_that_the_organization_holds(#[case] name: &str) {
    let sandbox = sandbox(sized(12, 230, 700)).await;
    let place = Place::new();
    synced(&sandbox, &place.path(name)).await;
    assert_eq!(read_back::truth(&place.path(name)), truth(&sandbox));
}

#[rstest]
#[tokio::test]
async fn files_hold_e_mails_and_are_their_owners_alone(#[values(0, 1, 2, 3)] format: usize) {
    let sandbox = sandbox(Seed::Example).await;
    let place = Place::new();
    synced(&sandbox, &place.path(NAMES[format])).await;
    for path in place.contents().keys() {
        let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
    }
}

fn lines(place: &Place) -> Vec<Value> {
    let text = fs::read_to_string(place.path("access.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn jsonl_is_canonical_protobuf_json_in_the_order_of_the_sync() {
    let sandbox = sandbox(sized(2, 1, 1)).await;
    let place = Place::new();
    synced(&sandbox, &place.path("access.jsonl")).await;
    let lines = lines(&place);
    let kinds: Vec<&str> = lines.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    let expected = [
        ["resource_type"; 2].as_slice(),
        &["resource"; 3],
        &["entitlement"; 4],
        &["grant"; 2],
    ];
    assert_eq!(kinds, expected.concat());
    let user = &lines[2];
    assert_eq!(user["id"]["resourceType"], "user");
    assert_eq!(user["status"], json!({"status": "RESOURCE_STATUS_ENABLED"}));
    assert_eq!(user["profile"]["organization_role"], "admin");
    let details = &user["annotations"][0];
    assert_eq!(details["@type"], "type.googleapis.com/c1.connector.v2.UserTrait");
    assert_eq!(details["emails"][0]["isPrimary"], true);
    let created = lines[3]["createdAt"].as_str().unwrap();
    assert!(created.ends_with('Z') && created.contains('T'), "{created}");
    assert_eq!(lines[5]["purpose"], "PURPOSE_VALUE_ASSIGNMENT");
}

/// An organization in which texts try to be formulas.
async fn of_formulas() -> Sandbox {
    let sandbox = sandbox(Seed::Example).await;
    sandbox.edit(|organization| {
        let team = organization.add_team(Team::new("-1", "=HYPERLINK(\"http://evil.example\",\"click\")"));
        for (name, email) in [
            ("+1+1", "@sum@example.com"),
            ("Ada, \"the\" first", "ada@example.com"),
            ("＝1", "wide@example.com"),
        ] {
            let person = organization.add_person(Person::new(name, email));
            organization.set_membership(team, person, TeamRole::Member);
        }
    });
    sandbox
}

#[tokio::test]
async fn no_cell_of_a_table_is_a_formula() {
    let sandbox = of_formulas().await;
    let place = Place::new();
    synced(&sandbox, &place.path("access.csv")).await;
    let mut table = csv::Reader::from_path(place.path("access.csv")).unwrap();
    let rows: Vec<csv::StringRecord> = table.records().collect::<Result<_, _>>().unwrap();
    for cell in rows.iter().flatten() {
        assert!(!cell.starts_with(['=', '+', '-', '@', '＝', '\t', '\r']), "{cell}");
    }
    let of_team: Vec<_> = rows.iter().filter(|row| &row[0] == "'-1").collect();
    assert_eq!(of_team.len(), 3);
    assert_eq!(&of_team[0][1], "'=HYPERLINK(\"http://evil.example\",\"click\")");
    let names: Vec<&str> = of_team.iter().map(|row| &row[3]).collect();
    assert_eq!(names, ["'+1+1", "Ada, \"the\" first", "'＝1"]);
}

#[tokio::test]
async fn a_table_has_a_row_for_each_grant_and_the_columns_in_their_order() {
    let sandbox = sandbox(sized(5, 120, 300)).await;
    let place = Place::new();
    synced(&sandbox, &place.path("access.csv")).await;
    let mut table = csv::Reader::from_path(place.path("access.csv")).unwrap();
    assert_eq!(
        table.headers().unwrap(),
        vec![
            "team_slug",
            "team_name",
            "role",
            "user_name",
            "user_email",
            "team_id",
            "user_id"
        ]
    );
    let rows: Vec<csv::StringRecord> = table.records().collect::<Result<_, _>>().unwrap();
    let held = |row: &csv::StringRecord| format!("team:{}:{}:user:{}", &row[5], &row[2], &row[6]);
    assert_eq!(
        rows.iter().map(held).collect::<std::collections::BTreeSet<_>>(),
        truth(&sandbox).grants
    );
    sandbox.with_organization(|organization| {
        for row in &rows {
            let team = organization.team(row[5].parse().unwrap()).unwrap();
            let user = organization.person(row[6].parse().unwrap()).unwrap();
            assert_eq!(
                [&row[0], &row[1], &row[3], &row[4]],
                [&team.slug, &team.name, &user.name, &user.email].map(String::as_str)
            );
        }
    });
}

#[tokio::test]
async fn an_organization_without_a_team_is_a_table_of_no_rows_and_an_empty_array() {
    let sandbox = sandbox(sized(0, 0, 2)).await;
    let place = Place::new();
    for name in ["access.csv", "access.json"] {
        synced(&sandbox, &place.path(name)).await;
    }
    let table = fs::read_to_string(place.path("access.csv")).unwrap();
    assert_eq!(table.lines().count(), 1);
    assert_eq!(read_back::truth(&place.path("access.json")), truth(&sandbox));
}
