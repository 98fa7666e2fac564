//! The arguments of an invocation, checked against the schema of its action.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::schema::{ActionField, ActionInfo, FieldKind, TextRules};
use crate::governance::GovernanceError;
use crate::governance::model::{Catalog, ProfileValue, ResourceId};

/// The largest number of entries of a map.
const MAX_ENTRIES: usize = 100;

/// The maximum length of a key and of a value of a map, in characters.
const MAX_ENTRY_LENGTH: usize = 65_536;

/// The value of an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Argument {
    Text(String),
    Id(Uuid),
    Number(u64),
    Flag(bool),
    Map(BTreeMap<String, String>),
    Resource(ResourceId),
}

/// Arguments that satisfy the schema of their action. One that was not given is absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Arguments(BTreeMap<&'static str, Argument>);

impl Arguments {
    /// Checks `given` against the schema of `action`. A value of `null` counts as missing, and so does an empty text where the
    /// schema has no use for it.
    ///
    /// # Errors
    /// `Invalid`, which names the argument.
    pub(crate) fn check(
        action: &'static ActionInfo,
        catalog: &Catalog,
        given: &Map<String, Value>,
    ) -> Result<Self, GovernanceError> {
        if let Some(unknown) = given.keys().find(|name| action.argument(name).is_none()) {
            let known: Vec<&str> = action.arguments.iter().map(|argument| argument.name).collect();
            let problem = format!(
                "`{}` is not an argument of {}: give {}",
                crate::telemetry::redact::redact(unknown),
                action.name,
                known.join(", ")
            );
            return Err(invalid("args", problem));
        }
        let mut arguments = BTreeMap::new();
        for field in action.arguments {
            let value = given.get(field.name).filter(|value| !is_missing(field, value));
            match value.map(|value| parse(field, catalog, value)).transpose()? {
                Some(argument) => drop(arguments.insert(field.name, argument)),
                None if field.required => {
                    return Err(invalid(field.name, format!("the argument `{}` is missing", field.name)));
                }
                None => {}
            }
        }
        let one_of = action.at_least_one_of;
        if !one_of.is_empty() && !one_of.iter().any(|name| arguments.contains_key(name)) {
            let problem = format!("there is nothing to do: give at least one of {}", one_of.join(", "));
            return Err(invalid("args", problem));
        }
        Ok(Self(arguments))
    }

    /// The text of an argument.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.0.get(name) {
            Some(Argument::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The UUID of an argument.
    #[must_use]
    pub fn id(&self, name: &str) -> Option<Uuid> {
        match self.0.get(name) {
            Some(Argument::Id(id)) => Some(*id),
            _ => None,
        }
    }

    /// The number of an argument.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        match self.0.get(name) {
            Some(Argument::Number(number)) => Some(*number),
            _ => None,
        }
    }

    /// The texts of an argument, by name.
    #[must_use]
    pub fn map(&self, name: &str) -> Option<&BTreeMap<String, String>> {
        match self.0.get(name) {
            Some(Argument::Map(map)) => Some(map),
            _ => None,
        }
    }

    /// The resource of an argument.
    #[must_use]
    pub fn resource(&self, name: &str) -> Option<ResourceId> {
        match self.0.get(name) {
            Some(Argument::Resource(resource)) => Some(*resource),
            _ => None,
        }
    }

    /// The texts and truth values, by name: the fields of a resource to create or change.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, ProfileValue)> {
        self.0.iter().filter_map(|(name, argument)| match argument {
            Argument::Text(text) => Some((*name, ProfileValue::Text(text.clone()))),
            Argument::Flag(flag) => Some((*name, ProfileValue::Bool(*flag))),
            _ => None,
        })
    }
}

/// Whether the value stands for no value.
fn is_missing(field: &ActionField, value: &Value) -> bool {
    let keeps_empty = matches!(field.kind, FieldKind::Text(TextRules { may_be_empty: true, .. }));
    let is_blank = value.as_str().is_some_and(|text| text.trim().is_empty());
    value.is_null() || (is_blank && !keeps_empty)
}

