//! Lists of the organization as rows of texts, for a terminal.

use std::collections::HashSet;

use super::names::names;
use super::{COLUMNS, ExportError, Progress, Reader, ResourceNames, Stage};
use crate::governance::Governance;
use crate::governance::model::{Catalog, Resource, ResourceId, ResourceKind, ResourceTypeInfo};
use crate::proto::c1::connector::v2 as proto;
use crate::wire::rows;

/// The list to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListQuery {
    /// The users in the organization, or in the team with this slug or id.
    Users(Option<String>),
    /// Every team.
    Teams,
    /// The grants in all teams, or in the team with this slug or id.
    Grants(Option<String>),
    /// The resources of every type, or of the type with this id.
    Resources(Option<String>),
}

impl ListQuery {
    /// The columns of the rows.
    #[must_use]
    pub fn columns(&self) -> &'static [&'static str] {
        match self {
            Self::Users(_) => &["user_name", "user_email", "organization_role", "user_id"],
            Self::Teams => &["team_slug", "team_name", "privacy", "team_id"],
            Self::Grants(_) => &COLUMNS,
            Self::Resources(_) => &["resource_type", "name", "id"],
        }
    }
}

/// Passes every row to `each`: one text for each of the columns.
///
/// # Errors
/// The failure to read a complete list, a team that does not exist, or the failure of `each`. The rows so far are then incomplete.
pub async fn list(
    governance: &Governance,
    query: &ListQuery,
    progress: &Progress,
    each: &mut dyn FnMut(&[&str]) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let mut listing = Listing {
        reader: Reader::begin(governance, progress),
        catalog: governance.listings().catalog(),
        progress,
        each,
    };
    match query {
        ListQuery::Users(None) => listing.users(None).await,
        ListQuery::Users(Some(team)) => listing.members(team).await,
        ListQuery::Teams => listing.teams().await,
        ListQuery::Grants(team) => listing.grants(team.as_deref()).await,
        ListQuery::Resources(only) => listing.resources(only.as_deref()).await,
    }
}

struct Listing<'a> {
    reader: Reader<'a>,
    catalog: &'a Catalog,
    progress: &'a Progress,
    each: &'a mut dyn FnMut(&[&str]) -> Result<(), ExportError>,
}

impl Listing<'_> {
    /// All users, or only these.
    async fn users(&mut self, only: Option<HashSet<ResourceId>>) -> Result<(), ExportError> {
        let print = &mut *self.each;
        let mut each = |user: Resource| {
            if only.as_ref().is_some_and(|only| !only.contains(&user.id)) {
                return Ok(());
            }
            let role = user.profile_text("organization_role").unwrap_or_default().to_owned();
            let row = rows::resource(user);
            let names = names(&row);
            print(&[&names[0], &names[1], &role, id(&row)])
        };
        for users in self.catalog.of_kind(ResourceKind::User) {
            self.reader.resources(users, &mut each).await?;
        }
        Ok(())
    }

    async fn teams(&mut self) -> Result<(), ExportError> {
        let print = &mut *self.each;
        let mut each = |team: Resource| {
            let privacy = team.profile_text("privacy").unwrap_or_default().to_owned();
            let row = rows::resource(team);
            let names = names(&row);
            print(&[&names[0], &names[1], &privacy, id(&row)])
        };
        for teams in self.catalog.of_kind(ResourceKind::Group) {
            self.reader.resources(teams, &mut each).await?;
        }
        Ok(())
    }

    /// The users in a team.
    async fn members(&mut self, team: &str) -> Result<(), ExportError> {
        let team = self.team(team).await?;
        self.progress.begin(Stage::Members);
        let grants = self.reader.grants_of_one(team.id).await?;
        self.users(Some(grants.into_iter().map(|grant| grant.id.principal).collect()))
            .await
    }

    /// The grants of all teams, or of one.
    async fn grants(&mut self, only: Option<&str>) -> Result<(), ExportError> {
        let mut names_by_id = ResourceNames::default();
        for users in self.catalog.of_kind(ResourceKind::User) {
            let each = |user| {
                names_by_id.add(&rows::resource(user));
                Ok(())
            };
            self.reader.resources(users, each).await?;
        }
        let teams = match only {
            Some(team) => vec![self.team(team).await?],
            None => self.all_teams().await?,
        };
        let ids: Vec<_> = teams.iter().map(|team| team.id).collect();
        for team in teams {
            names_by_id.add(&rows::resource(team));
        }
        self.progress.begin(Stage::Members);
        self.progress.expect(ids.len());
        for team in ids {
            let grants = match only {
                Some(_) => self.reader.grants_of_one(team).await?,
                None => self.reader.grants(team).await?,
            };
            for grant in &grants {
                let named = names_by_id.named_grant(&rows::grant(grant));
                (self.each)(&named.cells())?;
            }
        }
        Ok(())
    }

    async fn resources(&mut self, only: Option<&str>) -> Result<(), ExportError> {
        let print = &mut *self.each;
        let is_listed = |known: &&&'static ResourceTypeInfo| only.is_none_or(|only| known.id == only);
        for resource_type in self.catalog.types().iter().filter(is_listed) {
            let each = |resource| {
                let row = rows::resource(resource);
                print(&[resource_type.id, &row.display_name, id(&row)])
            };
            self.reader.resources(resource_type, each).await?;
        }
        Ok(())
    }

    async fn all_teams(&mut self) -> Result<Vec<Resource>, ExportError> {
        let mut listed = Vec::new();
        for teams in self.catalog.of_kind(ResourceKind::Group) {
            let each = |team| {
                listed.push(team);
                Ok(())
            };
            self.reader.resources(teams, each).await?;
        }
        Ok(listed)
    }

    /// The team with this slug, or this id.
    async fn team(&mut self, named: &str) -> Result<Resource, ExportError> {
        let teams = self.all_teams().await?;
        let is_named = |team: &Resource| team.handle.as_deref() == Some(named) || team.id.id.to_string() == named;
        teams
            .into_iter()
            .find(is_named)
            .ok_or_else(|| ExportError::NoSuchTeam(named.to_owned()))
    }
}

fn id(resource: &proto::Resource) -> &str {
    resource.id.as_ref().map(|id| id.resource.as_str()).unwrap_or_default()
}
