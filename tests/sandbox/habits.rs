//! What the documentation leaves open, answered each way.

use std::time::Duration;

use buildkite_connector::sandbox::{
    Behavior, DeleteAbsent, Echo, LastMaintainer, MemberRoleField, MemberRows, PatchAbsent, PostExisting, PostOutsider,
    TeamRole, TeamsDisabled, WriteLag,
};
use http::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::probe::Probe;

#[rstest]
#[case(PostExisting::Unprocessable, 422, TeamRole::Member)]
#[case(PostExisting::Conflict, 409, TeamRole::Member)]
#[case(PostExisting::Unchanged, 200, TeamRole::Member)]
#[case(PostExisting::Upsert, 201, TeamRole::Maintainer)]
#[tokio::test]
async fn adding_an_existing_member(#[case] behavior: PostExisting, #[case] status: u16, #[case] then: TeamRole) {
    let probe = Probe::with_behaviors(|behaviors| behaviors.post_existing = behavior).await;
    let lukasz = probe.person("lukasz");
    let body = json!({ "user_id": lukasz, "role": "maintainer" });
    let reply = probe.write(Method::POST, &probe.members("platform"), body).await;
    assert_eq!(reply.status, status);
    assert_eq!(probe.team("platform").role_of(lukasz), Some(then));
    if reply.status.is_client_error() {
        assert!(reply.message().contains("already been added"));
    }
}

#[rstest]
#[case(PostOutsider::NotFound, 404)]
#[case(PostOutsider::Unprocessable, 422)]
#[case(PostOutsider::Forbidden, 403)]
#[tokio::test]
async fn adding_a_user_from_outside_the_organization(#[case] behavior: PostOutsider, #[case] status: u16) {
    let probe = Probe::with_behaviors(|behaviors| behaviors.post_outsider = behavior).await;
    let body = json!({ "user_id": Uuid::new_v4(), "role": "member" });
    let reply = probe.write(Method::POST, &probe.members("platform"), body).await;
    assert_eq!(reply.status, status);
    assert!(!reply.message().is_empty());
}

#[rstest]
#[case(DeleteAbsent::NotFound, 404)]
#[case(DeleteAbsent::NoContent, 204)]
#[case(DeleteAbsent::Unprocessable, 422)]
#[tokio::test]
async fn removing_a_user_who_is_not_a_member(#[case] behavior: DeleteAbsent, #[case] status: u16) {
    let probe = Probe::with_behaviors(|behaviors| behaviors.delete_absent = behavior).await;
    assert_eq!(
        probe
            .delete(&probe.member("platform", probe.person("viktor")))
            .await
            .status,
        status
    );
}

#[rstest]
#[case(PatchAbsent::NotFound, 404)]
#[case(PatchAbsent::Unprocessable, 422)]
#[tokio::test]
async fn changing_a_user_who_is_not_a_member(#[case] behavior: PatchAbsent, #[case] status: u16) {
    let probe = Probe::with_behaviors(|behaviors| behaviors.patch_absent = behavior).await;
    let path = probe.member("platform", probe.person("viktor"));
    assert_eq!(
        probe
            .write(Method::PATCH, &path, json!({ "role": "member" }))
            .await
            .status,
        status
    );
}

#[rstest]
#[case(LastMaintainer::Allowed, 200, 204)]
#[case(LastMaintainer::Refused, 422, 422)]
#[tokio::test]
async fn the_last_maintainer(#[case] behavior: LastMaintainer, #[case] demoted: u16, #[case] removed: u16) {
    let probe = Probe::with_behaviors(|behaviors| behaviors.last_maintainer = behavior).await;
    let demotion = probe.member("timetables", probe.person("yuki.tanaka"));
    assert_eq!(
        probe
            .write(Method::PATCH, &demotion, json!({ "role": "member" }))
            .await
            .status,
        demoted
    );
    assert_eq!(
        probe
            .delete(&probe.member("interns", probe.person("tomas")))
            .await
            .status,
        removed
    );
    // One of two is never the last.
    assert_eq!(
        probe
            .delete(&probe.member("platform", probe.person("amara")))
            .await
            .status,
        204
    );
}

#[rstest]
#[case(Echo::Full, Some(json!("maintainer")))]
#[case(Echo::WithoutRole, None)]
#[case(Echo::Lagging, Some(json!("member")))]
#[tokio::test]
async fn a_write_echoes_by_behavior(#[case] behavior: Echo, #[case] role: Option<Value>) {
    let probe = Probe::with_behaviors(|behaviors| behaviors.echo = behavior).await;
    let (lukasz, viktor) = (probe.person("lukasz"), probe.person("viktor"));
    let changed = probe
        .write(
            Method::PATCH,
            &probe.member("platform", lukasz),
            json!({ "role": "maintainer" }),
        )
        .await;
    let body = json!({ "user_id": viktor, "role": "maintainer" });
    let added = probe.write(Method::POST, &probe.members("platform"), body).await;
    for (reply, user) in [(changed, lukasz), (added, viktor)] {
        assert_eq!(reply.json().get("role").cloned(), role);
        assert_eq!(probe.team("platform").role_of(user), Some(TeamRole::Maintainer));
    }
}

#[tokio::test]
async fn a_write_may_echo_nothing() {
    let probe = Probe::with_behaviors(|behaviors| behaviors.echo = Echo::Empty).await;
    let body = json!({ "user_id": probe.person("viktor"), "role": "member" });
    let reply = probe.write(Method::POST, &probe.members("platform"), body).await;
    assert_eq!((reply.status, reply.text.as_str()), (StatusCode::CREATED, ""));
}

