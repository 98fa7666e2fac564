//! Clusters and their maintainers.

use buildkite_connector::sandbox::{DeleteAbsent, Endpoint, Maintainer, PostExisting, WriteLag};
use http::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::probe::Probe;

fn maintainers(probe: &Probe, cluster: &str) -> String {
    format!("{}/maintainers", probe.cluster(cluster))
}

fn maintains(probe: &Probe, cluster: &str, maintainer: Maintainer) -> bool {
    probe.sandbox.with_organization(|organization| {
        let cluster = organization.cluster_by_name(cluster).unwrap();
        cluster.maintainer(maintainer).is_some()
    })
}

#[tokio::test]
async fn a_cluster_and_its_maintainers_show_the_fields_of_the_reference() {
    let probe = Probe::full().await;
    let list = probe.get(&probe.path("clusters")).await;
    assert_eq!(list.column("name"), ["Production", "Staging"]);
    let one = probe.get(&probe.cluster("Production")).await.json();
    assert_eq!(
        (&list.rows()[0], &one["description"]),
        (&one, &json!("Machines that deploy"))
    );
    let rows = probe.get(&maintainers(&probe, "Production")).await.rows();
    assert_eq!(rows.len(), 2);
    let (team, user) = (&rows[0]["actor"], &rows[1]["actor"]);
    assert_eq!(team["id"], json!(probe.team("platform").id));
    assert_eq!((&team["type"], &team["slug"]), (&json!("team"), &json!("platform")));
    assert_eq!(user["id"], json!(probe.sandbox.owner()));
    assert_eq!(
        (&user["type"], &user["name"]),
        (&json!("user"), &json!("Ingrid Sørensen"))
    );
    let path = format!(
        "{}/{}",
        maintainers(&probe, "Production"),
        rows[0]["id"].as_str().unwrap()
    );
    assert_eq!(probe.get(&path).await.json(), rows[0]);
}

#[tokio::test]
async fn a_maintainer_is_added_and_removed_by_the_rows_own_id() {
    let probe = Probe::full().await;
    let list = maintainers(&probe, "Staging");
    let team = probe.team("data").id;
    let added = probe.write(Method::POST, &list, json!({ "team": team })).await;
    assert_eq!(
        (added.status, &added.json()["actor"]["id"]),
        (StatusCode::CREATED, &json!(team))
    );
    assert!(maintains(&probe, "Staging", Maintainer::Team(team)));
    // The actor's id is not the row's.
    assert_eq!(
        probe.delete(&format!("{list}/{team}")).await.status,
        StatusCode::NOT_FOUND
    );
    let path = format!("{list}/{}", added.json()["id"].as_str().unwrap());
    assert_eq!(probe.delete(&path).await.status, StatusCode::NO_CONTENT);
    assert!(!maintains(&probe, "Staging", Maintainer::Team(team)));
    assert_eq!(probe.get(&path).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn deleting_the_clusters_own_path_loses_the_cluster() {
    let probe = Probe::full().await;
    let path = probe.cluster("Production");
    assert_eq!(probe.delete(&path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(probe.get(&path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(probe.get(&probe.path("clusters")).await.column("name"), ["Staging"]);
    assert_eq!(probe.sandbox.request_log().count(Endpoint::DeleteCluster), 1);
    let pipeline = probe.get(&probe.path("pipelines/deploy")).await.json();
    assert_eq!(pipeline["cluster_id"], Value::Null);
}

#[rstest]
#[case(json!({}), 422)]
#[case(json!({ "user": "OWNER", "team": "TEAM" }), 422)]
#[case(json!({ "team": "TEAM" }), 422)]
#[case(json!({ "user": Uuid::new_v4() }), 404)]
#[tokio::test]
async fn a_maintainer_that_cannot_be_added_is_refused(#[case] mut body: Value, #[case] status: u16) {
    let probe = Probe::full().await;
    for (name, id) in [("user", probe.sandbox.owner()), ("team", probe.team("platform").id)] {
        if body[name] == "OWNER" || body[name] == "TEAM" {
            body[name] = json!(id);
        }
    }
    let reply = probe
        .write(Method::POST, &maintainers(&probe, "Production"), body)
        .await;
    assert_eq!(reply.status, status);
    if status == 422 {
        assert!(reply.message().starts_with("Validation failed:"));
    }
}

#[rstest]
#[case(PostExisting::Conflict, 409)]
#[case(PostExisting::Unchanged, 200)]
#[case(PostExisting::Upsert, 201)]
#[tokio::test]
async fn adding_a_maintainer_again_is_a_behavior(#[case] behavior: PostExisting, #[case] status: u16) {
    let probe = Probe::full().await;
    probe
        .sandbox
        .change_behaviors(|behaviors| behaviors.post_existing = behavior);
    let body = json!({ "team": probe.team("platform").id });
    let list = maintainers(&probe, "Production");
    assert_eq!(probe.write(Method::POST, &list, body).await.status, status);
    assert_eq!(probe.get(&list).await.rows().len(), 2);
    assert!(!probe.sandbox.requests()[0].applied);
}

#[rstest]
#[case(DeleteAbsent::NoContent, 204)]
#[case(DeleteAbsent::Unprocessable, 422)]
#[tokio::test]
async fn removing_an_absent_maintainer_is_a_behavior(#[case] behavior: DeleteAbsent, #[case] status: u16) {
    let probe = Probe::full().await;
    probe
        .sandbox
        .change_behaviors(|behaviors| behaviors.delete_absent = behavior);
    let path = format!("{}/{}", maintainers(&probe, "Staging"), Uuid::new_v4());
    assert_eq!(probe.delete(&path).await.status, status);
}

#[rstest]
#[case("amara", "Staging", 201)]
#[case("leilani", "Production", 201)]
#[case("leilani", "Staging", 403)]
#[tokio::test]
async fn maintainers_and_members_of_maintaining_teams_change_a_cluster(
    #[case] name: &str,
    #[case] cluster: &str,
    #[case] status: u16,
) {
    let probe = Probe::full().await.acting_as(name);
    let body = json!({ "user": probe.person("viktor") });
    let list = maintainers(&probe, cluster);
    assert_eq!(probe.get(&list).await.status, StatusCode::OK);
    assert_eq!(probe.write(Method::POST, &list, body).await.status, status);
}

#[tokio::test]
async fn a_change_of_maintainers_may_show_late() {
    let probe = Probe::full().await;
    probe
        .sandbox
        .change_behaviors(|behaviors| behaviors.write_lag = WriteLag::Reads(1));
    let list = maintainers(&probe, "Staging");
    let body = json!({ "user": probe.person("viktor") });
    assert_eq!(probe.write(Method::POST, &list, body).await.status, StatusCode::CREATED);
    assert_eq!(probe.get(&list).await.rows().len(), 1);
    assert_eq!(probe.get(&list).await.rows().len(), 2);
}
