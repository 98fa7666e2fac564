//! Connections to one organization act as one: also a connection that was changed, and what it began before.

use buildkite_connector::proto::c1::connector::v2::{BatonActionStatus, Entitlement};
use buildkite_connector::sandbox::{
    Endpoint, Fault, FaultKind, Gate, OrganizationRole, Pipeline, PipelineLevel, Sandbox, TeamRole, TokenSpec, WriteLag,
};
use jiff::Timestamp;
use rstest::rstest;
use secrecy::SecretString;
use serde_json::{Value, json};
use tonic::Code;
use uuid::Uuid;

use super::{Files, apply, client, organization, teams};
use crate::actions::{invoke, status};
use crate::connector::people::{ADA, Account, create, delete, request};
use crate::connector::provisioning::reason as guard_reason;
use crate::support::{Caller, ConnectorProcess, Platform, reason, resource, until, until_async, within};

/// Who acts beside the connection `northwind`.
#[derive(Debug, Clone, Copy)]
enum Other {
    /// The same connection with changed settings.
    Successor,
    /// Another connection to the organization.
    Twin,
}

/// A process with the connections `northwind` and `twin` to one organization.
struct World {
    sandbox: Sandbox,
    files: Files,
    process: ConnectorProcess,
    caller: Caller,
    token: SecretString,
    keys: String,
    /// How often `northwind` was changed.
    edits: usize,
}

impl World {
    /// Both connections have these settings.
    async fn new(keys: &str) -> Self {
        Self::on(organization("northwind-rail", 1).await, None, keys).await
    }

    /// The same in this organization, by a token of `user` if that is not the sandbox's own.
    async fn on(sandbox: Sandbox, user: Option<Uuid>, keys: &str) -> Self {
        let owner = TokenSpec::owned_by(user.unwrap_or(sandbox.owner()));
        let (token, files) = (sandbox.mint(owner.with_all_scopes()), Files::new());
        let tables = ["northwind", "twin"].map(|name| files.connection_with(name, &sandbox, &token, keys));
        files.configure(&tables.concat());
        let process = files.serve(&[]);
        Self {
            caller: client(&process).await,
            keys: keys.to_owned(),
            edits: 0,
            sandbox,
            files,
            process,
            token,
        }
    }

    fn about(&self, name: &str) -> Caller {
        self.caller.clone().about(name)
    }

    /// Changes the connection `northwind`.
    fn edit(&mut self) {
        self.edits += 1;
        let changed = format!("{}\nread_ahead = {}", self.keys, self.edits);
        let table = |name, keys: &str| self.files.connection_with(name, &self.sandbox, &self.token, keys);
        let tables = table("northwind", &changed) + &table("twin", &self.keys);
        self.files.configure(&tables);
        apply(&mut self.process);
    }

    /// The connection that acts beside `northwind` as it was.
    fn other(&mut self, other: Other) -> Caller {
        match other {
            Other::Twin => self.about("twin"),
            Other::Successor => {
                self.edit();
                self.about("northwind")
            }
        }
    }

    fn count(&self, endpoint: Endpoint) -> u64 {
        self.sandbox.request_log().count(endpoint)
    }

    /// Holds the requests to this endpoint back until the gate is open, and waits until `call` has sent one.
    async fn held<T>(&self, endpoint: Endpoint, call: impl AsyncFnOnce() -> T) -> (Gate, T) {
        let gate = Gate::default();
        let held = Fault::new(endpoint, FaultKind::Held(gate.clone())).once();
        let held = self.sandbox.faults().add(held);
        let begun = call().await;
        until(|| held.fired() == 1).await;
        (gate, begun)
    }

    /// The team with this index, and a person who is not in it.
    fn outsider(&self, team: usize) -> (String, String) {
        self.sandbox.with_organization(|organization| {
            let team = &organization.teams()[team];
            let is_outside = |id: &Uuid| team.members().iter().all(|row| row.user != *id);
            let mut people = organization.people().iter().map(|person| person.id);
            (team.id.to_string(), people.find(is_outside).unwrap().to_string())
        })
    }

    /// Changes another membership through the same connection and takes it back, some times: a decision takes less time.
    async fn change_another(&self, caller: &Caller) {
        let ((team, user), platform) = (self.outsider(2), Platform::new(caller));
        for _ in 0..5 {
            let granting = platform.grant(&team, "member", &user);
            within("a grant of another membership", granting).await.unwrap();
            let revoking = platform.revoke(&team, "member", &user);
            within("its revoke", revoking).await.unwrap();
        }
    }

