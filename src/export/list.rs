//! Lists of the organization as rows of texts, for a terminal.

use std::collections::HashSet;

use super::csv::columns;
use super::names::{Names, TEAM, USER, names, type_and_id};
use super::{COLUMNS, ExportError, Progress, Reader, ResourceNames, Stage};
use crate::governance::Governance;
use crate::governance::model::{Catalog, Resource, ResourceId, ResourceKind, ResourceTypeInfo};
use crate::wire::rows;

/// The list to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListQuery {
    /// The resources of one type, with the columns of the type.
    OfType(&'static ResourceTypeInfo),
    /// The users in the team with this slug or id.
    Members(String),
    /// The grants of all resources, or of the team with this slug or id.
    Grants(Option<String>),
    /// The resources of every type, or of one, with the columns that all types have.
    Resources(Option<&'static ResourceTypeInfo>),
}

impl ListQuery {
    /// The columns of the rows, in an organization with the resource types of `catalog`.
    #[must_use]
    pub fn columns(&self, catalog: &Catalog) -> &'static [&'static str] {
        const USERS: [&str; 4] = ["user_name", "user_email", "organization_role", "user_id"];
        match self {
            Self::Members(_) => &USERS,
            Self::OfType(listed) => match listed.id {
                USER => &USERS,
                TEAM => &["team_slug", "team_name", "privacy", "team_id"],
                _ => &["slug", "name", "id"],
            },
            Self::Grants(Some(_)) => COLUMNS,
            Self::Grants(None) => columns(catalog.types()),
            Self::Resources(_) => &["resource_type", "name", "id"],
        }
    }
}

/// Passes every row to `each`: one text for each of the columns.
///
/// # Errors
/// The failure to read a complete list, a type or a team that does not exist, or the failure of `each`. The rows so far are then
/// incomplete.
pub async fn list(
    governance: &Governance,
    query: &ListQuery,
    progress: &Progress,
    each: &mut dyn FnMut(&[&str]) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let catalog = governance.listings().catalog();
    if let ListQuery::OfType(listed) | ListQuery::Resources(Some(listed)) = query
        && !catalog.types().contains(listed)
    {
        return Err(ExportError::NoSuchType(format!(
            "`{listed}` is not included: add it to --include or BUILDKITE_CONNECTOR_INCLUDE"
        )));
    }
    let mut listing = Listing {
        reader: Reader::begin(governance, progress),
        catalog,
        progress,
        each,
    };
    match query {
        ListQuery::OfType(listed) => listing.of_type(listed, None).await,
        ListQuery::Members(team) => listing.members(team).await,
        ListQuery::Grants(team) => listing.grants(team.as_deref(), query.columns(catalog)).await,
        ListQuery::Resources(only) => listing.resources(*only).await,
    }
}

struct Listing<'a> {
    reader: Reader<'a>,
    catalog: &'a Catalog,
    progress: &'a Progress,
    each: &'a mut dyn FnMut(&[&str]) -> Result<(), ExportError>,
}

impl Listing<'_> {
    /// All resources of a type, or only these.
    async fn of_type(
        &mut self,
        listed: &'static ResourceTypeInfo,
        only: Option<HashSet<ResourceId>>,
    ) -> Result<(), ExportError> {
        let print = &mut *self.each;
        let each = |resource: Resource| {
            if only.as_ref().is_some_and(|only| !only.contains(&resource.id)) {
                return Ok(());
            }
            let profile = |field| resource.profile_text(field).unwrap_or_default().to_owned();
            let [role, privacy] = ["organization_role", "privacy"].map(profile);
            let row = rows::resource(resource);
            let Names { handle, name } = names(&row);
            let (_, id) = type_and_id(row.id.as_ref());
            match listed.id {
                USER => print(&[&name, &handle, &role, id]),
                TEAM => print(&[&handle, &name, &privacy, id]),
                _ => print(&[&handle, &name, id]),
            }
        };
        self.reader.resources(listed, each).await
    }

    /// The users in a team.
    async fn members(&mut self, team: &str) -> Result<(), ExportError> {
        let team = self.team(team).await?;
        self.progress.begin(Stage::Grants(Some(team.id.resource_type)));
        let grants = self.reader.grants_of_one(team.id).await?;
        let members: HashSet<_> = grants.into_iter().map(|grant| grant.id.principal).collect();
        let users = self.type_with_id(USER)?;
        self.of_type(users, Some(members)).await
    }

    /// The grants of all resources, or of one team.
    async fn grants(&mut self, only: Option<&str>, columns: &[&str]) -> Result<(), ExportError> {
        let mut names_by_id = ResourceNames::default();
        let mut granting = Vec::new();
        for listed in self.catalog.types() {
            // Users hold grants. Resources of the other types that have no grants do not hold any.
            let is_read = if listed.has_grants() {
                only.is_none()
            } else {
                listed.kind == ResourceKind::User
            };
            if !is_read {
                continue;
            }
            let each = |resource: Resource| {
                if listed.has_grants() {
                    granting.push(resource.id);
                }
                names_by_id.add(&rows::resource(resource));
                Ok(())
            };
            self.reader.resources(listed, each).await?;
        }
        if let Some(team) = only {
            let team = self.team(team).await?;
            granting.push(team.id);
            names_by_id.add(&rows::resource(team));
        }
        self.progress.begin_grants(self.catalog, granting.len());
        for resource in granting {
            let grants = match only {
                Some(_) => self.reader.grants_of_one(resource).await?,
                None => self.reader.grants(resource).await?,
            };
            for grant in &grants {
                let named = names_by_id.named_grant(&rows::grant(grant));
                (self.each)(&named.cells_under(columns))?;
            }
        }
        Ok(())
    }

    async fn resources(&mut self, only: Option<&ResourceTypeInfo>) -> Result<(), ExportError> {
        let print = &mut *self.each;
        let is_listed = |known: &&&'static ResourceTypeInfo| only.is_none_or(|only| **known == only);
        for resource_type in self.catalog.types().iter().filter(is_listed) {
            let each = |resource| {
                let row = rows::resource(resource);
                print(&[resource_type.id, &row.display_name, type_and_id(row.id.as_ref()).1])
            };
            self.reader.resources(resource_type, each).await?;
        }
        Ok(())
    }

    /// The team with this slug, or this id.
    async fn team(&mut self, named: &str) -> Result<Resource, ExportError> {
        let mut found = None;
        let each = |team: Resource| {
            if team.handle.as_deref() == Some(named) || team.id.id.to_string() == named {
                found.get_or_insert(team);
            }
            Ok(())
        };
        self.reader.resources(self.type_with_id(TEAM)?, each).await?;
        found.ok_or_else(|| ExportError::NoSuchTeam(named.to_owned()))
    }

    fn type_with_id(&self, id: &str) -> Result<&'static ResourceTypeInfo, ExportError> {
        self.catalog.resource_type(id).map_err(ExportError::NoSuchType)
    }
}
