//! Parts of the organization as rows of texts, for a screen.

use std::collections::HashSet;

use super::directory::names;
use super::{COLUMNS, Directory, ExportError, Progress, Reader, Stage};
use crate::governance::{Governance, ResourceKind};
use crate::proto::c1::connector::v2::Resource;
use crate::providers::buildkite::{OrganizationMember, Team, UserId};
use crate::wire::rows;

/// What is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// Everybody in the organization, or in the team with this slug or id.
    Users(Option<String>),
    /// Every team.
    Teams,
    /// Who holds which role in which team, or in the team with this slug or id.
    Grants(Option<String>),
    /// Users and teams, or only those of a type.
    Resources(Option<ResourceKind>),
}

impl Listed {
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

/// Hands every row to `each`: one text for each of the columns.
///
/// # Errors
/// What keeps a list from being read whole, a team that does not exist, or the failure of `each`. The rows so far are then no list.
pub async fn list(
    access: &Governance,
    listed: &Listed,
    progress: &Progress,
    each: &mut dyn FnMut(&[&str]) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let mut listing = Listing {
        reader: Reader::begin(access, progress),
        organization: access.organization(),
        progress,
        each,
    };
    match listed {
        Listed::Users(None) => listing.users(None).await,
        Listed::Users(Some(team)) => listing.members(team).await,
        Listed::Teams => listing.teams().await,
        Listed::Grants(team) => listing.grants(team.as_deref()).await,
        Listed::Resources(only) => listing.resources(*only).await,
    }
}

struct Listing<'a> {
    reader: Reader<'a>,
    organization: &'a str,
    progress: &'a Progress,
    each: &'a mut dyn FnMut(&[&str]) -> Result<(), ExportError>,
}

impl Listing<'_> {
    /// Users; all of them, or these.
    async fn users(&mut self, only: Option<HashSet<UserId>>) -> Result<(), ExportError> {
        let print = &mut *self.each;
        let each = |user: OrganizationMember| {
            if only.as_ref().is_some_and(|only| !only.contains(&user.id)) {
                return Ok(());
            }
            let role = user.role.clone().unwrap_or_default();
            let row = rows::user(user);
            let names = names(&row);
            print(&[&names[0], &names[1], &role, id(&row)])
        };
        self.reader.users(each).await
    }

    async fn teams(&mut self) -> Result<(), ExportError> {
        let (print, organization) = (&mut *self.each, self.organization);
        let each = |team: Team| {
            let privacy = team.privacy.clone().unwrap_or_default();
            let row = rows::team(team, organization);
            let names = names(&row);
            print(&[&names[0], &names[1], &privacy, id(&row)])
        };
        self.reader.teams(each).await
    }

    /// The users who are in a team.
    async fn members(&mut self, team: &str) -> Result<(), ExportError> {
        let team = self.team(team).await?;
        self.progress.begin(Stage::Members);
        let holders = self.reader.holders_of_one(team.id).await?;
        self.users(Some(holders.into_iter().map(|holder| holder.user).collect()))
            .await
    }

    /// Who holds what, in all teams or in one.
    async fn grants(&mut self, only: Option<&str>) -> Result<(), ExportError> {
        let mut directory = Directory::default();
        self.reader
            .users(|user| {
                directory.add(&rows::user(user));
                Ok(())
            })
            .await?;
        let teams = match only {
            Some(team) => vec![self.team(team).await?],
            None => self.all_teams().await?,
        };
        let ids: Vec<_> = teams.iter().map(|team| team.id).collect();
        for team in teams {
            directory.add(&rows::team(team, self.organization));
        }
        self.progress.begin(Stage::Members);
        self.progress.expect(ids.len());
        for team in ids {
            let holders = match only {
                Some(_) => self.reader.holders_of_one(team).await?,
                None => self.reader.holders(team).await?,
            };
            for holder in &holders {
                let membership = directory.membership(&rows::grant(team, holder));
                (self.each)(&membership.cells())?;
            }
        }
        Ok(())
    }

    async fn resources(&mut self, only: Option<ResourceKind>) -> Result<(), ExportError> {
        let (print, organization) = (&mut *self.each, self.organization);
        let mut print = |kind: ResourceKind, row: &Resource| print(&[kind.id(), &row.display_name, id(row)]);
        if only != Some(ResourceKind::Team) {
            let each = |user| print(ResourceKind::User, &rows::user(user));
            self.reader.users(each).await?;
        }
        if only != Some(ResourceKind::User) {
            let each = |team| print(ResourceKind::Team, &rows::team(team, organization));
            self.reader.teams(each).await?;
        }
        Ok(())
    }

    async fn all_teams(&mut self) -> Result<Vec<Team>, ExportError> {
        let mut teams = Vec::new();
        self.reader
            .teams(|team| {
                teams.push(team);
                Ok(())
            })
            .await?;
        Ok(teams)
    }

    /// The team with this slug, or this id.
    async fn team(&mut self, named: &str) -> Result<Team, ExportError> {
        let teams = self.all_teams().await?;
        let is_named = |team: &Team| team.slug.as_deref() == Some(named) || team.id.to_string() == named;
        teams
            .into_iter()
            .find(is_named)
            .ok_or_else(|| ExportError::NoSuchTeam(named.to_owned()))
    }
}

fn id(resource: &Resource) -> &str {
    resource.id.as_ref().map(|id| id.resource.as_str()).unwrap_or_default()
}
