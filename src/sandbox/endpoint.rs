//! Maps requests to endpoints. This is the only place that parses paths.

use std::fmt;
use std::str::FromStr;

use http::Method;
use uuid::Uuid;

/// An endpoint of the API. Requests are counted by endpoint, and faults apply to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// Any endpoint; only used for faults.
    Any,
    /// `GET /`
    Root,
    /// `GET /v2/meta`
    Meta,
    /// `GET /v2/access-token`
    AccessToken,
    /// `DELETE /v2/access-token`
    RevokeAccessToken,
    /// `GET /v2/user`
    User,
    /// `GET /v2/organizations`
    Organizations,
    /// `GET /v2/organizations/{slug}`
    Organization,
    /// `GET …/rate_limit`
    RateLimit,
    /// `GET …/teams`
    Teams,
    /// `GET …/teams/{team}`
    Team,
    /// `GET …/teams/{team}/members`
    TeamMembers,
    /// `GET …/teams/{team}/members/{user}`
    TeamMember,
    /// `POST …/teams/{team}/members`
    AddTeamMember,
    /// `PATCH …/teams/{team}/members/{user}`
    ChangeTeamMember,
    /// `DELETE …/teams/{team}/members/{user}`
    RemoveTeamMember,
    /// `GET …/members`
    OrganizationMembers,
    /// `GET …/members/{user}`
    OrganizationMember,
    /// Anything else.
    Unknown,
}

impl Endpoint {
    /// Every endpoint and its name in `--fault`.
    pub const ALL: [(Self, &'static str); 19] = [
        (Self::Any, "any"),
        (Self::Root, "root"),
        (Self::Meta, "meta"),
        (Self::AccessToken, "access-token"),
        (Self::RevokeAccessToken, "revoke-access-token"),
        (Self::User, "user"),
        (Self::Organizations, "organizations"),
        (Self::Organization, "organization"),
        (Self::RateLimit, "rate-limit"),
        (Self::Teams, "teams"),
        (Self::Team, "team"),
        (Self::TeamMembers, "team-members"),
        (Self::TeamMember, "team-member"),
        (Self::AddTeamMember, "add-team-member"),
        (Self::ChangeTeamMember, "change-team-member"),
        (Self::RemoveTeamMember, "remove-team-member"),
        (Self::OrganizationMembers, "organization-members"),
        (Self::OrganizationMember, "organization-member"),
        (Self::Unknown, "unknown"),
    ];

    pub(super) fn covers(self, other: Self) -> bool {
        self == Self::Any || self == other
    }

    /// Whether its responses are pages of a list.
    pub(super) fn is_list(self) -> bool {
        matches!(
            self,
            Self::Organizations | Self::Teams | Self::TeamMembers | Self::OrganizationMembers
        )
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL
            .iter()
            .find(|(endpoint, _)| endpoint == self)
            .map_or("unknown", |(_, name)| name);
        out.write_str(name)
    }
}

/// No endpoint has this name.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` names no endpoint; the endpoints are {names}", names = Endpoint::ALL.map(|(_, name)| name).join(", "))]
pub struct UnknownEndpoint(String);

impl FromStr for Endpoint {
    type Err = UnknownEndpoint;

    fn from_str(text: &str) -> Result<Self, UnknownEndpoint> {
        Self::ALL
            .into_iter()
            .find_map(|(endpoint, name)| (name == text).then_some(endpoint))
            .ok_or_else(|| UnknownEndpoint(text.to_owned()))
    }
}

/// The endpoint and ids of a request. An id that is not a UUID becomes `None`, which matches no row.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) endpoint: Endpoint,
    pub(super) organization: Option<String>,
    pub(super) team: Option<Uuid>,
    pub(super) user: Option<Uuid>,
}

impl Target {
    pub(super) fn parse(method: &Method, path: &str) -> Self {
        let path = path.strip_prefix('/').unwrap_or(path);
        // Some examples in Buildkite's documentation end collection paths with a slash.
        let path = path.strip_suffix('/').unwrap_or(path);
        let segments: Vec<&str> = path.split('/').collect();
        match segments.as_slice() {
            ["v2", "organizations", slug, rest @ ..] => Self::in_organization(method, slug, rest),
            [""] if method == Method::GET => Self::outside_organization(Endpoint::Root),
            ["v2", "access-token"] if method == Method::DELETE => {
                Self::outside_organization(Endpoint::RevokeAccessToken)
            }
            ["v2", name] if method == Method::GET => Self::outside_organization(match *name {
                "meta" => Endpoint::Meta,
                "access-token" => Endpoint::AccessToken,
                "user" => Endpoint::User,
                "organizations" => Endpoint::Organizations,
                _ => Endpoint::Unknown,
            }),
            _ => Self::outside_organization(Endpoint::Unknown),
        }
    }

    fn in_organization(method: &Method, slug: &str, rest: &[&str]) -> Self {
        let (endpoint, team, user) = match (method.as_str(), rest) {
            ("GET", []) => (Endpoint::Organization, None, None),
            ("GET", ["rate_limit"]) => (Endpoint::RateLimit, None, None),
            ("GET", ["members"]) => (Endpoint::OrganizationMembers, None, None),
            ("GET", ["members", user]) => (Endpoint::OrganizationMember, None, Some(*user)),
            ("GET", ["teams"]) => (Endpoint::Teams, None, None),
            ("GET", ["teams", team]) => (Endpoint::Team, Some(*team), None),
            ("GET", ["teams", team, "members"]) => (Endpoint::TeamMembers, Some(*team), None),
            ("POST", ["teams", team, "members"]) => (Endpoint::AddTeamMember, Some(*team), None),
            ("GET", ["teams", team, "members", user]) => (Endpoint::TeamMember, Some(*team), Some(*user)),
            ("PATCH", ["teams", team, "members", user]) => (Endpoint::ChangeTeamMember, Some(*team), Some(*user)),
            ("DELETE", ["teams", team, "members", user]) => (Endpoint::RemoveTeamMember, Some(*team), Some(*user)),
            _ => (Endpoint::Unknown, None, None),
        };
        Self {
            endpoint,
            organization: Some(slug.to_owned()),
            team: team.and_then(parse_uuid),
            user: user.and_then(parse_uuid),
        }
    }

    fn outside_organization(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            organization: None,
            team: None,
            user: None,
        }
    }
}

/// Buildkite only accepts the hyphenated form.
pub(super) fn parse_uuid(text: &str) -> Option<Uuid> {
    (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten()
}
