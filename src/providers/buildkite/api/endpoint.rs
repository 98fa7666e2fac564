//! The endpoints that we call, each with its path, its method and the scope that it needs (reference, section 1).

use std::fmt;

use http::Method;

use super::ids::{OrganizationSlug, TeamId, UserId};

/// A permission of an API token, as Buildkite's token page lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Read the token's owner.
    ReadUser,
    /// Read the organization and its people.
    ReadOrganizations,
    /// Read teams and who is in them.
    ReadTeams,
    /// Change who is in a team.
    WriteTeams,
}

impl Scope {
    /// Every scope that the connector can make use of.
    pub const ALL: [Self; 4] = [
        Self::ReadUser,
        Self::ReadOrganizations,
        Self::ReadTeams,
        Self::WriteTeams,
    ];

    /// The scope as Buildkite spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadUser => "read_user",
            Self::ReadOrganizations => "read_organizations",
            Self::ReadTeams => "read_teams",
            Self::WriteTeams => "write_teams",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One call of the REST API, addressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// The token itself: scopes, expiry, owner's name.
    AccessToken,
    /// The token's owner, with the user's id.
    User,
    /// The organization.
    Organization,
    /// The organizations that the token reaches.
    Organizations,
    /// The organization's people.
    OrganizationMembers,
    /// One person of the organization.
    OrganizationMember(UserId),
    /// The organization's teams.
    Teams,
    /// One team.
    Team(TeamId),
    /// Who is in a team.
    Members(TeamId),
    /// One member of a team.
    Member(TeamId, UserId),
    /// Puts somebody into a team.
    AddMember(TeamId),
    /// Changes a member's role.
    ChangeRole(TeamId, UserId),
    /// Takes somebody out of a team.
    RemoveMember(TeamId, UserId),
}

impl Endpoint {
    /// What is called, in words that logs, errors and metrics use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AccessToken => "access token",
            Self::User => "user",
            Self::Organization => "organization",
            Self::Organizations => "organizations",
            Self::OrganizationMembers => "organization members",
            Self::OrganizationMember(_) => "organization member",
            Self::Teams => "teams",
            Self::Team(_) => "team",
            Self::Members(_) => "team members",
            Self::Member(..) => "team member",
            Self::AddMember(_) => "add team member",
            Self::ChangeRole(..) => "change team member",
            Self::RemoveMember(..) => "remove team member",
        }
    }

    /// The scope without which Buildkite answers 403; the token's own record needs none.
    #[must_use]
    pub fn scope(self) -> Option<Scope> {
        match self {
            Self::AccessToken => None,
            Self::User => Some(Scope::ReadUser),
            Self::Organization | Self::Organizations | Self::OrganizationMembers | Self::OrganizationMember(_) => {
                Some(Scope::ReadOrganizations)
            }
            Self::Teams | Self::Team(_) | Self::Members(_) | Self::Member(..) => Some(Scope::ReadTeams),
            Self::AddMember(_) | Self::ChangeRole(..) | Self::RemoveMember(..) => Some(Scope::WriteTeams),
        }
    }

    /// Whether the call changes something, and so must not be sent again blindly.
    #[must_use]
    pub fn is_write(self) -> bool {
        self.method() != Method::GET
    }

    pub(crate) fn method(self) -> Method {
        match self {
            Self::AddMember(_) => Method::POST,
            Self::ChangeRole(..) => Method::PATCH,
            Self::RemoveMember(..) => Method::DELETE,
            _ => Method::GET,
        }
    }

    /// The segments of the path below `/v2`.
    pub(crate) fn path(self, organization: &OrganizationSlug) -> Vec<String> {
        let below: Vec<String> = match self {
            Self::AccessToken => return vec!["access-token".into()],
            Self::User => return vec!["user".into()],
            Self::Organizations => return vec!["organizations".into()],
            Self::Organization => vec![],
            Self::OrganizationMembers => vec!["members".into()],
            Self::OrganizationMember(user) => vec!["members".into(), user.to_string()],
            Self::Teams => vec!["teams".into()],
            Self::Team(team) => vec!["teams".into(), team.to_string()],
            Self::Members(team) | Self::AddMember(team) => vec!["teams".into(), team.to_string(), "members".into()],
            Self::Member(team, user) | Self::ChangeRole(team, user) | Self::RemoveMember(team, user) => {
                vec!["teams".into(), team.to_string(), "members".into(), user.to_string()]
            }
        };
        ["organizations".to_owned(), organization.to_string()]
            .into_iter()
            .chain(below)
            .collect()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
