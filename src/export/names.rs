//! Names by id, and grants with their names.

use std::collections::HashMap;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::csv::{ALL_COLUMNS, COLUMNS};
use crate::proto::c1::connector::v2::{Grant, Resource, ResourceId, UserTrait};

/// The id of the resource type of users.
pub(super) const USER: &str = "user";

/// The id of the resource type of teams.
pub(super) const TEAM: &str = "team";

/// The two names of a resource. Either may be empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Names<T> {
    /// The unique name: a user's e-mail address, the slug of any other resource.
    pub(super) handle: T,
    /// The display name.
    pub(super) name: T,
}

/// The names of each resource that a sync listed.
///
/// All texts are in one buffer, because there may be 50,000 of them and one allocation each would dominate a sync's memory.
#[derive(Debug, Default)]
pub struct ResourceNames {
    texts: String,
    /// The resource types' ids; their positions are part of the keys of `spans`.
    types: Vec<String>,
    spans: HashMap<(u8, Uuid), Span>,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    begin: u32,
    handle: u16,
    name: u16,
}

/// A grant with the names of its resource and its principal. The order is the one of a report: by resource, role and principal.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedGrant {
    /// The resource's type, such as `team`.
    pub resource_type: String,
    /// The resource's slug.
    pub resource_slug: String,
    /// The resource's name.
    pub resource_name: String,
    /// The role, which is the entitlement's slug.
    pub role: String,
    /// The principal's type, such as `user`.
    pub principal_type: String,
    /// The principal's name.
    pub principal_name: String,
    /// A user's e-mail address, the slug of a principal of another type.
    pub principal_handle: String,
    /// The resource's id.
    pub resource_id: String,
    /// The principal's id.
    pub principal_id: String,
}

impl NamedGrant {
    /// Whether a user holds a role in a team, which is all that a grant without other resource types is.
    #[must_use]
    pub fn is_of_team_and_user(&self) -> bool {
        self.resource_type == TEAM && self.principal_type == USER
    }

    /// The cells under [`ALL_COLUMNS`]. The first of them describe the team and the user of the grant, whether they are its resource
    /// or its principal; the others describe resource and principal of any type.
    #[must_use]
    pub fn cells(&self) -> [&str; ALL_COLUMNS.len()] {
        let resource = [&*self.resource_slug, &*self.resource_name, &*self.resource_id];
        let principal = [&*self.principal_handle, &*self.principal_name, &*self.principal_id];
        let [team_slug, team_name, team_id] = match (&*self.resource_type, &*self.principal_type) {
            (TEAM, _) => resource,
            (_, TEAM) => principal,
            _ => [""; 3],
        };
        let [user_email, user_name, user_id] = if self.principal_type == USER {
            principal
        } else {
            [""; 3]
        };
        [
            team_slug,
            team_name,
            &self.role,
            user_name,
            user_email,
            team_id,
            user_id,
            &self.resource_type,
            &self.resource_slug,
            &self.resource_name,
            &self.resource_id,
            &self.principal_type,
            &self.principal_name,
            &self.principal_handle,
            &self.principal_id,
        ]
    }
}

impl Serialize for NamedGrant {
    /// An object with `resource_type` and the cells under [`COLUMNS`]; unless it is of a team and a user, with all cells.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let columns = if self.is_of_team_and_user() {
            COLUMNS.len()
        } else {
            ALL_COLUMNS.len()
        };
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry("resource_type", &self.resource_type)?;
        for (column, cell) in ALL_COLUMNS.iter().zip(self.cells()).take(columns) {
            if *column != "resource_type" {
                object.serialize_entry(column, cell)?;
            }
        }
        object.end()
    }
}

impl ResourceNames {
    /// Adds a resource's names.
    pub fn add(&mut self, resource: &Resource) {
        let (resource_type, id) = type_and_id(resource.id.as_ref());
        let Names { handle, name } = names(resource);
        let span = (
            Uuid::parse_str(id),
            u32::try_from(self.texts.len()),
            u16::try_from(handle.len()),
            u16::try_from(name.len()),
        );
        if let (Ok(id), Ok(begin), Ok(handle_length), Ok(name_length)) = span {
            let Some(resource_type) = self
                .type_position(resource_type)
                .or_else(|| self.add_type(resource_type))
            else {
                return;
            };
            self.texts.push_str(&handle);
            self.texts.push_str(&name);
            let span = Span {
                begin,
                handle: handle_length,
                name: name_length,
            };
            self.spans.insert((resource_type, id), span);
        }
    }