#[tokio::test]
async fn the_role_of_organization_members_may_be_absent() {
    let probe = Probe::with_behaviors(|behaviors| behaviors.member_role_field = MemberRoleField::Absent).await;
    let rows = probe.get(&probe.path("members")).await.rows();
    assert!(rows.iter().all(|row| row.get("role").is_none()));
}

#[rstest]
#[case(TeamsDisabled::Empty, 200)]
#[case(TeamsDisabled::Forbidden, 403)]
#[case(TeamsDisabled::NotFound, 404)]
#[tokio::test]
async fn teams_may_be_disabled(#[case] behavior: TeamsDisabled, #[case] status: u16) {
    let probe = Probe::with_behaviors(|behaviors| behaviors.teams_disabled = behavior).await;
    let list = probe.get(&probe.path("teams")).await;
    assert_eq!(list.status, status);
    if status == 200 {
        assert!(list.rows().is_empty());
    }
    assert!(probe.get(&probe.members("platform")).await.status.is_client_error());
    assert_eq!(probe.get(&probe.path("members")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_write_may_show_after_some_reads() {
    let probe = Probe::with_behaviors(|behaviors| behaviors.write_lag = WriteLag::Reads(2)).await;
    let (viktor, lukasz) = (probe.person("viktor"), probe.person("lukasz"));
    let path = probe.member("platform", viktor);
    probe
        .write(
            Method::POST,
            &probe.members("platform"),
            json!({ "user_id": viktor, "role": "member" }),
        )
        .await;
    assert!(probe.team("platform").role_of(viktor).is_some());
    assert_eq!(probe.get(&path).await.status, StatusCode::NOT_FOUND);
    assert!(
        !probe
            .get(&probe.members("platform"))
            .await
            .column("user_id")
            .contains(&viktor.to_string())
    );
    assert_eq!(probe.get(&path).await.status, StatusCode::OK);

    // Removals and changes lag just the same.
    assert_eq!(
        probe.delete(&probe.member("platform", lukasz)).await.status,
        StatusCode::NO_CONTENT
    );
    assert!(
        probe
            .get(&probe.members("platform"))
            .await
            .column("user_id")
            .contains(&lukasz.to_string())
    );
}

#[tokio::test]
async fn a_write_may_show_after_some_time() {
    let probe =
        Probe::with_behaviors(|behaviors| behaviors.write_lag = WriteLag::For(Duration::from_millis(200))).await;
    let path = probe.member("platform", probe.person("lukasz"));
    probe.write(Method::PATCH, &path, json!({ "role": "maintainer" })).await;
    let shown = async {
        let mut reads = 1;
        while probe.get(&path).await.json()["role"] != "maintainer" {
            reads += 1;
        }
        reads
    };
    assert!(tokio::time::timeout(Duration::from_secs(120), shown).await.unwrap() > 1);
}

#[rstest]
#[case(MemberRows::Kept, true)]
#[case(MemberRows::Dropped, false)]
#[tokio::test]
async fn a_user_who_leaves_may_leave_rows_behind(#[case] rows: MemberRows, #[case] kept: bool) {
    let probe = Probe::example().await;
    let lukasz = probe.person("lukasz");
    probe
        .sandbox
        .edit(|organization| organization.remove_person(lukasz, rows));
    let members = probe.get(&probe.members("platform")).await;
    assert_eq!(members.column("user_id").contains(&lukasz.to_string()), kept);
    assert_eq!(members.text.contains("Łukasz Wójcik"), kept);
    assert!(
        !probe
            .get(&probe.path("members"))
            .await
            .column("id")
            .contains(&lukasz.to_string())
    );
}

#[test]
fn every_answer_of_a_behavior_reads_back_as_written() {
    fn names<H: Behavior>() {
        for name in H::NAMES {
            assert_eq!(name.parse::<H>().unwrap().to_string(), *name);
        }
        assert!(
            "maybe"
                .parse::<H>()
                .is_err_and(|error| error.to_string().contains(H::NAMES[0]))
        );
    }
    names::<buildkite_connector::sandbox::Paging>();
    names::<buildkite_connector::sandbox::Link>();
    names::<buildkite_connector::sandbox::Order>();
    names::<PostExisting>();
    names::<PostOutsider>();
    names::<DeleteAbsent>();
    names::<PatchAbsent>();
    names::<LastMaintainer>();
    names::<Echo>();
    names::<MemberRoleField>();
    names::<TeamsDisabled>();
    names::<buildkite_connector::sandbox::OrganizationHeaders>();
    names::<buildkite_connector::sandbox::ResetRounding>();
    names::<buildkite_connector::sandbox::ExpiresAt>();
    names::<buildkite_connector::sandbox::RateLimitAccess>();
    names::<buildkite_connector::sandbox::SuitePostPath>();
    names::<buildkite_connector::sandbox::SuiteLevels>();
    names::<buildkite_connector::sandbox::CreatedLevel>();
    names::<buildkite_connector::sandbox::TeamEcho>();
    names::<buildkite_connector::sandbox::CursorBody>();
    names::<buildkite_connector::sandbox::SingleSignOn>();
    names::<buildkite_connector::sandbox::InviteAgain>();
    names::<buildkite_connector::sandbox::BuildErrorBody>();
    names::<buildkite_connector::sandbox::MetaDataFilter>();
    names::<buildkite_connector::sandbox::FeatureAccess>();
    for lag in ["none", "3-reads", "500ms"] {
        assert_eq!(lag.parse::<WriteLag>().unwrap().to_string(), lag);
    }
}
