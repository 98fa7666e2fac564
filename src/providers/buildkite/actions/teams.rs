//! Changing a team.

use serde_json::{Map, Value, json};

use super::BuildkiteActions;
use super::schemas::RESOURCE;
use crate::governance::actions::ActionResults;
use crate::governance::model::{ProfileValue, Resource, ResourceId};
use crate::governance::provider::{Failure, FailureClass, Invocation, ResourceType};
use crate::governance::{CallContext, GovernanceError};
use crate::providers::buildkite::Team;
use crate::providers::buildkite::resources::{TEAM, Teams, team_resource};

impl BuildkiteActions {
    /// The team, if it has the requested fields.
    pub(super) async fn updated_team(
        &self,
        invocation: &Invocation,
        call: &CallContext,
    ) -> Result<Option<ActionResults>, GovernanceError> {
        let team = team(invocation)?;
        match self.buildkite.client.team(team.id.into(), call).await {
            Ok(row) => Ok(has_fields(&row, invocation).then(|| self.returned(row))),
            Err(error) => {
                let teams = Teams::new(std::sync::Arc::clone(&self.buildkite));
                Err(teams.explain(Failure::from(error), Some(team.id), call).await)
            }
        }
    }

    pub(super) async fn update_team(
        &self,
        invocation: &Invocation,
        call: &CallContext,
    ) -> Result<Option<ActionResults>, Failure> {
        let team = team(invocation)?;
        let updated = self
            .buildkite
            .client
            .update_team(team.id.into(), body(invocation), call)
            .await;
        let updated = updated.map_err(Failure::from).map_err(|failure| match failure.class {
            // The read before the write showed the team.
            FailureClass::NotFound => Failure {
                class: FailureClass::Rejected,
                error: GovernanceError::ResourceUnreachable { resource: team },
                ..failure
            },
            _ => failure,
        })?;
        let updated = updated.filter(|row| row.id.uuid() == team.id && has_fields(row, invocation));
        Ok(updated.map(|row| self.returned(row)))
    }

    fn returned(&self, row: Team) -> ActionResults {
        let resource: Resource = team_resource(row, self.buildkite.organization_slug());
        ActionResults::new().with_resource(RESOURCE, resource)
    }
}

fn team(invocation: &Invocation) -> Result<ResourceId, GovernanceError> {
    invocation
        .arguments
        .resource(TEAM.id)
        .ok_or_else(|| GovernanceError::Invalid {
            field: "team",
            problem: "the argument `team` is missing".to_owned(),
        })
}

/// The name of a field in a request. Responses spell the default flag differently.
fn name_in_request(field: &str) -> &str {
    match field {
        "is_default" => "is_default_team",
        other => other,
    }
}

/// The fields that the request names, and no others.
fn body(invocation: &Invocation) -> Value {
    let fields = invocation.arguments.fields().map(|(field, value)| {
        let value = match value {
            ProfileValue::Text(text) if field == "name" => json!(text.trim()),
            ProfileValue::Text(text) => json!(text),
            ProfileValue::Bool(flag) => json!(flag),
        };
        (name_in_request(field).to_owned(), value)
    });
    Value::Object(fields.collect::<Map<_, _>>())
}

/// Whether the row shows every requested field.
fn has_fields(row: &Team, invocation: &Invocation) -> bool {
    invocation
        .arguments
        .fields()
        .all(|(field, value)| match (field, value) {
            ("name", ProfileValue::Text(name)) => row.name.as_deref() == Some(name.trim()),
            ("description", ProfileValue::Text(text)) => row.description.as_deref().unwrap_or_default() == text,
            ("privacy", ProfileValue::Text(privacy)) => row.privacy.as_deref() == Some(&*privacy),
            ("default_member_role", ProfileValue::Text(role)) => row.default_member_role.as_deref() == Some(&*role),
            ("is_default", ProfileValue::Bool(flag)) => row.is_default == Some(flag),
            _ => false,
        })
}
