//! Builds, jobs, artifacts, agents and audit events.

use buildkite_connector::sandbox::{BuildErrorBody, MetaDataFilter, SECRET_MARKER, WriteLag};
use http::{Method, StatusCode};
use rstest::rstest;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::probe::Probe;

fn numbers(rows: &[Value]) -> Vec<u64> {
    rows.iter().map(|row| row["number"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn builds_are_listed_newest_first_and_parts_can_be_left_out() {
    let probe = Probe::full().await;
    for list in ["builds", "pipelines/deploy/builds"] {
        let rows = probe.get(&probe.path(list)).await.rows();
        assert_eq!(numbers(&rows), [2, 1]);
        assert_eq!(rows[0]["pipeline"]["slug"], "deploy");
        assert_eq!(
            (&rows[0]["state"], &rows[0]["blocked"]),
            (&json!("blocked"), &json!(true))
        );
        assert_eq!(rows[0]["jobs"].as_array().unwrap().len(), 2);
        assert!(rows[0].to_string().contains(SECRET_MARKER));
        let path = probe.path(&format!("{list}?per_page=1&exclude_pipeline=true&exclude_jobs=true"));
        let short = probe.get(&path).await.rows();
        assert_eq!(
            (short.len(), short[0].get("pipeline"), short[0].get("jobs")),
            (1, None, None)
        );
    }
    let one = probe.get(&probe.path("pipelines/deploy/builds/2")).await.json();
    assert_eq!(one["number"], 2);
    for path in [
        "pipelines/deploy/builds/9",
        "pipelines/deploy/builds/last",
        "pipelines/none/builds",
    ] {
        assert_eq!(
            probe.get(&probe.path(path)).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
}

#[rstest]
#[case("state=passed", &[1])]
#[case("state[]=passed&state[]=blocked", &[2, 1])]
#[case("state[]=failed", &[])]
#[case("branch=main&commit=4d6f2a9", &[2, 1])]
#[case("branch=other", &[])]
#[case("created_from=2023-04-12T00:00:00Z", &[2])]
#[case("created_to=2023-04-12T00:00:00Z", &[1])]
#[case("meta_data[key]=value", &[])]
#[tokio::test]
async fn builds_are_filtered(#[case] query: &str, #[case] expected: &[u64]) {
    let probe = Probe::full().await;
    let rows = probe.get(&probe.path(&format!("builds?{query}"))).await.rows();
    assert_eq!(numbers(&rows), expected);
}

#[tokio::test]
async fn a_wrong_time_and_a_deep_page_are_400() {
    let probe = Probe::full().await;
    probe.sandbox.change_behaviors(|behaviors| behaviors.build_depth = 200);
    for (query, status) in [
        ("created_from=yesterday", 400),
        ("page=3&per_page=100", 400),
        ("page=2&per_page=100", 200),
    ] {
        assert_eq!(
            probe.get(&probe.path(&format!("builds?{query}"))).await.status,
            status,
            "{query}"
        );
    }
}

#[tokio::test]
async fn a_started_build_is_found_by_its_meta_data_unless_the_filter_is_ignored() {
    let probe = Probe::full().await;
    let list = probe.path("pipelines/deploy/builds");
    let body = json!({ "branch": "main", "commit": "HEAD", "message": "Now", "env": { "A": "b" },
        "meta_data": { "key": "k1" } });
    let started = probe.write(Method::POST, &list, body).await;
    assert_eq!(started.status, StatusCode::CREATED);
    let build = started.json();
    assert_eq!((&build["number"], &build["state"]), (&json!(3), &json!("scheduled")));
    assert_eq!((&build["env"]["A"], &build["message"]), (&json!("b"), &json!("Now")));
    assert_eq!(build["creator"]["id"], json!(probe.sandbox.owner()));
    let find = async |value: &str| {
        let path = format!("{list}?meta_data[key]={value}");
        numbers(&probe.get(&path).await.rows())
    };
    assert_eq!((find("k1").await, find("k2").await), (vec![3], vec![]));
    probe
        .sandbox
        .change_behaviors(|behaviors| behaviors.meta_data_filter = MetaDataFilter::Ignored);
    assert_eq!(find("k2").await, [3, 2, 1]);
}

#[rstest]
#[case(BuildErrorBody::Errors)]
#[case(BuildErrorBody::Message)]
#[tokio::test]
async fn a_build_that_cannot_start_is_422_in_two_shapes(#[case] shape: BuildErrorBody) {
    let probe = Probe::full().await;
    probe
        .sandbox
        .change_behaviors(|behaviors| behaviors.build_error_body = shape);
    let deploy = probe.path("pipelines/deploy/builds");
    let archived = probe.path("pipelines/docs-site/builds");
    let complete = json!({ "branch": "main", "commit": "HEAD" });
    for (path, body) in [
        (&deploy, json!({ "branch": "main" })),
        (&deploy, json!({ "branch": "", "commit": "HEAD" })),
        (
            &deploy,
            json!({ "branch": "main", "commit": "HEAD", "meta_data": { "a": 1 } }),
        ),
        (&archived, complete),
    ] {
        let reply = probe.write(Method::POST, path, body).await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(reply.json()["errors"].is_array(), shape == BuildErrorBody::Errors);
        assert!(reply.message().to_lowercase().starts_with("validation failed"));
    }
}

#[rstest]
#[case("amara", 201)]
#[case("leilani", 201)]
#[case("priya", 403)]
#[case("viktor", 404)]
#[tokio::test]
async fn only_who_may_build_starts_one(#[case] name: &str, #[case] status: u16) {
    let probe = Probe::full().await.acting_as(name);
    let body = json!({ "branch": "main", "commit": "HEAD" });
    let reply = probe
        .write(Method::POST, &probe.path("pipelines/deploy/builds"), body)
        .await;
    assert_eq!(reply.status, status);
}

#[tokio::test]
async fn a_block_step_is_unblocked_once() {
    let probe = Probe::full().await;
    let path = probe.path("pipelines/deploy/builds/2");
    let jobs = probe.get(&path).await.json()["jobs"].clone();
    let job = |position: usize| jobs[position]["id"].as_str().unwrap().to_owned();
    assert_eq!(
        (&jobs[1]["type"], &jobs[1]["unblockable"]),
        (&json!("manual"), &json!(true))
    );
    let unblock = format!("{path}/jobs/{}/unblock", job(1));
    let reply = probe
        .write(Method::PUT, &unblock, json!({ "fields": { "reason": "tested" } }))
        .await;
    assert_eq!(
        (reply.status, &reply.json()["state"]),
        (StatusCode::OK, &json!("unblocked"))
    );
    assert_eq!(reply.json()["unblocked_by"]["id"], json!(probe.sandbox.owner()));
    assert_eq!(probe.get(&path).await.json()["state"], "scheduled");
    let again = probe.write(Method::PUT, &unblock, json!({})).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
    let script = format!("{path}/jobs/{}/unblock", job(0));
    let reply = probe.write(Method::PUT, &script, json!({})).await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    let organization = probe.sandbox.organization();
    let build = organization.pipeline_by_slug("deploy").unwrap().build(2).unwrap();
    assert_eq!(build.jobs[1].fields["reason"], "tested");
}

#[tokio::test]
async fn builds_and_their_jobs_show_late_where_writes_do() {
    let probe = Probe::full().await;
    probe
        .sandbox
        .change_behaviors(|behaviors| behaviors.write_lag = WriteLag::Reads(2));
    let list = probe.path("pipelines/deploy/builds");
    let body = json!({ "branch": "main", "commit": "HEAD" });
    assert_eq!(probe.write(Method::POST, &list, body).await.json()["number"], 3);
    assert_eq!(numbers(&probe.get(&list).await.rows()), [2, 1]);
    assert_eq!(probe.get(&format!("{list}/3")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(numbers(&probe.get(&list).await.rows()), [3, 2, 1]);
    assert_eq!(probe.get(&format!("{list}/3")).await.status, StatusCode::OK);

    let path = format!("{list}/2");
    let job = probe.get(&path).await.json()["jobs"][1]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let unblocked = probe
        .write(Method::PUT, &format!("{path}/jobs/{job}/unblock"), json!({}))
        .await;
    assert_eq!(unblocked.json()["state"], "unblocked");
    let mut states = Vec::new();
    for _ in 0..3 {
        states.push(probe.get(&path).await.json()["jobs"][1]["state"].clone());
    }
    assert_eq!(states, ["blocked", "blocked", "unblocked"]);
}

#[tokio::test]
async fn a_log_has_a_size_without_its_content_and_the_environment_holds_secrets() {
    let probe = Probe::full().await;
    let path = probe.path("pipelines/deploy/builds/1");
    let jobs = probe.get(&path).await.json()["jobs"].clone();
    let job = |position: usize| format!("{path}/jobs/{}", jobs[position]["id"].as_str().unwrap());
    let log = format!("{}/log", job(0));
    let content = probe.get(&log).await;
    assert!(content.text.contains(SECRET_MARKER));
    let owner = buildkite_connector::sandbox::TokenSpec::owned_by(probe.sandbox.owner());
    let token = probe.sandbox.mint(owner.with_scopes(&["read_build_logs"]));
    let head = probe
        .send(Method::HEAD, &log, token.expose_secret(), None)
        .await
        .unwrap();
    assert_eq!((head.status, head.text.as_str()), (StatusCode::OK, ""));
    assert_eq!(
        head.header("content-length"),
        Some(content.text.len().to_string().as_str())
    );
    // A block step has no log.
    assert_eq!(
        probe.get(&format!("{}/log", job(1))).await.status,
        StatusCode::NOT_FOUND
    );
    let env = probe.get(&format!("{}/env", job(0))).await.json();
    assert!(env["env"]["DEPLOY_TOKEN"].as_str().unwrap().starts_with(SECRET_MARKER));
}

#[tokio::test]
async fn a_finished_build_has_an_artifact_and_one_in_progress_none() {
    let probe = Probe::full().await;
    for (build, artifacts) in [(1, 1), (2, 0)] {
        let path = probe.path(&format!("pipelines/deploy/builds/{build}/artifacts?per_page=1"));
        let rows = probe.get(&path).await.rows();
        assert_eq!(rows.len(), artifacts);
        assert!(rows.iter().all(|row| row["filename"].is_string()));
    }
}

#[tokio::test]
async fn agents_show_their_host() {
    let probe = Probe::full().await;
    let rows = probe.get(&probe.path("agents?per_page=1")).await.rows();
    assert_eq!(rows.len(), 1);
    assert!(rows[0]["hostname"].is_string() && rows[0]["ip_address"].is_string());
    let one = probe
        .get(&probe.path(&format!("agents/{}", rows[0]["id"].as_str().unwrap())))
        .await;
    assert_eq!(one.json(), rows[0]);
    let slug = probe.get(&probe.path("agents/builder-1")).await;
    assert_eq!(slug.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn audit_events_are_read_by_admins_newest_first() {
    let probe = Probe::full().await;
    let first = probe.get(&probe.path("audit_events?per_page=2")).await;
    let items = first.json()["items"].as_array().unwrap().clone();
    assert_eq!(items[0]["type"], "TeamMemberCreatedEvent");
    assert_eq!(
        (&items[0]["subject"]["name"], &items[0]["context"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(items[0]["actor"]["uuid"], json!(probe.sandbox.owner()));
    let next = first.link("next").unwrap();
    let second = probe.get(next.strip_prefix(probe.sandbox.url()).unwrap()).await;
    assert_eq!(second.json()["items"][0]["type"], "OrganizationUpdatedEvent");
    let prev = second.link("prev").unwrap();
    let back = probe.get(prev.strip_prefix(probe.sandbox.url()).unwrap()).await;
    assert_eq!(back.json()["items"][0]["type"], "TeamMemberCreatedEvent");
    let uuid = items[0]["uuid"].as_str().unwrap();
    assert_eq!(
        probe.get(&probe.path(&format!("audit_events/{uuid}"))).await.json(),
        items[0]
    );
    let member = Probe::full().await.acting_as("amara");
    assert_eq!(
        member.get(&member.path("audit_events")).await.status,
        StatusCode::FORBIDDEN
    );
}
