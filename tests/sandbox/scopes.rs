//! Every endpoint about objects needs its own scope, and says which.

use buildkite_connector::sandbox::{ALL_SCOPES, TokenSpec};
use http::{Method, StatusCode};
use secrecy::ExposeSecret;
use uuid::Uuid;

use crate::probe::Probe;

/// Every request, and the scope that it needs.
fn requests(probe: &Probe) -> Vec<(Method, String, &'static str)> {
    let team = format!("teams/{}", probe.team("platform").id);
    let invitation = format!("invitations/{}", Uuid::new_v4());
    let job = format!("pipelines/deploy/builds/1/jobs/{}", Uuid::new_v4());
    let maintainers = format!("{}/maintainers", probe.cluster("Production"));
    let (get, post, patch, delete) = (Method::GET, Method::POST, Method::PATCH, Method::DELETE);
    let row = |method: &Method, path: &str, scope| (method.clone(), probe.path(path), scope);
    let in_organization = [
        row(&post, "teams", "write_teams"),
        row(&patch, &team, "write_teams"),
        row(&delete, &team, "write_teams"),
        row(&get, &format!("{team}/pipelines"), "read_teams"),
        row(&post, &format!("{team}/pipelines"), "write_teams"),
        row(&get, &format!("{team}/suites"), "read_teams"),
        row(&post, &format!("{team}/suites"), "write_teams"),
        row(&patch, &format!("members/{}", Uuid::new_v4()), "write_organizations"),
        row(&delete, &format!("members/{}", Uuid::new_v4()), "write_organizations"),
        row(&get, "invitations", "read_organization_invitations"),
        row(&get, &invitation, "read_organization_invitations"),
        row(&post, "invitations", "write_organization_invitations"),
        row(&delete, &invitation, "write_organization_invitations"),
        row(&get, "pipelines", "read_pipelines"),
        row(&get, "pipelines/deploy", "read_pipelines"),
        row(&get, "builds", "read_builds"),
        row(&get, "pipelines/deploy/builds", "read_builds"),
        row(&get, "pipelines/deploy/builds/1", "read_builds"),
        row(&post, "pipelines/deploy/builds", "write_builds"),
        row(&get, "pipelines/deploy/builds/1/artifacts", "read_artifacts"),
        row(&get, &format!("{job}/log"), "read_build_logs"),
        row(&get, &format!("{job}/env"), "read_job_env"),
        row(&Method::PUT, &format!("{job}/unblock"), "write_builds"),
        row(&get, "clusters", "read_clusters"),
        row(&get, "agents", "read_agents"),
        row(&get, &format!("agents/{}", Uuid::new_v4()), "read_agents"),
        row(&get, "audit_events", "read_audit_events"),
        row(&get, &format!("audit_events/{}", Uuid::new_v4()), "read_audit_events"),
    ];
    let elsewhere = [
        (patch.clone(), probe.team_pipeline("platform", "deploy"), "write_teams"),
        (delete.clone(), probe.team_pipeline("platform", "deploy"), "write_teams"),
        (get.clone(), probe.team_pipeline("platform", "deploy"), "read_teams"),
        (patch, probe.team_suite("timetables", "solver-tests"), "write_teams"),
        (
            delete.clone(),
            probe.team_suite("timetables", "solver-tests"),
            "write_teams",
        ),
        (get.clone(), probe.suites(), "read_suites"),
        (get.clone(), format!("{}/solver-tests", probe.suites()), "read_suites"),
        (get.clone(), probe.registries(), "read_registries"),
        (
            get.clone(),
            format!("{}/containers", probe.registries()),
            "read_registries",
        ),
        (get.clone(), probe.cluster("Production"), "read_clusters"),
        (delete.clone(), probe.cluster("Production"), "write_clusters"),
        (get, maintainers.clone(), "read_clusters"),
        (post, maintainers.clone(), "write_clusters"),
        (delete, format!("{maintainers}/{}", Uuid::new_v4()), "write_clusters"),
    ];
    in_organization.into_iter().chain(elsewhere).collect()
}

#[tokio::test]
async fn a_missing_scope_is_a_403_that_names_it_and_changes_nothing() {
    let probe = Probe::example().await;
    for (method, path, scope) in requests(&probe) {
        let others: Vec<&str> = ALL_SCOPES.into_iter().filter(|held| *held != scope).collect();
        let owner = TokenSpec::owned_by(probe.sandbox.owner());
        let token = probe.sandbox.mint(owner.with_scopes(&others));
        let reply = probe.send(method, &path, token.expose_secret(), None).await.unwrap();
        assert_eq!(
            (reply.status, reply.message()),
            (
                StatusCode::FORBIDDEN,
                format!("Your access token doesn't have the {scope} scope")
            ),
            "{path}"
        );
    }
    assert!(probe.sandbox.requests().iter().all(|request| !request.applied));
}

#[tokio::test]
async fn without_a_token_or_the_organization_nothing_is_found() {
    let probe = Probe::example().await;
    let spec = TokenSpec {
        reaches_organization: false,
        ..TokenSpec::owned_by(probe.sandbox.owner()).with_all_scopes()
    };
    let elsewhere = probe.sandbox.mint(spec);
    for (method, path, _) in requests(&probe) {
        let reply = probe.send(method.clone(), &path, "", None).await.unwrap();
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{path}");
        let reply = probe
            .send(method, &path, elsewhere.expose_secret(), None)
            .await
            .unwrap();
        assert_eq!(
            (reply.status, reply.message().as_str()),
            (StatusCode::NOT_FOUND, "No organization found"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_fault_reaches_every_endpoint_by_name() {
    let probe = Probe::full().await;
    for (method, path, _) in requests(&probe) {
        probe.sandbox.request_log().clear();
        let token = probe.sandbox.token().expose_secret();
        probe.send(method.clone(), &path, token, None).await.unwrap();
        let endpoint = probe.sandbox.requests()[0].endpoint;
        let spec = format!("{endpoint}:status=502:times=1");
        let fault = probe.sandbox.faults().add(spec.parse().unwrap());
        let reply = probe.send(method, &path, token, None).await.unwrap();
        assert_eq!((reply.status, fault.fired()), (StatusCode::BAD_GATEWAY, 1), "{spec}");
    }
}

#[tokio::test]
async fn deleting_a_list_is_not_found_and_counted() {
    use buildkite_connector::sandbox::Endpoint;
    let probe = Probe::full().await;
    let team = format!("teams/{}", probe.team("platform").id);
    let paths = [
        probe.path(&format!("{team}/pipelines")),
        probe.path(&format!("{team}/pipelines/")),
        probe.path(&format!("{team}/suites")),
        probe.path(&format!("{team}/members")),
        probe.path("teams"),
        probe.path("invitations"),
        probe.path("members"),
        format!("{}/maintainers", probe.cluster("Production")),
    ];
    for path in &paths {
        assert_eq!(probe.delete(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let counted = probe.sandbox.request_log().count(Endpoint::DeleteList);
    assert_eq!(counted, paths.len() as u64);
    assert_eq!(probe.team("platform").pipelines().len(), 1);
}
