//! Creating and deleting teams.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::find;
use super::teams::{Teams, resource};
use crate::governance::model::{ProfileValue, Resource};
use crate::governance::provider::{Creatable, Deletable, Failure, FailureClass, NewResource, ResourceType};
use crate::governance::{CallContext, GovernanceError};
use crate::providers::buildkite::Endpoint;

/// The fields of a request other than the name, each with its default. They are required by Buildkite's documentation, so all are
/// sent.
const DEFAULTS: [(&str, Default); 9] = [
    ("description", Default::Text("")),
    ("privacy", Default::OneOf(&["visible", "secret"])),
    ("is_default", Default::Flag(false)),
    ("default_member_role", Default::OneOf(&["member", "maintainer"])),
    ("members_can_create_pipelines", Default::Flag(true)),
    ("members_can_create_suites", Default::Flag(true)),
    ("members_can_create_registries", Default::Flag(true)),
    ("members_can_destroy_registries", Default::Flag(false)),
    ("members_can_destroy_packages", Default::Flag(false)),
];

/// The fields that a request can set; the others always have their defaults.
const SETTABLE: [&str; 4] = ["description", "privacy", "is_default", "default_member_role"];

/// The default of a field, and what else it can be.
#[derive(Debug, Clone, Copy)]
enum Default {
    Text(&'static str),
    Flag(bool),
    /// One of these words; the first is the default.
    OneOf(&'static [&'static str]),
}

impl Default {
    fn value(self) -> ProfileValue {
        match self {
            Self::Text(text) => ProfileValue::Text(text.to_owned()),
            Self::Flag(flag) => ProfileValue::Bool(flag),
            Self::OneOf(words) => ProfileValue::Text(words.first().copied().unwrap_or_default().to_owned()),
        }
    }

    /// What is accepted, if `value` is not.
    fn problem(self, value: &ProfileValue) -> Option<String> {
        match (self, value) {
            (Self::Text(_), ProfileValue::Text(_)) | (Self::Flag(_), ProfileValue::Bool(_)) => None,
            (Self::OneOf(words), ProfileValue::Text(text)) if words.contains(&text.as_str()) => None,
            (Self::Text(_), _) => Some("is text".to_owned()),
            (Self::Flag(_), _) => Some("is true or false".to_owned()),
            (Self::OneOf(words), _) => Some(format!("is `{}`", words.join("` or `"))),
        }
    }
}

#[async_trait]
impl Creatable for Teams {
    fn complete(&self, new: NewResource) -> Result<NewResource, GovernanceError> {
        let invalid = |problem: String| GovernanceError::Invalid {
            field: "resource.profile",
            problem,
        };
        let name = new.name.trim();
        if name.is_empty() {
            return Err(invalid("`name` is missing: a team needs a name".to_owned()));
        }
        if let Some(unknown) = new.fields.keys().find(|field| !SETTABLE.contains(&field.as_str())) {
            return Err(invalid(format!(
                "`{unknown}` is not a field of a new team: give name, {}",
                SETTABLE.join(", ")
            )));
        }
        let mut fields = BTreeMap::new();
        for (field, default) in DEFAULTS {
            let value = new.fields.get(field).cloned().unwrap_or_else(|| default.value());
            if let Some(problem) = default.problem(&value) {
                return Err(invalid(format!("`{field}` {problem}")));
            }
            fields.insert(field.to_owned(), value);
        }
        Ok(NewResource {
            name: name.to_owned(),
            fields,
        })
    }

    async fn create(&self, new: &NewResource, call: &CallContext) -> Result<Option<Resource>, Failure> {
        let created = self.buildkite().client.create_team(body(new), call).await?;
        let created = created.filter(|team| team.name.as_deref() == Some(new.name.as_str()));
        Ok(created.map(|team| resource(team, self.buildkite().organization_slug())))
    }

    fn creation_endpoint(&self) -> &'static str {
        Endpoint::CreateTeam.name()
    }
}

/// The body of the request. Requests and responses spell the default flag differently.
fn body(new: &NewResource) -> Value {
    let fields = new.fields.iter().map(|(field, value)| {
        let field = if field == "is_default" {
            "is_default_team"
        } else {
            field
        };
        let value = match value {
            ProfileValue::Text(text) => json!(text),
            ProfileValue::Bool(flag) => json!(flag),
        };
        (field.to_owned(), value)
    });
    let name = ("name".to_owned(), json!(new.name));
    Value::Object(Map::from_iter(fields.chain([name])))
}

#[async_trait]
impl Deletable for Teams {
    async fn find(&self, id: Uuid, call: &CallContext) -> Result<Option<Resource>, GovernanceError> {
        find(self, id, call).await
    }

    async fn is_shown(&self, id: Uuid, call: &CallContext) -> Result<bool, Failure> {
        match self.get(id, call).await {
            Ok(_) => Ok(true),
            Err(failure) if failure.class == FailureClass::NotFound => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    async fn guard_deletion(&self, _: &Resource, _: &CallContext) -> Result<(), GovernanceError> {
        Ok(())
    }

    async fn groups(&self, _: Uuid, _: &CallContext) -> Result<Vec<Resource>, GovernanceError> {
        Ok(Vec::new())
    }

    async fn delete(&self, id: Uuid, call: &CallContext) -> Result<(), Failure> {
        Ok(self.buildkite().client.delete_team(id.into(), call).await?)
    }

    async fn explain_deletion(&self, failure: Failure, id: Uuid, call: &CallContext) -> GovernanceError {
        self.explain(failure, Some(id), call).await
    }

    fn deletion_endpoint(&self) -> &'static str {
        Endpoint::DeleteTeam.name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_of_a_new_team_are_those_of_buildkite() {
        assert!(
            SETTABLE
                .iter()
                .all(|field| DEFAULTS.iter().any(|(known, _)| known == field))
        );
        let fields: BTreeMap<String, ProfileValue> = DEFAULTS
            .into_iter()
            .map(|(field, default)| (field.to_owned(), default.value()))
            .collect();
        let new = NewResource {
            name: "Docs".to_owned(),
            fields,
        };
        assert_eq!(
            body(&new),
            json!({
                "name": "Docs", "description": "", "privacy": "visible", "is_default_team": false,
                "default_member_role": "member", "members_can_create_pipelines": true,
                "members_can_create_suites": true, "members_can_create_registries": true,
                "members_can_destroy_registries": false, "members_can_destroy_packages": false,
            })
        );
    }
}
