//! Each endpoint of the REST client, against real HTTP.

use buildkite_connector::governance::{CallContext, Lane};
use buildkite_connector::providers::buildkite::pagination::Cursor;
use buildkite_connector::providers::buildkite::{ApiErrorKind, Client, ClientOptions, Endpoint, Role, TeamId, UserId};
use buildkite_connector::sandbox::{Sandbox, Seed};
use secrecy::ExposeSecret;
use uuid::Uuid;

use crate::support::sandbox;

struct RestHarness {
    sandbox: Sandbox,
    client: Client,
    call: CallContext,
    /// A user in a team, and a user outside it.
    team: TeamId,
    member: UserId,
    outsider: UserId,
}

async fn harness() -> RestHarness {
    let sandbox = sandbox(Seed::Example).await;
    let token = sandbox.token().expose_secret().parse().unwrap();
    let (url, slug) = (sandbox.url().parse().unwrap(), sandbox.slug().parse().unwrap());
    let client = Client::new(url, slug, token, ClientOptions::default()).unwrap();
    let (team, member, outsider) = sandbox.with_organization(|organization| {
        let team = organization.team_by_slug("platform").unwrap();
        let free = organization
            .people()
            .iter()
            .find(|person| team.role_of(person.id).is_none())
            .unwrap();
        (team.id, team.members()[0].user, free.id)
    });
    RestHarness {
        sandbox,
        client,
        call: CallContext::new(Lane::Interactive),
        team: team.into(),
        member: member.into(),
        outsider: outsider.into(),
    }
}

#[tokio::test]
async fn the_token_its_owner_and_the_organization_are_read() {
    let RestHarness {
        sandbox, client, call, ..
    } = harness().await;
    let token = client.access_token(&call).await.unwrap();
    assert!(token.scopes.iter().any(|scope| scope == "read_teams"));
    assert_eq!(client.user(&call).await.unwrap().id.uuid(), sandbox.owner());
    assert_eq!(client.organization(&call).await.unwrap().slug, sandbox.slug());
    assert_eq!(client.organizations(&call).await.unwrap().len(), 1);
}

#[tokio::test]
async fn people_teams_and_members_are_listed_and_read_one_by_one() {
    let RestHarness {
        sandbox,
        client,
        call,
        team,
        member,
        ..
    } = harness().await;
    let people = client.organization_members(Cursor::Start, 1_000, &call).await.unwrap();
    let teams = client.teams(Cursor::Start, 1_000, &call).await.unwrap();
    let members = client.team_members(team, Cursor::Start, 1_000, &call).await.unwrap();
    let (in_organization, in_team) = sandbox.with_organization(|organization| {
        let team = organization.team(team.uuid()).unwrap();
        (organization.people().len(), team.members().len())
    });
    assert_eq!((people.rows.len(), members.rows.len()), (in_organization, in_team));
    assert!(people.next.is_none() && teams.next.is_none() && members.next.is_none());
    assert_eq!(client.organization_member(member, &call).await.unwrap().id, member);
    assert_eq!(
        client.team(team, &call).await.unwrap().slug.as_deref(),
        Some("platform")
    );
    assert_eq!(client.team_member(team, member, &call).await.unwrap().user_id, member);
}

#[tokio::test]
async fn a_member_is_added_changed_and_removed() {
    let RestHarness {
        sandbox,
        client,
        call,
        team,
        outsider,
        ..
    } = harness().await;
    let held = || {
        sandbox.with_organization(|organization| {
            organization
                .team(team.uuid())
                .unwrap()
                .role_of(outsider.uuid())
                .is_some()
        })
    };
    let added = client
        .add_team_member(team, outsider, Role::Member, &call)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((added.user_id, added.role.known()), (outsider, Some(Role::Member)));
    let changed = client
        .change_team_member(team, outsider, Role::Maintainer, &call)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(changed.role.known(), Some(Role::Maintainer));
    assert!(held());
    client.remove_team_member(team, outsider, &call).await.unwrap();
    assert!(!held());
}

#[tokio::test]
async fn an_error_keeps_the_call_its_class_and_buildkites_words() {
    let RestHarness {
        sandbox: _sandbox,
        client,
        call,
        ..
    } = harness().await;
    let nobody: TeamId = Uuid::from_u128(1).into();
    let error = client.team(nobody, &call).await.unwrap_err();
    assert_eq!((error.endpoint, &error.kind), (Endpoint::Team, &ApiErrorKind::NotFound));
    assert!(error.message.is_some_and(|message| !message.is_empty()));
    let statuses: Vec<_> = call
        .stats()
        .attempts
        .iter()
        .map(|attempt| attempt.status.unwrap())
        .collect();
    assert_eq!(statuses, [404], "a 404 is asked once");
}

#[tokio::test]
async fn requests_carry_a_user_agent_and_an_accept_header() {
    let recorder = crate::support::recorder::Recorder::start().await;
    let token = "bkua_0123456789abcdef0123456789abcdef01234567".parse().unwrap();
    let client = Client::new(
        recorder.url("").parse().unwrap(),
        "acme".parse().unwrap(),
        token,
        ClientOptions::default(),
    );
    let _ = client.unwrap().organization(&CallContext::new(Lane::Interactive)).await;
    let asked = recorder.requests().join("\n").to_ascii_lowercase();
    assert!(asked.contains("get /v2/organizations/acme "), "{asked}");
    assert!(
        asked.contains(concat!("user-agent: buildkite-connector/", env!("CARGO_PKG_VERSION"))),
        "{asked}"
    );
    assert!(asked.contains("accept-encoding:") && asked.contains("gzip"), "{asked}");
}