    fn type_position(&self, resource_type: &str) -> Option<u8> {
        let position = self.types.iter().position(|known| known == resource_type)?;
        u8::try_from(position).ok()
    }

    fn add_type(&mut self, resource_type: &str) -> Option<u8> {
        self.types.push(resource_type.to_owned());
        u8::try_from(self.types.len() - 1).ok()
    }

    /// The names of a resource, if it was listed.
    fn names(&self, resource_type: &str, id: &str) -> Option<Names<&str>> {
        let span = self
            .spans
            .get(&(self.type_position(resource_type)?, Uuid::parse_str(id).ok()?))?;
        let begin = usize::try_from(span.begin).ok()?;
        let middle = begin + usize::from(span.handle);
        let end = middle + usize::from(span.name);
        Some(Names {
            handle: self.texts.get(begin..middle)?,
            name: self.texts.get(middle..end)?,
        })
    }

    /// A grant with the names of its resource and its principal. The name of an unlisted principal is taken from the grant.
    #[must_use]
    pub fn named_grant(&self, grant: &Grant) -> NamedGrant {
        let entitlement = grant.entitlement.as_ref();
        let (resource_type, resource_id) =
            type_and_id(entitlement.and_then(|held| held.resource.as_ref()?.id.as_ref()));
        let principal = grant.principal.as_ref();
        let (principal_type, principal_id) = type_and_id(principal.and_then(|principal| principal.id.as_ref()));
        let resource = self.names(resource_type, resource_id).unwrap_or_default();
        let unlisted = || Names {
            handle: "",
            name: principal.map(|principal| &*principal.display_name).unwrap_or_default(),
        };
        let principal = self.names(principal_type, principal_id).unwrap_or_else(unlisted);
        NamedGrant {
            resource_type: resource_type.to_owned(),
            resource_slug: resource.handle.to_owned(),
            resource_name: resource.name.to_owned(),
            role: entitlement.map(|held| held.slug.clone()).unwrap_or_default(),
            principal_type: principal_type.to_owned(),
            principal_name: principal.name.to_owned(),
            principal_handle: principal.handle.to_owned(),
            resource_id: resource_id.to_owned(),
            principal_id: principal_id.to_owned(),
        }
    }
}

/// A resource's type and id; empty if it has none.
pub(super) fn type_and_id(id: Option<&ResourceId>) -> (&str, &str) {
    id.map(|id| (id.resource_type.as_str(), id.resource.as_str()))
        .unwrap_or_default()
}

/// The names of a resource.
pub(super) fn names(resource: &Resource) -> Names<String> {
    let (resource_type, _) = type_and_id(resource.id.as_ref());
    let handle = if resource_type == USER {
        email(resource)
    } else {
        profile(resource, "slug")
    };
    let name = resource.display_name.clone();
    Names { handle, name }
}

/// A user's primary e-mail address; the login, if the address does not comply with the protocol's rule.
fn email(user: &Resource) -> String {
    let details = user
        .annotations
        .iter()
        .find_map(|annotation| annotation.to_msg::<UserTrait>().ok());
    let Some(details) = details else {
        return String::new();
    };
    let primary = details.emails.iter().find(|email| email.is_primary);
    primary
        .or(details.emails.first())
        .map_or(details.login, |email| email.address.clone())
}

/// A text of the resource's profile; empty if it is missing.
fn profile(resource: &Resource, field: &str) -> String {
    use prost_types::value::Kind;
    let value = resource.profile.as_ref().and_then(|profile| profile.fields.get(field));
    match value.and_then(|value| value.kind.as_ref()) {
        Some(Kind::StringValue(text)) => text.clone(),
        _ => String::new(),
    }
}
