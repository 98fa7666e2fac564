//! Resources and grants as a provider lists them.

use jiff::Timestamp;

use super::ids::{GrantId, ResourceId};
use super::resource_type::Level;

/// A value in a resource's profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProfileValue {
    /// Text.
    Text(String),
    /// A truth value.
    Bool(bool),
}

/// A resource: a user, a team, or an object of another type of the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its id.
    pub id: ResourceId,
    /// Its display name; not unique, may be missing.
    pub name: Option<String>,
    /// Its unique readable name: a team's slug, a user's e-mail address.
    pub handle: Option<String>,
    /// Its description.
    pub description: Option<String>,
    /// Further fields, in the order of the provider.
    pub profile: Vec<(&'static str, ProfileValue)>,
    /// The URL of its web page.
    pub page: Option<String>,
    /// When it was created.
    pub created_at: Option<Timestamp>,
}

impl Resource {
    /// A resource with an id and possibly a name; every other field is empty.
    #[must_use]
    pub fn named(id: ResourceId, name: Option<String>) -> Self {
        Self {
            id,
            name,
            handle: None,
            description: None,
            profile: Vec::new(),
            page: None,
            created_at: None,
        }
    }

    /// The text of a profile field; `None` if the field is missing or is not text.
    #[must_use]
    pub fn profile_text(&self, field: &str) -> Option<&str> {
        self.profile.iter().find_map(|(name, value)| match value {
            ProfileValue::Text(text) if *name == field => Some(text.as_str()),
            _ => None,
        })
    }
}

/// A principal that holds a level of the resource whose grants were listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// The principal.
    pub principal: ResourceId,
    /// The principal's name in the listed row.
    pub name: Option<String>,
    /// The level; `None` if the provider named one that is not in the catalog.
    pub level: Option<&'static Level>,
}

/// A grant, and its principal's name if the provider gave one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The entitlement and its principal.
    pub id: GrantId,
    /// The principal's name; not unique, may be missing.
    pub principal_name: Option<String>,
}
