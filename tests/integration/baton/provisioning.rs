//! One grant or revoke, by what the file of a sync holds.

use std::process::Command;

use buildkite_connector::sandbox::{
    Cluster, Endpoint, Fault, FaultKind, Gate, Pipeline, Sandbox, Suite, TeamRole, TokenSpec,
};
use rstest::rstest;
use rusqlite::Connection;
use secrecy::ExposeSecret;

use super::linked::{Linked, printed};
use crate::export::job::{ended, truth};
use crate::support::process::ConnectorProcess;
use crate::support::{sandbox, sized, until};

/// A sandbox of two teams with two members each of four people, and a file that holds it.
async fn synced() -> (Sandbox, Linked) {
    let sandbox = sandbox(sized(2, 2, 4)).await;
    let linked = Linked::new();
    printed(ended(linked.on(&sandbox, &[])).await, 0);
    (sandbox, linked)
}

/// A command with a token that has every scope.
fn with_every_scope(linked: &Linked, sandbox: &Sandbox, flags: &[&str]) -> Command {
    let token = sandbox.mint(TokenSpec::owned_by(sandbox.owner()).with_all_scopes());
    let mut command = linked.on(sandbox, flags);
    command.env("BATON_API_TOKEN", token.expose_secret());
    command
}

/// A team, and a user who is not in it.
fn outsider(sandbox: &Sandbox) -> (String, String) {
    sandbox.with_organization(|organization| {
        let team = &organization.teams()[0];
        let is_out = |id: &String| !team.members().iter().any(|member| member.user.to_string() == *id);
        let mut people = organization.people().iter().map(|person| person.id.to_string());
        (team.id.to_string(), people.find(is_out).unwrap())
    })
}

#[tokio::test]
async fn a_grant_of_the_file_is_carried_out_and_recorded_under_this_name() {
    let (sandbox, linked) = synced().await;
    let (team, user) = outsider(&sandbox);
    let entitlement = format!("team:{team}:maintainer");
    let flags = [
        "--grant-entitlement",
        &entitlement,
        "--grant-principal",
        &user,
        "--grant-principal-type",
        "user",
    ];
    let before = std::fs::read(linked.path("sync.c1z")).unwrap();
    let mut command = linked.on(&sandbox, &flags);
    command.env("BATON_AUDIT_FILE", linked.path("audit.jsonl"));
    printed(ended(command).await, 0);
    assert!(truth(&sandbox).grants.contains(&format!("{entitlement}:user:{user}")));
    let audit = std::fs::read_to_string(linked.path("audit.jsonl")).unwrap();
    assert!(audit.contains("\"caller\":\"baton-buildkite\""), "{audit}");
    assert_eq!(
        std::fs::read(linked.path("sync.c1z")).unwrap(),
        before,
        "the file is only read"
    );
}

#[tokio::test]
async fn a_revoke_of_the_file_is_carried_out_and_a_second_one_is_well_too() {
    let (sandbox, linked) = synced().await;
    let grant = truth(&sandbox).grants.pop_first().unwrap();
    for _ in 0..2 {
        printed(ended(linked.on(&sandbox, &["--revoke-grant", &grant])).await, 0);
        assert!(!truth(&sandbox).grants.contains(&grant));
    }
    assert_eq!(truth(&sandbox).grants.len(), 3);
}

/// Each level is granted to a team by the flags of the change alone, and revoked by the row of another sync.
#[rstest]
#[case::pipeline("pipeline", "build_and_read")]
#[case::suite("suite", "edit")]
#[case::cluster("cluster", "maintainer")]
#[tokio::test]
async fn access_is_granted_and_revoked_without_another_setting(#[case] of: &str, #[case] level: &str) {
    let sandbox = sandbox(sized(2, 2, 4)).await;
    let (team, ids) = sandbox.edit(|organization| {
        let ids = [
            ("pipeline", organization.add_pipeline(Pipeline::new("deploy", "Deploy"))),
            ("suite", organization.add_suite(Suite::new("checks", "Checks"))),
            ("cluster", organization.add_cluster(Cluster::new("linux"))),
        ];
        (organization.teams()[0].id, ids)
    });
    let id = ids.into_iter().find(|(kind, _)| *kind == of).unwrap().1;
    let linked = Linked::new();
    let on = |flags: &[&str]| with_every_scope(&linked, &sandbox, flags);
    let sync = ["--include", of];
    printed(ended(on(&sync)).await, 0);
    let entitlement = format!("{of}:{id}:{level}");
    let team = team.to_string();
    let grant = [
        "--grant-entitlement",
        &entitlement,
        "--grant-principal",
        &team,
        "--grant-principal-type",
        "team",
    ];
    printed(ended(on(&grant)).await, 0);
    let wrote = |endpoints: [Endpoint; 3]| -> u64 {
        endpoints
            .into_iter()
            .map(|endpoint| sandbox.request_log().count(endpoint))
            .sum()
    };
    let added = [
        Endpoint::AddTeamPipeline,
        Endpoint::AddTeamSuite,
        Endpoint::AddClusterMaintainer,
    ];
    assert_eq!(wrote(added), 1);
    printed(ended(on(&sync)).await, 0);
    let revoked = format!("{entitlement}:team:{team}");
    printed(ended(on(&["--revoke-grant", &revoked])).await, 0);
    let removed = [
        Endpoint::RemoveTeamPipeline,
        Endpoint::RemoveTeamSuite,
        Endpoint::RemoveClusterMaintainer,
    ];
    assert_eq!(wrote(removed), 1);
}

