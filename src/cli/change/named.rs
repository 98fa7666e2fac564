//! What a change is about, as the command line names it: `TYPE:NAME`, where the name is a slug, an id, or a user's e-mail address.

use crate::governance::model::{Catalog, Level, Principal, Resource, ResourceKind, ResourceTypeInfo};
use crate::governance::provisioning::Provisioning;
use crate::governance::{AllowedChanges, GovernanceError};
use crate::providers::buildkite::resources::{self, TEAM};
use crate::providers::buildkite::{Coverage, IncludedType};

/// A resource by its type and its slug or id.
#[derive(Debug, Clone)]
pub(super) struct NamedResource {
    pub(super) resource_type: &'static ResourceTypeInfo,
    name: String,
}

impl NamedResource {
    /// The team with this slug or id.
    pub(super) fn team(name: &str) -> Self {
        Self {
            resource_type: &TEAM,
            name: name.to_owned(),
        }
    }

    /// Parses `TYPE:NAME`, for a type whose levels can be changed.
    ///
    /// # Errors
    /// One sentence that names the types.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let catalog = every_type();
        let changed = || catalog.types().iter().filter(|known| known.change.is_some());
        let parsed = text.split_once(':').and_then(|(kind, name)| {
            let resource_type = changed().find(|known| known.id == kind)?;
            (!name.is_empty()).then(|| Self {
                resource_type,
                name: name.to_owned(),
            })
        });
        parsed.ok_or_else(|| {
            let forms: Vec<String> = changed().map(|known| format!("`{known}:<slug or id>`")).collect();
            format!("give one of {}", forms.join(", "))
        })
    }

    /// The level of the resource with this slug.
    ///
    /// # Errors
    /// One sentence that names the levels of the resource's type.
    pub(super) fn level(&self, slug: &str) -> Result<&'static Level, String> {
        self.resource_type.level(slug).ok_or_else(|| {
            let levels = self.resource_type.levels.iter();
            let levels: Vec<String> = levels.map(|level| format!("`{level}`")).collect();
            format!("a role is {}", levels.join(" or "))
        })
    }

    /// The resource, in a list that is read now.
    ///
    /// # Errors
    /// `Invalid` if no listed resource has the name, or the failure to read the list.
    pub(super) async fn find(&self, provisioning: &Provisioning) -> Result<Resource, GovernanceError> {
        provisioning.find_resource(self.resource_type, &self.name).await
    }
}

/// A principal: a user, or a team by its slug or id.
#[derive(Debug, Clone)]
pub(super) enum NamedPrincipal {
    User(Principal),
    Team(NamedResource),
}

impl NamedPrincipal {
    /// Parses `user:EMAIL|UUID` or `team:SLUG|UUID`.
    ///
    /// # Errors
    /// One sentence that shows the forms.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("user", user)) => parse_user(user).map(Self::User),
            Some(("team", team)) if !team.is_empty() => Ok(Self::Team(NamedResource::team(team))),
            _ => Err("give `user:<e-mail or id>` or `team:<slug or id>`".to_owned()),
        }
    }

    /// Succeeds if the principal can hold a level of a resource of this type.
    ///
    /// # Errors
    /// The rule of the type.
    pub(super) fn check(&self, resource_type: &ResourceTypeInfo) -> Result<(), &'static str> {
        let kind = match self {
            Self::User(_) => ResourceKind::User,
            Self::Team(_) => ResourceKind::Group,
        };
        if resource_type.principal_kinds.contains(&kind) {
            Ok(())
        } else {
            Err(resource_type.principal_rule)
        }
    }

    /// The principal of a request; a team is looked up in a list that is read now.
    ///
    /// # Errors
    /// As for [`NamedResource::find`].
    pub(super) async fn find(&self, provisioning: &Provisioning) -> Result<Principal, GovernanceError> {
        match self {
            Self::User(user) => Ok(user.clone()),
            Self::Team(team) => Ok(Principal::Resource(team.find(provisioning).await?.id)),
        }
    }
}

/// Parses a user's e-mail address or id.
///
/// # Errors
/// One sentence that shows the forms.
pub(super) fn parse_user(text: &str) -> Result<Principal, String> {
    every_type().principal(text)
}

/// All types, whether they are included or not: what is not included is refused once there is a connection.
fn every_type() -> Catalog {
    let everything = Coverage::new(IncludedType::ALL, AllowedChanges::none(), None);
    resources::catalog(&everything.unwrap_or_default())
}
