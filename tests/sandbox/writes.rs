//! Writes to a team, as the reference documents them.

use http::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};

use buildkite_connector::sandbox::TeamRole;

use crate::probe::Probe;

#[tokio::test]
async fn an_added_user_is_a_member_from_then_on() {
    let probe = Probe::example().await;
    let viktor = probe.person("viktor");
    let reply = probe
        .write(
            Method::POST,
            &probe.members("platform"),
            json!({ "user_id": viktor, "role": "maintainer" }),
        )
        .await;
    assert_eq!(reply.status, StatusCode::CREATED);
    assert_eq!(
        (&reply.json()["user_id"], &reply.json()["role"]),
        (&json!(viktor), &json!("maintainer"))
    );
    assert_eq!(probe.team("platform").role_of(viktor), Some(TeamRole::Maintainer));
    assert_eq!(probe.get(&probe.member("platform", viktor)).await.json(), reply.json());
    assert!(probe.sandbox.requests()[0].applied);
}

#[tokio::test]
async fn a_change_of_role_keeps_the_membership() {
    let probe = Probe::example().await;
    let lukasz = probe.person("lukasz");
    let before = probe.team("platform").member(lukasz).copied().unwrap();
    let reply = probe
        .write(
            Method::PATCH,
            &probe.member("platform", lukasz),
            json!({ "role": "maintainer" }),
        )
        .await;
    assert_eq!(
        (reply.status, &reply.json()["role"]),
        (StatusCode::OK, &json!("maintainer"))
    );
    let after = probe.team("platform").member(lukasz).copied().unwrap();
    assert_eq!(
        (after.role, after.created_at),
        (TeamRole::Maintainer, before.created_at)
    );
}

#[tokio::test]
async fn a_change_to_the_same_role_applies_nothing() {
    let probe = Probe::example().await;
    let path = probe.member("platform", probe.person("lukasz"));
    assert_eq!(
        probe
            .write(Method::PATCH, &path, json!({ "role": "member" }))
            .await
            .status,
        StatusCode::OK
    );
    assert!(!probe.sandbox.requests()[0].applied);
}

#[tokio::test]
async fn a_user_who_is_removed_and_added_again_is_listed_last() {
    let probe = Probe::example().await;
    let ingrid = probe.sandbox.owner();
    let before = probe.team("platform").member(ingrid).copied().unwrap();
    let reply = probe.delete(&probe.member("platform", ingrid)).await;
    assert_eq!((reply.status, reply.text.as_str()), (StatusCode::NO_CONTENT, ""));
    assert_eq!(
        probe.get(&probe.member("platform", ingrid)).await.status,
        StatusCode::NOT_FOUND
    );
    probe
        .write(
            Method::POST,
            &probe.members("platform"),
            json!({ "user_id": ingrid, "role": "member" }),
        )
        .await;
    let last = probe.team("platform").members().last().copied().unwrap();
    assert_eq!(last.user, ingrid);
    assert!(last.created_at > before.created_at);
}

#[rstest]
#[case(json!({ "role": "member" }))]
#[case(json!({ "user_id": "nobody", "role": "member" }))]
#[case(json!({ "user_id": "VIKTOR" }))]
#[case(json!({ "user_id": "VIKTOR", "role": "owner" }))]
#[tokio::test]
async fn a_body_that_lacks_something_is_422(#[case] mut body: Value) {
    let probe = Probe::example().await;
    if body["user_id"] == "VIKTOR" {
        body["user_id"] = json!(probe.person("viktor"));
    }
    let reply = probe.write(Method::POST, &probe.members("platform"), body).await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(reply.message().starts_with("Validation failed: "));
}

#[tokio::test]
async fn a_default_team_receives_new_members() {
    let probe = Probe::example().await;
    let person = buildkite_connector::sandbox::Person::new("Noor", "noor@northwind-rail.example");
    let noor = probe.sandbox.edit(|organization| organization.add_person(person));
    assert_eq!(
        probe.get(&probe.member("everyone", noor)).await.json()["role"],
        "member"
    );
}