#[tokio::test]
async fn a_role_in_the_organization_is_granted_without_another_setting() {
    let sandbox = sandbox(sized(1, 1, 3)).await;
    let (organization, person) =
        sandbox.with_organization(|organization| (organization.id, organization.people()[1].id.to_string()));
    let linked = Linked::new();
    let on = |flags: &[&str]| with_every_scope(&linked, &sandbox, flags);
    printed(ended(on(&["--include", "organization"])).await, 0);
    let entitlement = format!("organization:{organization}:admin");
    let grant = ["--grant-entitlement", &entitlement, "--grant-principal", &person];
    printed(ended(on(&grant)).await, 0);
    assert_eq!(sandbox.request_log().count(Endpoint::ChangeOrganizationMember), 1);
}

#[rstest]
#[case::entitlement(&["--grant-entitlement", "team:0198c6f0-0000-7000-8000-00000000ffff:member", "--grant-principal", "x"])]
#[case::grant(&["--revoke-grant", "team:0198c6f0-0000-7000-8000-00000000ffff:member:user:x"])]
#[tokio::test]
async fn what_the_file_does_not_hold_is_not_found(#[case] flags: &[&str]) {
    let (sandbox, linked) = synced().await;
    let asked = sandbox.request_log().total();
    let printed = printed(ended(linked.on(&sandbox, flags)).await, 5);
    assert!(
        printed.contains("sync.c1z holds no") && printed.contains("sync again"),
        "{printed}"
    );
    assert_eq!(sandbox.request_log().total(), asked, "Buildkite is not asked");
}

#[tokio::test]
async fn a_person_by_email_is_not_found_since_the_file_has_them_by_id() {
    let (sandbox, linked) = synced().await;
    let (team, _) = outsider(&sandbox);
    let entitlement = format!("team:{team}:member");
    let flags = [
        "--grant-entitlement",
        &entitlement,
        "--grant-principal",
        "ada@example.com",
    ];
    let printed = printed(ended(linked.on(&sandbox, &flags)).await, 5);
    assert!(printed.contains("user:ada@example.com"), "{printed}");
}

#[tokio::test]
async fn a_grant_whose_file_lacks_the_principal_is_not_carried_out_although_buildkite_knows_them() {
    let (sandbox, linked) = synced().await;
    let (team, _) = outsider(&sandbox);
    let newcomer = sandbox.edit(|organization| {
        organization.add_person(buildkite_connector::sandbox::Person::new("Nadia", "nadia@example.com"))
    });
    let entitlement = format!("team:{team}:member");
    let newcomer = newcomer.to_string();
    let flags = ["--grant-entitlement", &entitlement, "--grant-principal", &newcomer];
    printed(ended(linked.on(&sandbox, &flags)).await, 5);
    assert!(
        !truth(&sandbox)
            .grants
            .contains(&format!("{entitlement}:user:{newcomer}"))
    );
}

#[rstest]
#[case::nothing_there(None)]
#[case::empty(Some(&b""[..]))]
#[case::version_3(Some(&b"C1Z3\0anything"[..]))]
#[tokio::test]
async fn a_file_that_cannot_be_read_is_refused(#[case] bytes: Option<&[u8]>) {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let linked = Linked::new();
    if let Some(bytes) = bytes {
        linked.write("sync.c1z", bytes);
    }
    let printed = printed(ended(linked.on(&sandbox, &["--revoke-grant", "g"])).await, 2);
    assert!(printed.contains("sync.c1z"), "{printed}");
    assert_eq!(sandbox.request_log().total(), 0);
}

