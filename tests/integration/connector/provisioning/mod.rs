//! Grants and revokes over a real channel: an approved change is made, and no other state is claimed.

mod ambiguity;
mod audit;
mod cancellation;
mod crash;
mod decision_table;
mod guards;
mod model;
mod principals;
mod races;
mod stalls;
mod state_machine;

use std::time::Duration;

use buildkite_connector::governance::provisioning::WriteTimeouts;
use buildkite_connector::governance::{self, AllowedChanges, GovernanceSettings};
use buildkite_connector::sandbox::{Endpoint, LimitOptions, Options, Organization, Sandbox, TeamRole};
use prost::Name;
use secrecy::SecretString;
use tonic::{Code, Status};
use tonic_types::pb;
use uuid::Uuid;

use crate::support::{Platform, Setup, TestServer, sandbox, sized};
use buildkite_connector::proto::c1::connector::v2::{GrantAlreadyExists, GrantAlreadyRevoked, GrantReplaced};
use model::{Answer, Change, Pair, Role};

/// An organization with empty teams, a connector on it and a platform that talks to it.
pub struct World {
    pub sandbox: Sandbox,
    _connector: TestServer,
    pub platform: Platform,
    pub teams: Vec<Uuid>,
    /// Without the owner of the token.
    pub people: Vec<Uuid>,
}

/// A fiftieth of the design's times. Concurrent edits come at once here and seconds apart in production, so that the
/// connector's own write explains even less.
pub fn write_timeouts() -> WriteTimeouts {
    WriteTimeouts {
        read_back_delays: [2, 6, 12, 20, 60, 100].map(Duration::from_millis).to_vec(),
        recheck_delays: 4,
        own_write_window: Duration::from_millis(20),
        completion: Duration::from_secs(20),
        ..WriteTimeouts::default()
    }
}

pub fn setup() -> Setup {
    Setup {
        access: GovernanceSettings {
            allowed: AllowedChanges::from_iter([governance::Change::Membership]),
            write_timeouts: write_timeouts(),
            ..GovernanceSettings::default()
        },
        ..Setup::default()
    }
}

/// For a Buildkite that shows writes late and has no concurrent edits.
pub fn lagging() -> Setup {
    let mut setup = setup();
    setup.access.write_timeouts.own_write_window = Duration::from_secs(10);
    setup
}

/// A sandbox whose rate limits begin anew every second.
pub async fn limited() -> Sandbox {
    let limits = LimitOptions {
        window: Duration::from_secs(1),
        organization_offset: Some(Duration::ZERO),
        user_offset: Some(Duration::ZERO),
        ..LimitOptions::default()
    };
    let options = Options {
        seed: sized(2, 0, 5),
        limits,
        ..Options::default()
    };
    Sandbox::start(options).await.unwrap()
}

impl World {
    pub async fn new() -> Self {
        Self::with(setup()).await
    }

    pub async fn with(setup: Setup) -> Self {
        let sandbox = sandbox(sized(4, 0, 12)).await;
        let token = sandbox.token().clone();
        Self::on(sandbox, &token, setup).await
    }

    pub async fn on(sandbox: Sandbox, token: &SecretString, setup: Setup) -> Self {
        let connector = TestServer::with(&sandbox, token, setup).await;
        Self::of(sandbox, connector).await
    }

    pub async fn of(sandbox: Sandbox, connector: TestServer) -> Self {
        let platform = connector.platform().await;
        let (teams, people) = sandbox.with_organization(|organization: &Organization| {
            let teams = organization.teams().iter().map(|team| team.id).collect();
            let people = organization.people().iter().map(|person| person.id).skip(1).collect();
            (teams, people)
        });
        Self {
            sandbox,
            _connector: connector,
            platform,
            teams,
            people,
        }
    }

    pub fn pair(&self) -> Pair {
        Pair {
            team: self.teams[0],
            user: self.people[0],
        }
    }

    /// What Buildkite has.
    pub fn held(&self, pair: Pair) -> Option<Role> {
        self.sandbox
            .with_organization(|organization| organization.team(pair.team).and_then(|team| team.role_of(pair.user)))
            .map(|role| match role {
                TeamRole::Member => Role::Member,
                TeamRole::Maintainer => Role::Maintainer,
            })
    }

    /// Changes what Buildkite has behind the connector's back.
    pub fn hold(&self, pair: Pair, held: Option<Role>) {
        self.sandbox.edit(|organization| set(organization, pair, held));
    }

    pub async fn perform(&self, pair: Pair, change: Change) -> Result<Answer, Status> {
        perform(&self.platform, pair, &pair.user.to_string(), change).await
    }

    /// REST requests so far.
    pub fn total(&self) -> u64 {
        self.sandbox.request_log().total()
    }

    /// Writes that changed something.
    pub fn applied(&self) -> usize {
        self.sandbox.requests().iter().filter(|request| request.applied).count()
    }
}

pub fn set(organization: &mut Organization, pair: Pair, held: Option<Role>) {
    match held {
        None => organization.remove_membership(pair.team, pair.user),
        Some(Role::Member) => organization.set_membership(pair.team, pair.user, TeamRole::Member),
        Some(Role::Maintainer) => organization.set_membership(pair.team, pair.user, TeamRole::Maintainer),
    };
}

/// Asks for a change and reads the answer's annotations; the ids that come back are checked on the way.
pub async fn perform(platform: &Platform, pair: Pair, principal: &str, change: Change) -> Result<Answer, Status> {
    let team = pair.team.to_string();
    let (annotations, role) = match change {
        Change::Grant(role) => {
            let granted = platform.grant(&team, role.name(), principal).await?;
            let ids: Vec<&str> = granted.grants.iter().map(|grant| grant.id.as_str()).collect();
            assert_eq!(ids, [pair.grant_id(role)]);
            (granted.annotations, role)
        }
        Change::Revoke(role) => (platform.revoke(&team, role.name(), principal).await?.annotations, role),
    };
    assert!(annotations.len() <= 1, "{annotations:?}");
    let Some(annotation) = annotations.first() else {
        return Ok(Answer::Done);
    };
    Ok(if annotation.type_url == GrantAlreadyExists::type_url() {
        Answer::AlreadyExists
    } else if annotation.type_url == GrantAlreadyRevoked::type_url() {
        Answer::AlreadyRevoked
    } else {
        let replaced: GrantReplaced = annotation.to_msg().unwrap();
        assert_eq!(replaced.replaced_grant_id, pair.grant_id(role.other()));
        Answer::Replaced
    })
}

/// A status' code and the reason that the connector gives.
pub fn reason(status: &Status) -> (Code, String) {
    let infos = error_infos(status);
    assert_eq!(infos.first().unwrap().domain, "buildkite-connector");
    (status.code(), infos.first().unwrap().reason.clone())
}

pub fn error_infos(status: &Status) -> Vec<pb::ErrorInfo> {
    use prost::Message;
    let details = pb::Status::decode(status.details()).unwrap().details;
    let infos = details
        .iter()
        .filter(|any| any.type_url.ends_with("google.rpc.ErrorInfo"));
    infos
        .map(|any| pb::ErrorInfo::decode(any.value.as_slice()).unwrap())
        .collect()
}

/// The endpoints that change something.
pub const WRITES: [Endpoint; 3] = [
    Endpoint::AddTeamMember,
    Endpoint::ChangeTeamMember,
    Endpoint::RemoveTeamMember,
];
