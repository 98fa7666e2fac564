//! Rows as Buildkite may write them one day, or as people fill them in: what is not needed is never insisted on.

use buildkite_connector::proto::c1::connector::v2::{GroupTrait, Resource, UserTrait, user_trait};
use buildkite_connector::sandbox::{Endpoint, Fault, FaultKind, Sandbox};
use prost::Name;
use prost_types::value::Kind;
use rstest::rstest;
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::support::platform::{Platform, resource};
use crate::support::{TestServer, first_team, reason, sandbox, sized};

const ADA: &str = "0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d";
const BEN: &str = "0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5e";

/// A platform on a Buildkite whose list at `endpoint` is these rows.
async fn listing(endpoint: Endpoint, rows: Value) -> (Sandbox, TestServer, Platform) {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    sandbox.faults().add(Fault::new(endpoint, FaultKind::WrongShape(rows)));
    let connector = TestServer::on(&sandbox).await;
    let platform = connector.platform().await;
    (sandbox, connector, platform)
}

async fn people(rows: Value) -> Result<Vec<Resource>, Status> {
    let (_sandbox, _connector, platform) = listing(Endpoint::OrganizationMembers, rows).await;
    platform.resources("user").await
}

async fn teams(rows: Value) -> Result<Vec<Resource>, Status> {
    let (_sandbox, _connector, platform) = listing(Endpoint::Teams, rows).await;
    platform.resources("team").await
}

/// The grant ids of a team with these member rows, without their common beginning.
async fn grants(rows: Value) -> Result<Vec<String>, Status> {
    let (sandbox, _connector, platform) = listing(Endpoint::TeamMembers, rows).await;
    let team = first_team(&sandbox);
    let grants = platform.grants(&resource("team", &team.to_string())).await?;
    let start = format!("team:{team}:");
    Ok(grants
        .into_iter()
        .map(|grant| grant.id.trim_start_matches(&start).to_owned())
        .collect())
}

fn user_trait(user: &Resource) -> UserTrait {
    let annotation = user
        .annotations
        .iter()
        .find(|any| any.type_url == UserTrait::type_url());
    annotation.unwrap().to_msg().unwrap()
}

#[rstest]
#[case::bare(json!({"id": ADA}))]
#[case::null(json!({"id": ADA, "name": null, "email": null, "role": null, "sso_mode": null}))]
#[case::empty(json!({"id": ADA, "name": "", "email": "", "role": "", "sso_mode": ""}))]
#[case::other_types(json!({"id": ADA, "name": 5, "email": {}, "role": [], "sso_mode": false}))]
#[case::white_space(json!({"id": ADA, "name": " \t ", "extra": {"a": [null]}}))]
#[tokio::test]
async fn a_person_needs_nothing_but_an_id(#[case] row: Value) {
    let users = people(json!([row])).await.unwrap();
    assert_eq!(users[0].display_name, ADA);
    assert!(user_trait(&users[0]).emails.is_empty());
}

#[tokio::test]
async fn roles_and_modes_of_tomorrow_are_kept_as_they_are_written() {
    let row = json!({"id": ADA, "name": "Ada", "role": "billing", "sso_mode": "passkey", "bot": true});
    let users = people(json!([row])).await.unwrap();
    let fields = &users[0].profile.as_ref().unwrap().fields;
    let text = |key: &str| format!("{:?}", fields[key].kind);
    assert!(text("organization_role").contains("billing") && text("sso_mode").contains("passkey"));
}

#[rstest]
#[case::accent("user@exämple.com")]
#[case::underscore("a@exam_ple.com")]
#[tokio::test]
async fn an_address_that_the_protocol_refuses_is_kept_in_the_profile_only(#[case] address: &str) {
    let users = people(json!([{"id": ADA, "email": address}])).await.unwrap();
    assert_eq!(user_trait(&users[0]).emails, []);
    let fields = &users[0].profile.as_ref().unwrap().fields;
    assert_eq!(fields["email"].kind, Some(Kind::StringValue(address.to_owned())));
}

#[tokio::test]
#[allow(deprecated)]
async fn older_readers_find_status_and_profile_in_the_traits() {
    let row = json!({"id": ADA, "name": "Ada", "role": "admin"});
    let user = people(json!([row])).await.unwrap().remove(0);
    let read = user_trait(&user);
    assert_eq!(read.status.unwrap().status(), user_trait::status::Status::Enabled);
    assert_eq!(read.profile, user.profile);
    assert!(read.profile.unwrap().fields.contains_key("organization_role"));

    let row = json!({"id": ADA, "name": "Platform", "slug": "platform", "privacy": "visible"});
    let team = teams(json!([row])).await.unwrap().remove(0);
    let mut annotations = team.annotations.iter();
    let read = annotations.find(|any| any.type_url == GroupTrait::type_url()).unwrap();
    let read: GroupTrait = read.to_msg().unwrap();
    assert_eq!(read.profile, team.profile);
    assert!(read.profile.unwrap().fields.contains_key("privacy"));
}

