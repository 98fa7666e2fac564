//! The three listings of a sync, each as something that can be set up, read by a platform and held against the truth.

use std::collections::BTreeSet;

use buildkite_connector::sandbox::{Endpoint, Sandbox, Seed};
use tonic::Status;
use uuid::Uuid;

use super::platform::{Platform, id_of, resource};
use super::sized;

/// Rows of a list that takes four windows: pages 1 to 4, of 100, 99, 98 and 97 rows, the last one short.
pub const ROWS: usize = 350;

/// One of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    People,
    Teams,
    Members,
}

impl Listing {
    pub const ALL: [Self; 3] = [Self::People, Self::Teams, Self::Members];

    /// An organization in which this list has `rows` rows, and the others few.
    pub fn seed(self, rows: usize) -> Seed {
        match self {
            Self::People => sized(1, 1, rows),
            Self::Teams => sized(rows, 1, 2),
            Self::Members => sized(1, rows, rows + 50),
        }
    }

    /// Where Buildkite serves it.
    pub fn endpoint(self) -> Endpoint {
        match self {
            Self::People => Endpoint::OrganizationMembers,
            Self::Teams => Endpoint::Teams,
            Self::Members => Endpoint::TeamMembers,
        }
    }

    /// The ids of its rows as they are now.
    pub fn truth(self, sandbox: &Sandbox) -> BTreeSet<Uuid> {
        sandbox.with_organization(|organization| match self {
            Self::People => organization.people().iter().map(|person| person.id).collect(),
            Self::Teams => organization.teams().iter().map(|team| team.id).collect(),
            Self::Members => {
                let team = organization.teams().first();
                team.map(|team| team.members().iter().map(|row| row.user).collect())
                    .unwrap_or_default()
            }
        })
    }

    /// Reads it as a platform does, from the first page to the last.
    pub async fn read(self, platform: &Platform, team: Uuid) -> Result<BTreeSet<Uuid>, Status> {
        let ids: Vec<String> = match self {
            Self::People => platform.resources("user").await?.iter().map(id_of).collect(),
            Self::Teams => platform.resources("team").await?.iter().map(id_of).collect(),
            Self::Members => {
                let grants = platform.grants(&resource("team", &team.to_string())).await?;
                grants
                    .iter()
                    .map(|grant| id_of(grant.principal.as_ref().unwrap()))
                    .collect()
            }
        };
        Ok(ids.iter().map(|id| id.parse().unwrap()).collect())
    }

    /// One page of it: the ids of its rows, and the token of the next page.
    pub async fn page(self, platform: &Platform, team: Uuid, token: &str) -> Result<(BTreeSet<Uuid>, String), Status> {
        let (ids, next): (Vec<String>, String) = match self {
            Self::Members => {
                let page = platform
                    .grants_page(&resource("team", &team.to_string()), token)
                    .await?;
                let ids = page.list.iter().map(|grant| id_of(grant.principal.as_ref().unwrap()));
                (ids.collect(), page.next_page_token)
            }
            Self::People | Self::Teams => {
                let kind = if self == Self::People { "user" } else { "team" };
                let page = platform.resources_page(kind, token, super::platform::SYNC).await?;
                (page.list.iter().map(id_of).collect(), page.next_page_token)
            }
        };
        Ok((ids.iter().map(|id| id.parse().unwrap()).collect(), next))
    }
}

impl Listing {
    /// Reads it in pages of at most `size` rows: the ids as they came, and how many pages there were.
    pub async fn read_sized(
        self,
        platform: &Platform,
        team: Uuid,
        sync: &str,
        size: u32,
    ) -> Result<(Vec<Uuid>, usize), Status> {
        let (mut ids, mut token, mut pages) = (vec![], String::new(), 0);
        let team = resource("team", &team.to_string());
        loop {
            let (page, next): (Vec<String>, String) = match self {
                Self::Members => {
                    let page = platform.grants_sized(&team, &token, sync, size).await?;
                    let ids = page.list.iter().map(|grant| id_of(grant.principal.as_ref().unwrap()));
                    (ids.collect(), page.next_page_token)
                }
                Self::People | Self::Teams => {
                    let kind = if self == Self::People { "user" } else { "team" };
                    let page = platform.resources_sized(kind, &token, sync, size).await?;
                    (page.list.iter().map(id_of).collect(), page.next_page_token)
                }
            };
            assert!(
                size == 0 || page.len() <= size as usize,
                "{} rows in a page of {size}",
                page.len()
            );
            ids.extend(page.iter().map(|id| id.parse::<Uuid>().unwrap()));
            pages += 1;
            if next.is_empty() {
                return Ok((ids, pages));
            }
            token = next;
        }
    }
}

/// The team whose members are read; nil where there is none.
pub fn first_team(sandbox: &Sandbox) -> Uuid {
    sandbox.with_organization(|organization| organization.teams().first().map(|team| team.id).unwrap_or_default())
}
