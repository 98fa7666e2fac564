//! What a response of Buildkite's proves about a membership, with a sandbox that responds as no Buildkite should.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use uuid::Uuid;

use super::resources::{MEMBER, TEAM, USER};
use super::{Client, ClientOptions, Coverage, govern};
use crate::governance::model::{EntitlementId, Principal, ResourceId};
use crate::governance::provisioning::{Outcome, ProvisioningResult, RequestContext};
use crate::governance::{AllowedChanges, Change, Governance, GovernanceError, GovernanceSettings};
use crate::sandbox::{ALL_SCOPES, LimitOptions, Options, TokenSpec};
pub(crate) use crate::sandbox::{BodyStyle, Endpoint, Fault, FaultKind, OrganizationRole, Sandbox, TeamRole};

/// The example organization, without rate limits.
pub(crate) async fn sandbox() -> Sandbox {
    let options = Options {
        limits: LimitOptions::unlimited(),
        ..Options::default()
    };
    Sandbox::start(options).await.unwrap()
}

/// A client with the sandbox's own token.
pub(crate) fn client(sandbox: &Sandbox) -> Arc<Client> {
    client_with(sandbox, sandbox.token())
}

/// A client with a token that has every scope.
pub(crate) fn client_with_every_scope(sandbox: &Sandbox) -> Arc<Client> {
    let token = TokenSpec::owned_by(sandbox.owner()).with_scopes(&ALL_SCOPES);
    client_with(sandbox, &sandbox.mint(token))
}

fn client_with(sandbox: &Sandbox, token: &SecretString) -> Arc<Client> {
    let client = Client::new(
        sandbox.url().parse().unwrap(),
        sandbox.slug().parse().unwrap(),
        token.expose_secret().parse().unwrap(),
        ClientOptions::default(),
    );
    Arc::new(client.unwrap())
}

/// A connector and a team of its sandbox, with a member of the team and a user who is not in it.
struct Bench {
    sandbox: Sandbox,
    governance: Governance,
    team: Uuid,
    member: Uuid,
    outsider: Uuid,
}

impl Bench {
    async fn start() -> Self {
        let sandbox = sandbox().await;
        let settings = GovernanceSettings {
            ..GovernanceSettings::default()
        };
        let allowed = AllowedChanges::from_iter([Change::Membership]);
        let coverage = Coverage::new([], allowed, []).unwrap();
        let governance = govern(client(&sandbox), coverage, settings);
        let (team, member, outsider) = sandbox.with_organization(|organization| {
            let team = organization.team_by_slug("platform").unwrap();
            let mut members = team.members().iter();
            let member = members.find(|row| row.role == TeamRole::Member).unwrap();
            let mut people = organization.people().iter();
            let outsider = people.find(|person| team.member(person.id).is_none()).unwrap();
            (team.id, member.user, outsider.id)
        });
        Self {
            sandbox,
            governance,
            team,
            member,
            outsider,
        }
    }

    /// The first response of this endpoint has this body.
    fn respond_once(&self, endpoint: Endpoint, body: Value) {
        let fault = Fault::new(endpoint, FaultKind::WrongShape(body));
        self.sandbox.faults().add(fault.once());
    }

    fn request(&self, user: Uuid) -> (EntitlementId, Principal, RequestContext) {
        let resource = ResourceId {
            resource_type: &TEAM,
            id: self.team,
        };
        let entitlement = EntitlementId {
            resource,
            level: MEMBER,
        };
        let principal = ResourceId {
            resource_type: &USER,
            id: user,
        };
        let context = RequestContext {
            caller: "platform".into(),
            request_id: "1".to_owned(),
            deadline: None,
            answer_by: None,
        };
        (entitlement, Principal::Resource(principal), context)
    }

    async fn grant(&self, user: Uuid) -> Result<ProvisioningResult, GovernanceError> {
        let (entitlement, principal, context) = self.request(user);
        let provisioning = self.governance.provisioning();
        provisioning.grant(entitlement, principal, context).await
    }

    async fn revoke(&self, user: Uuid) -> Result<ProvisioningResult, GovernanceError> {
        let (entitlement, principal, context) = self.request(user);
        let provisioning = self.governance.provisioning();
        provisioning.revoke(entitlement, principal, context).await
    }

    fn count(&self, endpoint: Endpoint) -> u64 {
        self.sandbox.request_log().count(endpoint)
    }

    fn writes(&self) -> u64 {
        let writes = [
            Endpoint::AddTeamMember,
            Endpoint::ChangeTeamMember,
            Endpoint::RemoveTeamMember,
        ];
        writes.into_iter().map(|endpoint| self.count(endpoint)).sum()
    }
}

#[tokio::test]
async fn the_echo_of_another_person_confirms_nothing() {
    let bench = Bench::start().await;
    let echo = json!({ "user_id": Uuid::from_u128(9), "role": "member" });
    bench.respond_once(Endpoint::AddTeamMember, echo);
    let granted = bench.grant(bench.outsider).await;
    assert_eq!(granted.unwrap().outcome, Outcome::Granted);
    assert_eq!(
        bench.count(Endpoint::TeamMember),
        2,
        "read before the write, and again after its echo"
    );
}

#[tokio::test]
async fn the_record_of_another_person_decides_nothing() {
    let bench = Bench::start().await;
    let record = json!({ "user_id": Uuid::from_u128(9), "role": "member" });
    bench.respond_once(Endpoint::TeamMember, record);
    let granted = bench.grant(bench.member).await;
    assert_eq!(granted.unwrap_err().reason(), "UNEXPECTED_RESPONSE");
    assert_eq!(bench.writes(), 0);
}

#[tokio::test]
async fn a_role_that_is_unknown_here_is_left_alone() {
    let bench = Bench::start().await;
    let record = json!({ "user_id": bench.member, "role": "owner" });
    bench.respond_once(Endpoint::TeamMember, record);
    let revoked = bench.revoke(bench.member).await;
    assert_eq!(revoked.unwrap_err().reason(), "UNEXPECTED_RESPONSE");
    assert_eq!(bench.writes(), 0);
}

#[tokio::test]
async fn a_row_from_long_ago_in_the_echo_of_a_post_was_there_already() {
    let bench = Bench::start().await;
    let echo = json!({ "user_id": bench.outsider, "role": "member", "created_at": "2023-03-14T00:45:16.215Z" });
    bench.respond_once(Endpoint::AddTeamMember, echo);
    let granted = bench.grant(bench.outsider).await;
    assert_eq!(granted.unwrap().outcome, Outcome::AlreadyExists);
    assert_eq!((bench.count(Endpoint::TeamMember), bench.writes()), (1, 1));
}
