//! Teams: each offers its two roles as levels.

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use super::pages::organization_page;
use super::rows::{converted, min_rows, position};
use super::users::user_id;
use super::write_reply::{EchoedRow, write_reply};
use crate::governance::model::{
    Holding, Level, LifecycleOffer, LifecycleOperation, Membership, ProfileValue, Resource, ResourceId, ResourceKind,
    ResourceTypeInfo,
};
use crate::governance::provider::{
    Amount, Assignable, Batch, Creatable, Cursor, Deletable, EmptyReading, Failure, FailureClass, Labels, ListStage,
    OwnerRole, ResourceType, WriteReply,
};
use crate::governance::provisioning::{GuardLock, MaintainerRevoke, Write};
use crate::governance::{CallContext, Change, GovernanceError};
use crate::providers::buildkite::{
    ApiError, ApiErrorKind, Buildkite, Endpoint, ListedRole, Role, Team, TeamId, TeamMember, UserId, timestamp,
};

/// Teams, with the levels `member` and `maintainer`.
pub static TEAM: ResourceTypeInfo = ResourceTypeInfo {
    id: "team",
    display_name: "Team",
    description: "A Buildkite team: its members share access to pipelines, test suites and registries",
    kind: ResourceKind::Group,
    levels: &LEVELS,
    principal_kinds: &[ResourceKind::User],
    principal_rule: "only a `user` can hold a team role",
    list_name: "teams",
    grants_endpoint: "team members",
    read_scopes: &["read_teams"],
    write_scopes: &["write_teams"],
    change: Some(Change::Membership),
    lifecycle: &[
        LifecycleOffer {
            operation: LifecycleOperation::Create,
            change: Change::Teams,
            scopes: &["write_teams"],
        },
        LifecycleOffer {
            operation: LifecycleOperation::Delete,
            change: Change::Teams,
            scopes: &["write_teams"],
        },
    ],
    absence: "no longer exists",
    not_found_reason: "TEAM_NOT_FOUND",
    unreachable_reason: "TEAM_UNREACHABLE",
    unavailable_reason: "TEAMS_UNAVAILABLE",
    unavailable_remedy: "enable teams for it",
};

static LEVELS: [Level; 2] = [
    Level {
        slug: "member",
        display_name: "Member",
        order: 1,
        describe: |team| format!("Has the access that the Buildkite team {team} carries"),
    },
    Level {
        slug: "maintainer",
        display_name: "Maintainer",
        order: 2,
        describe: |team| format!("Has the access that the Buildkite team {team} carries, and manages who is in it"),
    },
];

/// Permits the access of a team.
pub static MEMBER: &Level = &LEVELS[0];

/// Permits the access of a team, and changing its members.
pub static MAINTAINER: &Level = &LEVELS[1];

fn level(role: Role) -> &'static Level {
    match role {
        Role::Member => MEMBER,
        Role::Maintainer => MAINTAINER,
    }
}

fn role(level: &Level) -> Role {
    if level == MAINTAINER {
        Role::Maintainer
    } else {
        Role::Member
    }
}

pub(super) fn team_id(team: TeamId) -> ResourceId {
    ResourceId {
        resource_type: &TEAM,
        id: team.uuid(),
    }
}

fn ids(membership: Membership) -> (TeamId, UserId) {
    (membership.resource.id.into(), membership.principal.id.into())
}

/// The teams of one organization.
#[derive(Debug)]
pub(in crate::providers::buildkite) struct Teams {
    buildkite: Arc<Buildkite>,
}

impl Teams {
    pub(in crate::providers::buildkite) fn new(buildkite: Arc<Buildkite>) -> Self {
        Self { buildkite }
    }

    pub(in crate::providers::buildkite) fn buildkite(&self) -> &Buildkite {
        &self.buildkite
    }
}

#[async_trait]
impl ResourceType for Teams {
    fn info(&self) -> &'static ResourceTypeInfo {
        &TEAM
    }

    async fn list(
        &self,
        from: Option<Cursor>,
        amount: Amount,
        call: &CallContext,
    ) -> Result<Box<dyn Batch<Resource>>, Failure> {
        let batch = self
            .buildkite
            .client
            .teams(position(from)?, min_rows(amount), call)
            .await?;
        let buildkite = Arc::clone(&self.buildkite);
        Ok(converted(batch, move |team| {
            resource(team, buildkite.organization_slug())
        }))
    }

    async fn get(&self, id: Uuid, call: &CallContext) -> Result<Resource, Failure> {
        let team = self.buildkite.client.team(id.into(), call).await?;
        Ok(resource(team, self.buildkite.organization_slug()))
    }

    async fn grants(
        &self,
        id: Uuid,
        from: Option<Cursor>,
        amount: Amount,
        call: &CallContext,
    ) -> Result<Box<dyn Batch<Holding>>, Failure> {
        let (from, min_rows) = (position(from)?, min_rows(amount));
        let batch = self
            .buildkite
            .client
            .team_members(id.into(), from, min_rows, call)
            .await?;
        Ok(converted(batch, holding))
    }

    async fn explain(&self, failure: Failure, resource: Option<Uuid>, call: &CallContext) -> GovernanceError {
        match (failure.class, resource) {
            (FailureClass::NotFound, Some(id)) => match self.is_gone(id, call).await {
                Ok(true) => GovernanceError::ResourceNotFound {
                    resource: team_id(id.into()),
                },
                Ok(false) => GovernanceError::ResourceUnreachable {
                    resource: team_id(id.into()),
                },
                Err(error) => error,
            },
            (FailureClass::NotFound, None) => self.buildkite.explain_missing_list(Endpoint::Teams, call).await,
            _ => self.buildkite.explain(failure, call).await,
        }
    }

    /// Only an organization admin's list proves that a team is absent, because it shows secret teams.
    async fn explain_unlisted(&self, name: &str, call: &CallContext) -> GovernanceError {
        let status = match self.buildkite.credential_status(std::time::Duration::ZERO, call).await {
            Ok(status) => status,
            Err(error) => return error,
        };
        let problem = match status.owner_role {
            OwnerRole::Admin | OwnerRole::Unknown => {
                format!("no team has the slug `{name}`: `list teams` shows the existing ones")
            }
            OwnerRole::Member => format!(
                "the token's owner {} is shown no team with the slug `{name}`: check the slug, or use an organization admin's token, as secret teams are hidden from others",
                status.owner_label()
            ),
        };
        GovernanceError::Invalid { field: "team", problem }
    }

    async fn check_visibility(&self, stage: ListStage, call: &CallContext) -> Result<(), GovernanceError> {
        self.buildkite.check_visibility(&TEAM, stage, call).await
    }

    async fn check_empty(&self, reading: EmptyReading, call: &CallContext) -> Result<(), GovernanceError> {
        self.buildkite.check_empty(self, Endpoint::Teams, reading, call).await
    }

    fn assignable(&self) -> Option<&dyn Assignable> {
        Some(self)
    }

    fn creatable(&self) -> Option<&dyn Creatable> {
        Some(self)
    }

    fn deletable(&self) -> Option<&dyn Deletable> {
        Some(self)
    }
}

