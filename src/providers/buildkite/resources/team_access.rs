//! Levels of objects that teams hold: pipelines and test suites. Access to them is carried by teams, so the principal of a level is
//! a team, and its path in REST is that of the team.

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use super::objects::{ObjectRow, Objects};
use super::write_reply::{EchoedRow, write_reply};
use crate::governance::model::{Level, Membership};
use crate::governance::provider::{Assignable, Failure, Labels, WriteReply};
use crate::governance::provisioning::{GuardLock, MaintainerRevoke, Write};
use crate::governance::{CallContext, GovernanceError};
use crate::providers::buildkite::api::access::AccessRequest;
use crate::providers::buildkite::lockout::DependentOwner;
use crate::providers::buildkite::{ApiError, ApiErrorKind, Endpoint, TeamId};

/// What a row says that a team holds of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TeamAccess {
    /// The object.
    pub(super) object: Uuid,
    /// The level; `None` if it is not one of the type.
    pub(super) level: Option<&'static Level>,
    /// The level as Buildkite wrote it.
    pub(super) named: String,
    /// When the team was given the object, as Buildkite wrote it.
    pub(super) created_at: Option<String>,
}

/// A type of objects that teams hold levels of.
#[async_trait]
pub(in crate::providers::buildkite) trait TeamObject: ObjectRow {
    /// A row of a response.
    type Access: DeserializeOwned + Send;

    /// The request that reads what a team holds of an object.
    const READ_ACCESS: Endpoint;

    /// The level with which a team's members can change who else has access.
    fn managing_level() -> &'static Level;

    /// The request that reads what a team holds of an object.
    fn read_request(team: TeamId, object: Uuid) -> AccessRequest;

    /// The request of a write.
    fn write_request(team: TeamId, object: Uuid, write: Write) -> AccessRequest;

    /// The name of the field that names the object in the body of a request.
    const ID_FIELD: &'static str;

    /// The level as Buildkite writes it.
    fn access_level(level: &'static Level) -> Value;

    /// What a row shows.
    fn shown(row: Self::Access) -> TeamAccess;

    /// Sends a write, once. Returns the row that the response shows, if any.
    async fn send(
        objects: &Objects<Self>,
        team: TeamId,
        object: Uuid,
        write: Write,
        call: &CallContext,
    ) -> Result<Option<Self::Access>, ApiError> {
        send_request(objects, Self::write_request(team, object, write), object, write, call).await
    }
}

/// Sends the request of a write, once. The response to a removal shows no row.
pub(super) async fn send_request<R: TeamObject>(
    objects: &Objects<R>,
    request: AccessRequest,
    object: Uuid,
    write: Write,
    call: &CallContext,
) -> Result<Option<R::Access>, ApiError> {
    let client = &objects.buildkite().client;
    let body = match write {
        Write::Add(level) => json!({ R::ID_FIELD: object, "access_level": R::access_level(level) }),
        Write::Change { to, .. } => json!({ "access_level": R::access_level(to) }),
        Write::Remove(_) => return client.delete_access(request, call).await.map(|()| None),
    };
    client.write_access(request, Some(body), call).await
}

#[async_trait]
impl<R: TeamObject> Assignable for Objects<R> {
    async fn read_level(&self, membership: Membership, call: &CallContext) -> Result<Option<&'static Level>, Failure> {
        held_by(self, membership.principal.id.into(), membership.resource.id, call).await
    }

    async fn write(&self, membership: Membership, write: Write, call: &CallContext) -> Result<WriteReply, Failure> {
        let (team, object) = (membership.principal.id.into(), membership.resource.id);
        let echo = R::send(self, team, object, write, call).await?.map(R::shown);
        let shown = echo.as_ref().filter(|row| row.object == object).map(|row| EchoedRow {
            level: row.level,
            created_at: row.created_at.as_deref(),
        });
        Ok(write_reply(write, shown))
    }

    fn endpoint(&self, write: Write) -> &'static str {
        R::write_request(Uuid::nil().into(), Uuid::nil(), write)
            .endpoint()
            .name()
    }

    fn replacement(&self, _: &'static Level, _: MaintainerRevoke) -> Option<&'static Level> {
        None
    }

    /// Rejects a change after which none of the teams of a token's owner who is no admin would manage the object, also one that takes
    /// nothing from them: the connector could not undo it.
    async fn guard(
        &self,
        membership: Membership,
        write: Write,
        labels: &Labels,
        lock: &mut GuardLock,
        call: &CallContext,
    ) -> Result<(), GovernanceError> {
        let managing = R::managing_level();
        let takes_managing = match write {
            Write::Remove(level) | Write::Change { from: level, .. } => level == managing,
            Write::Add(_) => false,
        };
        let buildkite = self.buildkite();
        let owners = buildkite
            .dependent_owners(membership.resource, takes_managing, lock, call)
            .await?;
        for owner in owners {
            if !keeps_managing(self, &owner, (membership, write), call).await? {
                return Err(owner.lockout_error(&labels.resource));
            }
        }
        Ok(())
    }
}

/// Whether an owner manages the object by one of their teams after the change, or is not concerned by it.
async fn keeps_managing<R: TeamObject>(
    objects: &Objects<R>,
    owner: &DependentOwner,
    (membership, write): (Membership, Write),
    call: &CallContext,
) -> Result<bool, GovernanceError> {
    let managing = R::managing_level();
    let gives_managing = write.resulting_level() == Some(managing);
    let teams = objects.buildkite().teams_of(owner.id, call).await?;
    let is_changed = |team: &TeamId| team.uuid() == membership.principal.id;
    let has_changed = teams.iter().any(is_changed);
    if (has_changed && gives_managing) || (!has_changed && !owner.makes_the_change) {
        return Ok(true);
    }
    for team in teams.into_iter().filter(|team| !is_changed(team)) {
        match held_by(objects, team, membership.resource.id, call).await {
            Ok(Some(held)) if held == managing => return Ok(true),
            Ok(_) => {}
            Err(failure) => return Err(objects.buildkite().explain(failure, call).await),
        }
    }
    Ok(false)
}

/// The level that a team holds of an object; `None` if it holds none.
async fn held_by<R: TeamObject>(
    objects: &Objects<R>,
    team: TeamId,
    object: Uuid,
    call: &CallContext,
) -> Result<Option<&'static Level>, Failure> {
    let unexpected = |what| {
        Err(Failure::from(GovernanceError::Unexpected {
            endpoint: R::READ_ACCESS.name(),
            what,
        }))
    };
    let request = R::read_request(team, object);
    let row = objects.buildkite().client.read_access(request, call).await;
    match row.map(R::shown) {
        Ok(row) if row.object != object => unexpected(format!(
            "the response is about another {} than the requested one",
            R::INFO
        )),
        Ok(TeamAccess { level: Some(level), .. }) => Ok(Some(level)),
        Ok(TeamAccess { named, .. }) => unexpected(format!(
            "the team holds the level `{named}`, which the connector does not know and does not change"
        )),
        Err(ApiError {
            kind: ApiErrorKind::NotFound,
            ..
        }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