#[rstest]
#[case("2023-03-14T00:45:16.215Z", Some(1_678_754_716))]
#[case("2023-03-14T00:45:16Z", Some(1_678_754_716))]
#[case("2023-03-14 00:45:16 UTC", Some(1_678_754_716))]
#[case("", None)]
#[case("the ides of march", None)]
#[tokio::test]
async fn either_form_of_a_time_is_read_and_no_form_fails_a_sync(#[case] written: &str, #[case] seconds: Option<i64>) {
    let row = json!({"id": ADA, "name": "Platform", "privacy": "internal", "created_at": written});
    let teams = teams(json!([row])).await.unwrap();
    assert_eq!(teams[0].created_at.map(|at| at.seconds), seconds);
    let fields = &teams[0].profile.as_ref().unwrap().fields;
    assert!(format!("{:?}", fields["privacy"].kind).contains("internal"));
}

#[rstest]
#[case::right_to_left("\u{202b}נדיה كريم\u{202c}", "\u{202b}נדיה كريم\u{202c}")]
#[case::emoji("🦀 Team 👩‍🚀", "🦀 Team 👩‍🚀")]
#[case::control("Ada\u{0}\u{1b}[31m\r\nLovelace\u{7f}", "Ada[31mLovelace")]
#[tokio::test]
async fn names_are_passed_on_in_any_script_and_without_control_characters(#[case] name: &str, #[case] shown: &str) {
    let row = json!({"id": ADA, "name": name, "user_id": ADA, "user_name": name, "role": "member"});
    assert_eq!(people(json!([row])).await.unwrap()[0].display_name, shown);
    assert_eq!(teams(json!([row])).await.unwrap()[0].display_name, shown);
}

#[tokio::test]
async fn a_text_above_the_wire_limit_is_cut_between_two_characters() {
    let long = "é".repeat(5_000);
    let row = json!({"id": ADA, "name": long, "slug": long, "description": long, "email": long});
    let (user, team) = (people(json!([row])).await.unwrap(), teams(json!([row])).await.unwrap());
    assert_eq!(user[0].display_name, "é".repeat(512));
    assert_eq!((team[0].display_name.len(), team[0].description.len()), (1024, 2048));
}

#[tokio::test]
async fn a_row_that_comes_twice_is_one_and_the_later_role_holds() {
    let member = |id: &str, role: &str| json!({"user_id": id, "role": role});
    let rows = json!([member(ADA, "member"), member(BEN, "member"), member(ADA, "maintainer")]);
    let ids = grants(rows).await.unwrap();
    assert_eq!(ids, [format!("maintainer:user:{ADA}"), format!("member:user:{BEN}")]);
    let person = json!({"id": ADA, "name": "Ada"});
    assert_eq!(people(json!([person, person])).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_role_of_tomorrow_is_left_out_of_the_grants_and_the_others_are_given() {
    let member = |id: &str, role: Value| json!({"user_id": id, "user_name": null, "role": role});
    let rows = json!([member(ADA, json!("owner")), member(BEN, json!("maintainer"))]);
    assert_eq!(grants(rows).await.unwrap(), [format!("maintainer:user:{BEN}")]);
}

#[rstest]
#[case(json!("owner"))]
#[case(json!("Member"))]
#[case(json!(null))]
#[case(json!(1))]
#[tokio::test]
async fn a_team_of_which_no_role_is_known_is_an_error_and_never_an_empty_team(#[case] role: Value) {
    let rows = json!([{"user_id": ADA, "role": role}, {"user_id": BEN}]);
    let status = grants(rows).await.unwrap_err();
    assert_eq!(
        reason(&status),
        (Code::FailedPrecondition, "UNEXPECTED_RESPONSE".into())
    );
}

#[rstest]
#[case(json!([{"name": "nobody"}]))]
#[case(json!([{"id": ADA}, {"id": null}]))]
#[case(json!([{"id": ADA, "user_id": ADA, "role": "member"}, null]))]
#[case(json!([{"id": "../../access-token", "user_id": "../../access-token"}]))]
#[case(json!({"items": []}))]
#[case(json!("[]"))]
#[tokio::test]
async fn a_row_without_an_identity_fails_the_list_and_is_not_left_out(#[case] rows: Value) {
    let unexpected = (Code::FailedPrecondition, "UNEXPECTED_RESPONSE".to_owned());
    assert_eq!(reason(&people(rows.clone()).await.unwrap_err()), unexpected);
    assert_eq!(reason(&teams(rows.clone()).await.unwrap_err()), unexpected);
    assert_eq!(reason(&grants(rows).await.unwrap_err()), unexpected);
}