fn parse(field: &'static ActionField, catalog: &Catalog, value: &Value) -> Result<Argument, GovernanceError> {
    let name = field.name;
    let wrong = |rule: &str| invalid(name, format!("`{name}` {rule}"));
    match (field.kind, value) {
        (FieldKind::Text(rules), Value::String(text)) => {
            if text.chars().count() > rules.max_length {
                return Err(wrong(&format!("has at most {} characters", rules.max_length)));
            }
            Ok(Argument::Text(text.clone()))
        }
        (FieldKind::Word(words), Value::String(text)) if words.contains(&text.as_str()) => {
            Ok(Argument::Text(text.clone()))
        }
        (FieldKind::Word(words), _) => Err(wrong(&format!("is `{}`", words.join("` or `")))),
        (FieldKind::Email, Value::String(text)) if email_address::EmailAddress::is_valid(text.trim()) => {
            Ok(Argument::Text(text.trim().to_owned()))
        }
        (FieldKind::Email, _) => Err(wrong("is an e-mail address, as in `ada@example.com`")),
        (FieldKind::Id, Value::String(text)) => text
            .trim()
            .parse()
            .map(Argument::Id)
            .map_err(|_| wrong("is a UUID such as `01234567-89ab-cdef-0123-456789abcdef`")),
        (FieldKind::Number, value) => number(value)
            .map(Argument::Number)
            .ok_or_else(|| wrong("is a whole number of 1 or more")),
        (FieldKind::Flag, Value::Bool(flag)) => Ok(Argument::Flag(*flag)),
        (FieldKind::Flag, _) => Err(wrong("is true or false")),
        (FieldKind::Map, Value::Object(entries)) => map(entries).map(Argument::Map).map_err(wrong),
        (FieldKind::Map, _) => Err(wrong("is an object of texts")),
        (FieldKind::ResourceId(expected), value) => {
            let resource = resource(catalog, value).map_err(|problem| wrong(&format!("is wrong: {problem}")))?;
            if resource.resource_type != expected {
                return Err(wrong(&format!("is the id of a {expected}")));
            }
            Ok(Argument::Resource(resource))
        }
        (FieldKind::Text(_), _) => Err(wrong("is text")),
        (FieldKind::Id, _) => Err(wrong("is the text of a UUID")),
        (FieldKind::Resource | FieldKind::Grants, _) => Err(wrong("is no argument")),
    }
}

/// A whole number of 1 or more. The protocol sends every number as a floating-point one.
fn number(value: &Value) -> Option<u64> {
    if let Some(number) = value.as_u64() {
        return Some(number).filter(|number| *number >= 1);
    }
    let number = value.as_f64()?;
    let is_exact = number.fract() == 0.0 && (1.0..=9_007_199_254_740_991.0).contains(&number);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is a whole number in the range"
    )]
    is_exact.then_some(number as u64)
}

fn map(entries: &Map<String, Value>) -> Result<BTreeMap<String, String>, &'static str> {
    if entries.len() > MAX_ENTRIES {
        return Err("has at most 100 entries");
    }
    let entry = |(name, value): (&String, &Value)| match value {
        _ if name.is_empty() => Err("has an entry without a name"),
        Value::String(text) if name.len() + text.len() <= MAX_ENTRY_LENGTH => Ok((name.clone(), text.clone())),
        Value::String(_) => Err("has an entry that is too long"),
        _ => Err("has a value that is not text"),
    };
    entries.iter().map(entry).collect()
}

/// A resource id in one of the two forms that clients send.
fn resource(catalog: &Catalog, value: &Value) -> Result<ResourceId, String> {
    let text = |names: [&str; 3]| names.into_iter().find_map(|name| value.get(name)?.as_str());
    let resource_type = text(["resource_type_id", "resource_type", "resourceTypeId"]);
    let id = text(["resource_id", "resource", "resourceId"]);
    let (Some(resource_type), Some(id)) = (resource_type, id) else {
        return Err("give an object with `resource_type_id` and `resource_id`".to_owned());
    };
    catalog.resource(resource_type, id)
}

fn invalid(field: &'static str, problem: String) -> GovernanceError {
    GovernanceError::Invalid { field, problem }
}
