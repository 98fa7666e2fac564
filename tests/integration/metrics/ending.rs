//! Shutdown from the point of view of a supervisor: no longer ready, alive until the last change is finished.

use buildkite_connector::sandbox::{Endpoint, Fault, FaultKind, Gate, TeamRole};

use crate::support::process::ConnectorProcess;
use crate::support::{first_team, sandbox, sized, until_async};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_change_is_finished_the_process_is_alive_serves_metrics_and_is_not_ready() {
    let sandbox = sandbox(sized(1, 1, 5)).await;
    let (team, user) = (first_team(&sandbox), sandbox.owner());
    sandbox.edit(|organization| organization.team_mut(team).unwrap().remove_member(user));
    let monitored = ConnectorProcess::monitored(&sandbox, &["--provisioning"]);
    assert_eq!(monitored.page("/readyz").await, (200, "ready\n".to_owned()));
    let gate = Gate::default();
    let held = FaultKind::Held(gate.clone());
    sandbox.faults().add(Fault::new(Endpoint::AddTeamMember, held));
    let platform = monitored.platform().await;
    let grant = tokio::spawn(async move { platform.grant(&team.to_string(), "member", &user.to_string()).await });
    until_async("the write", async || {
        sandbox.request_log().count(Endpoint::TeamMember) > 0 && sandbox.request_log().in_flight() > 0
    })
    .await;

    monitored.signal("TERM");
    until_async("the end to be told", async || monitored.page("/readyz").await.0 == 503).await;
    assert_eq!(monitored.page("/livez").await.0, 200);
    let scrape = monitored.scrape().await;
    assert_eq!(
        scrape.calls("c1.connector.v2.GrantManagerService/Grant", "OK"),
        None,
        "the change was over before the end was looked at"
    );
    gate.open();
    grant.await.unwrap().unwrap();
    assert_eq!(monitored.ended().status.code(), Some(0));
    let role = sandbox.with_organization(|organization| organization.team(team).unwrap().role_of(user));
    assert_eq!(role, Some(TeamRole::Member));
}