    /// The lines of the record about this membership, as `record operation`.
    fn recorded(&self, team: &str, user: &str) -> Vec<String> {
        let text = self.files.read("audit");
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let about = lines.filter(|line| line["user_id"] == user && line["team_id"] == team);
        about
            .map(|line| {
                format!(
                    "{} {}",
                    line["record"].as_str().unwrap(),
                    line["operation"].as_str().unwrap()
                )
            })
            .collect()
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_membership_is_changed_by_one_request_at_a_time(#[values(Other::Successor, Other::Twin)] other: Other) {
    let mut world = World::new("allow = \"membership\"\naudit_file = \"audit\"").await;
    let (team, user) = world.outsider(0);
    let first = Platform::new(world.about("northwind"));
    let grant = {
        let (team, user) = (team.clone(), user.clone());
        async move || tokio::spawn(async move { first.grant(&team, "member", &user).await })
    };
    let (gate, granting) = world.held(Endpoint::AddTeamMember, grant).await;
    let other = world.other(other);
    let revoking = {
        let (second, team, user) = (Platform::new(&other), team.clone(), user.clone());
        tokio::spawn(async move { second.revoke(&team, "member", &user).await })
    };
    world.change_another(&other).await;
    assert!(!granting.is_finished() && !revoking.is_finished());
    gate.open();
    within("the grant", granting).await.unwrap().unwrap();
    let revoked = within("the revoke", revoking).await.unwrap().unwrap();
    assert!(
        revoked
            .annotations
            .iter()
            .all(|any| !any.type_url.ends_with("GrantAlreadyRevoked"))
    );
    let held = world.sandbox.with_organization(|organization| {
        let team = organization.team(team.parse().unwrap()).unwrap();
        team.member(user.parse().unwrap()).is_some()
    });
    assert!(!held);
    assert_eq!(
        world.recorded(&team, &user),
        ["intent grant", "outcome grant", "intent revoke", "outcome revoke"]
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_grant_that_shows_late_is_no_change_of_another(#[values(Other::Successor, Other::Twin)] other: Other) {
    let mut world = World::new("allow = \"membership\"").await;
    let (team, user) = world.outsider(0);
    world
        .sandbox
        .change_behaviors(|behaviors| behaviors.write_lag = WriteLag::Reads(3));
    let first = Platform::new(world.about("northwind"));
    first.grant(&team, "member", &user).await.unwrap();
    let second = Platform::new(world.other(other));
    let revoked = second.revoke(&team, "member", &user).await.unwrap();
    assert!(
        revoked
            .annotations
            .iter()
            .all(|any| !any.type_url.ends_with("GrantAlreadyRevoked"))
    );
    assert_eq!(world.count(Endpoint::RemoveTeamMember), 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_invitation_that_is_not_listed_yet_is_not_sent_again(#[values(Other::Successor, Other::Twin)] other: Other) {
    let mut world = World::new("allow = \"invitations\"\ninclude = \"invitation\"").await;
    world
        .sandbox
        .change_behaviors(|behaviors| behaviors.write_lag = WriteLag::Reads(3));
    let invited = |account: Account| match account {
        Account::ActionRequired { id, .. } => id,
        Account::AlreadyExists(user) => panic!("{user} is no member"),
    };
    let first = create(world.about("northwind"), request(ADA, &[])).await.unwrap();
    let other = world.other(other);
    let second = create(other, request(ADA, &[])).await.unwrap();
    assert_eq!(invited(first), invited(second));
    assert_eq!(world.count(Endpoint::CreateInvitations), 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_build_that_is_not_listed_yet_is_not_started_again(#[values(Other::Successor, Other::Twin)] other: Other) {
    let keys = "allow = \"builds\"\ninclude = \"pipeline\"\nbuild_pipeline = \"deploy\"";
    let mut world = World::new(keys).await;
    let pipeline = world
        .sandbox
        .edit(|organization| organization.add_pipeline(Pipeline::new("deploy", "Deploy")));
    world
        .sandbox
        .change_behaviors(|behaviors| behaviors.write_lag = WriteLag::Reads(1_000));
    let pipeline = json!({ "resource_type": "pipeline", "resource": pipeline.to_string() });
    let build = json!({ "pipeline": pipeline, "branch": "main", "request_key": "k" });
    let first = invoke(world.about("northwind"), "trigger_build", build.clone(), 60).await;
    let other = world.other(other);
    let second = invoke(other, "trigger_build", build, 60).await;
    assert_eq!(first.unwrap().complete(), second.unwrap().complete());
    assert_eq!(world.count(Endpoint::CreateBuild), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_action_is_found_after_its_connection_was_changed() {
    let mut world = World::new("allow = \"teams\"").await;
    let team = json!({ "resource_type_id": "team", "resource_id": teams(&world.sandbox)[0] });
    let own = world.about("northwind");
    let update = async || {
        let arguments = json!({"team": team, "description": "Later"});
        invoke(&own, "update_team", arguments, 0).await.unwrap()
    };
    let (gate, begun) = world.held(Endpoint::UpdateTeam, update).await;
    world.edit();
    let found = status(&own, &begun.id).await.unwrap();
    assert_eq!(found.status, BatonActionStatus::Running);
    gate.open();
    until_async("the end of the action", async || {
        status(&own, &begun.id).await.unwrap().status == BatonActionStatus::Complete
    })
    .await;
    // The predecessor has finished by now, and its result stays.
    world.edit();
    status(&own, &begun.id).await.unwrap().complete();
    let unknown = status(world.about("twin"), &begun.id).await.unwrap_err();
    assert_eq!(reason(&unknown), (Code::NotFound, "ACTION_NOT_FOUND".to_owned()));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn removals_are_counted_together(#[values(Other::Successor, Other::Twin)] other: Other) {
    let keys = "allow = \"off-boarding\"\noff_boarding_limit = 2\naudit_file = \"audit\"";
    let mut world = World::new(keys).await;
    let owner = world.sandbox.owner();
    let people = world.sandbox.with_organization(|organization| {
        let people = organization.people().iter().map(|person| person.id);
        people.filter(|id| *id != owner).collect::<Vec<_>>()
    });
    let first = world.about("northwind");
    delete(&first, "user", people[0]).await.unwrap();
    let other = world.other(other);
    // The removal that the record shows is not counted twice.
    delete(&other, "user", people[1]).await.unwrap();
    for caller in [&first, &other] {
        let refused = delete(caller, "user", people[2]).await.unwrap_err();
        assert_eq!(reason(&refused), (Code::FailedPrecondition, "LIMIT_REACHED".to_owned()));
    }
    assert_eq!(world.count(Endpoint::RemoveOrganizationMember), 2);
}

/// A token's owner who is no admin manages a pipeline by two teams.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_last_access_of_the_tokens_owner_is_not_taken_twice(#[values(Other::Successor, Other::Twin)] other: Other) {
    let sandbox = organization("northwind-rail", 1).await;
    let (owner, pipeline, teams) = sandbox.edit(|organization| {
        let owner = organization.people()[2].id;
        organization.set_role(owner, OrganizationRole::Member);
        let pipeline = organization.add_pipeline(Pipeline::new("deploy", "Deploy"));
        let teams = [0, 1].map(|index| organization.teams()[index].id);
        for team in teams {
            organization.set_membership(team, owner, TeamRole::Member);
            let team = organization.team_mut(team).unwrap();
            team.set_pipeline(pipeline, PipelineLevel::ManageBuildAndRead, Timestamp::now());
        }
        let managed = organization.teams()[2].id;
        organization.set_membership(managed, owner, TeamRole::Maintainer);
        (owner, pipeline.to_string(), teams.map(|team| team.to_string()))
    });
    let keys = "allow = [\"access\", \"membership\"]\ninclude = \"pipeline\"\npartial_visibility = \"allow\"";
    let mut world = World::on(sandbox, Some(owner), keys).await;
    let entitlement = Entitlement {
        id: format!("pipeline:{pipeline}:manage_build_and_read"),
        resource: Some(resource("pipeline", &pipeline)),
        slug: "manage_build_and_read".to_owned(),
        ..Entitlement::default()
    };
    let revoke = |caller: Caller, team: &str| {
        let (entitlement, team) = (entitlement.clone(), team.to_owned());
        tokio::spawn(async move {
            let platform = Platform::new(caller);
            platform.revoke_exactly(entitlement, "team", &team).await
        })
    };
    let first = async || revoke(world.about("northwind"), &teams[0]);
    let (gate, first) = world.held(Endpoint::RemoveTeamPipeline, first).await;
    let other = world.other(other);
    let second = revoke(other.clone(), &teams[1]);
    world.change_another(&other).await;
    assert!(!first.is_finished() && !second.is_finished());
    gate.open();
    within("the first revoke", first).await.unwrap().unwrap();
    let refused = within("the second revoke", second).await.unwrap().unwrap_err();
    assert_eq!(
        guard_reason(&refused),
        (Code::FailedPrecondition, "PROTECTED".to_owned())
    );
    assert_eq!(world.count(Endpoint::RemoveTeamPipeline), 1);
}