#[tokio::test]
async fn a_row_that_a_platform_made_up_is_refused() {
    let (sandbox, linked) = synced().await;
    let (team, user) = outsider(&sandbox);
    make_up(&linked, &user);
    let entitlement = format!("team:{team}:member");
    let flags = ["--grant-entitlement", &entitlement, "--grant-principal", &user];
    let printed = printed(ended(linked.on(&sandbox, &flags)).await, 2);
    assert!(printed.contains("of a platform"), "{printed}");
}

/// Marks a user of the file as a platform does.
fn make_up(linked: &Linked, user: &str) {
    use buildkite_connector::proto::c1::connector::v2::Resource;
    use prost::Message;
    let packed = std::fs::read(linked.path("sync.c1z")).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), zstd::decode_all(&packed[5..]).unwrap()).unwrap();
    let database = Connection::open(file.path()).unwrap();
    let id = format!("user:{user}");
    let query = "select data from v1_resources where external_id = ?1";
    let data: Vec<u8> = database.query_row(query, [&id], |row| row.get(0)).unwrap();
    let mut resource = Resource::decode(data.as_slice()).unwrap();
    resource.annotations.push(prost_types::Any {
        type_url: "type.googleapis.com/c1.connector.v2.BatonID".into(),
        value: vec![],
    });
    database
        .execute(
            "update v1_resources set data = ?1 where external_id = ?2",
            rusqlite::params![resource.encode_to_vec(), id],
        )
        .unwrap();
    drop(database);
    let bytes = std::fs::read(file.path()).unwrap();
    linked.write(
        "sync.c1z",
        [&b"C1ZF\0"[..], &zstd::encode_all(&bytes[..], 1).unwrap()].concat(),
    );
}

#[tokio::test]
async fn a_guard_ends_a_grant_with_failed_precondition() {
    let (sandbox, linked) = synced().await;
    let (team, user) = outsider(&sandbox);
    let slug = sandbox.with_organization(|organization| organization.teams()[0].slug.clone());
    let entitlement = format!("team:{team}:member");
    let flags = [
        "--grant-entitlement",
        &entitlement,
        "--grant-principal",
        &user,
        "--protect-team",
        &slug,
    ];
    printed(ended(linked.on(&sandbox, &flags)).await, 9);
    assert!(!truth(&sandbox).grants.contains(&format!("{entitlement}:user:{user}")));
}

#[tokio::test]
async fn a_role_that_is_held_already_is_well() {
    let (sandbox, linked) = synced().await;
    let (team, user) = outsider(&sandbox);
    sandbox.edit(|organization| {
        organization.set_membership(team.parse().unwrap(), user.parse().unwrap(), TeamRole::Member);
    });
    let entitlement = format!("team:{team}:member");
    let flags = ["--grant-entitlement", &entitlement, "--grant-principal", &user];
    let printed = printed(ended(linked.on(&sandbox, &flags)).await, 0);
    assert!(printed.contains("already_exists"), "{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_was_begun_when_a_signal_comes_is_finished_and_recorded() {
    let (sandbox, linked) = synced().await;
    let (team, user) = outsider(&sandbox);
    let gate = Gate::default();
    let fault = Fault::new(Endpoint::AddTeamMember, FaultKind::Held(gate.clone()));
    let held = sandbox.faults().add(fault);
    let entitlement = format!("team:{team}:member");
    let flags = ["--grant-entitlement", &entitlement, "--grant-principal", &user];
    let mut command = linked.on(&sandbox, &flags);
    command.env("BATON_AUDIT_FILE", linked.path("audit.jsonl"));
    let mut job = ConnectorProcess::start(command);
    until(|| held.fired() > 0).await;
    job.signal("INT");
    let (sender, interrupted) = tokio::sync::oneshot::channel();
    let job = tokio::task::spawn_blocking(move || {
        job.line("interrupted: a change that was begun");
        let _ = sender.send(());
        job.ended()
    });
    interrupted.await.unwrap();
    gate.open();
    printed(job.await.unwrap(), 130);
    assert!(truth(&sandbox).grants.contains(&format!("{entitlement}:user:{user}")));
    let audit = std::fs::read_to_string(linked.path("audit.jsonl")).unwrap();
    assert!(audit.contains("\"granted\""), "{audit}");
}
