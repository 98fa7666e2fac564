//! Actions as messages: their schemas, and what they return.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::lifecycle::structure;
use super::rows;
use crate::governance::actions::{
    ActionField, ActionInfo, ActionOperation, ActionOutcome, ActionStatus, ActionValue, FieldKind,
};
use crate::governance::model::{Grant, Resource, ResourceId};
use crate::proto::c1::config::v1::field::Field as TypedField;
use crate::proto::c1::config::v1::{
    BoolField, Constraint, ConstraintKind, Field, GrantSliceField, Int64Rules, IntField, ResourceField,
    ResourceIdField, ResourceIdRules, StringField, StringFieldOption, StringMapField, StringMapRules, StringRules,
    WellKnownString,
};
use crate::proto::c1::connector::v2::{ActionType, BatonActionSchema, BatonActionStatus};

/// An action as a schema.
pub(crate) fn schema(action: &ActionInfo) -> BatonActionSchema {
    let action_type = match action.operation {
        ActionOperation::Create => ActionType::ResourceCreate,
        ActionOperation::Delete => ActionType::ResourceDelete,
        _ => ActionType::Dynamic,
    };
    let one_of = (!action.at_least_one_of.is_empty()).then(|| Constraint {
        kind: ConstraintKind::AtLeastOne.into(),
        field_names: action.at_least_one_of.iter().map(|name| (*name).to_owned()).collect(),
        name: format!("{}_at_least_one", action.name),
        help_text: "Give at least one of these".to_owned(),
        ..Default::default()
    });
    BatonActionSchema {
        name: action.name.to_owned(),
        arguments: action.arguments.iter().map(field).collect(),
        constraints: one_of.into_iter().collect(),
        return_types: returned_success().chain(action.returns.iter().map(field)).collect(),
        display_name: action.display_name.to_owned(),
        description: action.description.to_owned(),
        action_type: vec![action_type.into()],
        resource_type_id: action.resource_type.map_or_else(String::new, |of| of.id.to_owned()),
    }
}

/// The field that every action returns.
fn returned_success() -> impl Iterator<Item = Field> {
    const SUCCESS: ActionField = ActionField {
        name: "success",
        display_name: "Success",
        description: "Whether the action was carried out",
        required: false,
        kind: FieldKind::Flag,
    };
    std::iter::once(field(&SUCCESS))
}

fn field(field: &ActionField) -> Field {
    Field {
        name: field.name.to_owned(),
        display_name: field.display_name.to_owned(),
        description: field.description.to_owned(),
        is_required: field.required,
        field: Some(typed(field)),
        ..Default::default()
    }
}

fn typed(field: &ActionField) -> TypedField {
    let is_required = field.required;
    let text = |rules| {
        TypedField::StringField(StringField {
            rules: Some(StringRules { is_required, ..rules }),
            ..Default::default()
        })
    };
    match field.kind {
        FieldKind::Text(rules) => TypedField::StringField(StringField {
            default_value: rules.default.to_owned(),
            rules: Some(StringRules {
                max_len: u64::try_from(rules.max_length).ok(),
                is_required,
                ..Default::default()
            }),
            ..Default::default()
        }),
        FieldKind::Word(words) => TypedField::StringField(StringField {
            rules: Some(StringRules {
                r#in: words.iter().map(|word| (*word).to_owned()).collect(),
                is_required,
                ..Default::default()
            }),
            options: words.iter().map(|word| option(word)).collect(),
            ..Default::default()
        }),
        FieldKind::Email => text(StringRules {
            well_known: WellKnownString::Email.into(),
            ..Default::default()
        }),
        FieldKind::Id => text(StringRules {
            well_known: WellKnownString::Uuid.into(),
            ..Default::default()
        }),
        FieldKind::Number => TypedField::IntField(IntField {
            rules: Some(Int64Rules {
                gte: Some(1),
                is_required,
                ..Default::default()
            }),
            ..Default::default()
        }),
        FieldKind::Flag => TypedField::BoolField(BoolField::default()),
        FieldKind::Map => TypedField::StringMapField(StringMapField {
            rules: Some(StringMapRules {
                is_required,
                ..Default::default()
            }),
            ..Default::default()
        }),
        FieldKind::ResourceId(of) => TypedField::ResourceIdField(ResourceIdField {
            rules: Some(ResourceIdRules {
                allowed_resource_type_ids: vec![of.id.to_owned()],
            }),
            ..Default::default()
        }),
        FieldKind::Resource => TypedField::ResourceField(ResourceField::default()),
        FieldKind::Grants => TypedField::GrantSliceField(GrantSliceField::default()),
    }
}

fn option(word: &str) -> StringFieldOption {
    StringFieldOption {
        name: word.to_owned(),
        value: word.to_owned(),
        display_name: word.to_owned(),
    }
}

/// The status of an invocation, and the response that goes with it.
pub(crate) fn status(status: &ActionStatus) -> (BatonActionStatus, Option<prost_types::Struct>) {
    match status.outcome.as_ref().map(Arc::as_ref) {
        None => (BatonActionStatus::Running, None),
        Some(outcome @ Ok(_)) => (BatonActionStatus::Complete, structure(response(outcome))),
        Some(outcome @ Err(_)) => (BatonActionStatus::Failed, structure(response(outcome))),
    }
}

/// The response of an action that ended, as JSON.
pub(crate) fn response(outcome: &ActionOutcome) -> Value {
    match outcome {
        Ok(results) => {
            let success = ("success".to_owned(), Value::Bool(true));
            let fields = results.fields().map(|(name, value)| (name.to_owned(), returned(value)));
            Value::Object([success].into_iter().chain(fields).collect::<Map<_, _>>())
        }
        Err(error) => json!({ "success": false, "error": error.to_string(), "reason": error.reason() }),
    }
}

fn returned(value: &ActionValue) -> Value {
    match value {
        ActionValue::Text(text) => json!(text),
        ActionValue::Number(number) => json!(number),
        ActionValue::Flag(flag) => json!(flag),
        ActionValue::Resource(resource) => self::resource(resource),
        ActionValue::Grants(grants) => grants.iter().map(grant).collect(),
    }
}

/// A resource in the JSON form of `c1.config.v1.Resource`.
fn resource(resource: &Resource) -> Value {
    let row = rows::resource(resource.clone());
    let mut fields = json!({
        "resourceId": resource_id(resource.id),
        "displayName": row.display_name,
    });
    if let Some(object) = fields.as_object_mut().filter(|_| !row.description.is_empty()) {
        object.insert("description".to_owned(), row.description.into());
    }
    fields
}

/// A grant in the JSON form of `c1.config.v1.Grant`, with the ids and the name of the row that a sync lists.
fn grant(grant: &Grant) -> Value {
    let row = rows::grant(grant);
    json!({
        "id": row.id,
        "entitlement": { "id": grant.id.entitlement.to_string() },
        "principal": {
            "resourceId": resource_id(grant.id.principal),
            "displayName": row.principal.map(|principal| principal.display_name).unwrap_or_default(),
        },
    })
}

fn resource_id(id: ResourceId) -> Value {
    json!({ "resourceTypeId": id.resource_type.id, "resourceId": id.id.to_string() })
}