#[async_trait]
impl Assignable for Teams {
    async fn read_level(&self, membership: Membership, call: &CallContext) -> Result<Option<&'static Level>, Failure> {
        let (team, user) = ids(membership);
        let unexpected = |what| {
            Err(Failure::from(GovernanceError::Unexpected {
                endpoint: Endpoint::Member.name(),
                what,
            }))
        };
        match self.buildkite.client.team_member(team, user, call).await {
            Ok(member) if member.user_id != user => unexpected("the response is the record of another user".to_owned()),
            Ok(TeamMember {
                role: ListedRole::Known(role),
                ..
            }) => Ok(Some(level(role))),
            Ok(TeamMember {
                role: ListedRole::Unknown(role),
                ..
            }) => unexpected(format!(
                "the user holds the role `{role}`, which the connector does not know and does not change"
            )),
            Err(ApiError {
                kind: ApiErrorKind::NotFound,
                ..
            }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn write(&self, membership: Membership, write: Write, call: &CallContext) -> Result<WriteReply, Failure> {
        let (team, user) = ids(membership);
        let client = &self.buildkite.client;
        let echo = match write {
            Write::Add(level) => client.add_team_member(team, user, role(level), call).await,
            Write::Change { to, .. } => client.change_team_member(team, user, role(to), call).await,
            Write::Remove(_) => client.remove_team_member(team, user, call).await.map(|()| None),
        }?;
        let shown = echo.as_ref().filter(|row| row.user_id == user).map(|row| EchoedRow {
            level: row.role.known().map(level),
            created_at: row.created_at.as_deref(),
        });
        Ok(write_reply(write, shown))
    }

    fn endpoint(&self, write: Write) -> &'static str {
        match write {
            Write::Add(_) => Endpoint::AddMember.name(),
            Write::Change { .. } => Endpoint::ChangeRole.name(),
            Write::Remove(_) => Endpoint::RemoveMember.name(),
        }
    }

    fn replacement(&self, revoked: &'static Level, maintainer_revoke: MaintainerRevoke) -> Option<&'static Level> {
        match maintainer_revoke {
            MaintainerRevoke::Demote => TEAM.level_below(revoked),
            MaintainerRevoke::Remove => None,
        }
    }

    /// Rejects removing the maintainer role by which the token's owner can change the team: the connector could not restore it.
    async fn guard(
        &self,
        membership: Membership,
        write: Write,
        labels: &Labels,
        _: &mut GuardLock,
        call: &CallContext,
    ) -> Result<(), GovernanceError> {
        let takes_maintainer = match write {
            Write::Remove(level) | Write::Change { from: level, .. } => level == MAINTAINER,
            Write::Add(_) => false,
        };
        if !takes_maintainer {
            return Ok(());
        }
        let user = membership.principal.id.into();
        self.buildkite
            .guard_against_self_lockout(user, &labels.resource, call)
            .await
    }
}

fn holding(member: TeamMember) -> Holding {
    Holding {
        principal: user_id(member.user_id),
        name: member.user_name,
        level: member.role.known().map(level),
    }
}

pub(in crate::providers::buildkite) fn resource(team: Team, organization: &str) -> Resource {
    let Team {
        id,
        name,
        slug,
        description,
        privacy,
        is_default,
        default_member_role: _,
        created_at,
    } = team;
    let texts = [
        ("slug", slug.clone()),
        ("privacy", privacy),
        ("description", description.clone()),
    ];
    let texts = texts
        .into_iter()
        .filter_map(|(field, value)| Some((field, ProfileValue::Text(value?))));
    let is_default = is_default.map(|is_default| ("default", ProfileValue::Bool(is_default)));
    Resource {
        page: slug
            .as_deref()
            .and_then(|slug| organization_page(organization, &["teams", slug])),
        profile: texts.chain(is_default).collect(),
        handle: slug,
        description,
        created_at: created_at.as_deref().and_then(timestamp),
        ..Resource::named(team_id(id), name)
    }
}
