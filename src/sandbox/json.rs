//! The JSON of Buildkite's responses, field by field (sections 2.2 to 2.8 of its REST reference).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::auth::Token;
use super::behaviors::{Behaviors, ExpiresAt, MemberRoleField};
use super::organization::{Organization, OrganizationRole, Person, SsoMode};
use super::team::{Membership, Privacy, Team, TeamRole};

/// A team in `GET teams`.
#[expect(clippy::struct_excessive_bools, reason = "the fields are Buildkite's")]
#[derive(Serialize)]
pub(super) struct TeamJson<'a> {
    id: Uuid,
    graphql_id: String,
    name: &'a str,
    slug: &'a str,
    description: Option<&'a str>,
    privacy: Privacy,
    default: bool,
    created_at: String,
    created_by: Option<UserJson<'a>>,
    default_member_role: TeamRole,
    members_can_create_pipelines: bool,
    members_can_create_suites: bool,
    members_can_create_registries: bool,
    members_can_destroy_registries: bool,
    members_can_destroy_packages: bool,
}

impl<'a> TeamJson<'a> {
    pub(super) fn new(organization: &'a Organization, team: &'a Team) -> Self {
        Self {
            id: team.id,
            graphql_id: graphql_id("Team", team.id),
            name: &team.name,
            slug: &team.slug,
            description: team.description.as_deref(),
            privacy: team.privacy,
            default: team.default,
            created_at: format_iso(team.created_at),
            created_by: user(organization, team.created_by),
            default_member_role: team.default_member_role,
            members_can_create_pipelines: team.permissions.create_pipelines,
            members_can_create_suites: team.permissions.create_suites,
            members_can_create_registries: team.permissions.create_registries,
            members_can_destroy_registries: team.permissions.destroy_registries,
            members_can_destroy_packages: team.permissions.destroy_packages,
        }
    }
}

/// A team's member row. It has no e-mail address and no id of its own.
#[derive(Serialize)]
pub(super) struct TeamMemberJson<'a> {
    user_id: Uuid,
    user_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<TeamRole>,
    created_at: String,
}

impl<'a> TeamMemberJson<'a> {
    pub(super) fn new(organization: &'a Organization, row: &Membership) -> Self {
        Self {
            user_id: row.user,
            user_name: organization
                .current_or_former_person(row.user)
                .map_or("", |person| &person.name),
            role: Some(row.role),
            created_at: format_iso(row.created_at),
        }
    }

    pub(super) fn without_role(mut self) -> Self {
        self.role = None;
        self
    }
}

/// An organization member. Only admins and the member see `sso_mode`.
#[derive(Serialize)]
pub(super) struct OrganizationMemberJson<'a> {
    id: Uuid,
    name: &'a str,
    email: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<OrganizationRole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sso_mode: Option<SsoMode>,
}

impl<'a> OrganizationMemberJson<'a> {
    pub(super) fn new(person: &'a Person, caller: Uuid, caller_is_admin: bool, behaviors: &Behaviors) -> Self {
        Self {
            id: person.id,
            name: &person.name,
            email: &person.email,
            role: (behaviors.member_role_field == MemberRoleField::Present).then_some(person.role),
            sso_mode: (caller_is_admin || person.id == caller).then_some(person.sso_mode),
        }
    }
}

/// A user in `GET /v2/user` and `created_by`.
#[derive(Serialize)]
pub(super) struct UserJson<'a> {
    id: Uuid,
    graphql_id: String,
    name: &'a str,
    email: &'a str,
    avatar_url: String,
    created_at: String,
}

impl<'a> UserJson<'a> {
    pub(super) fn new(person: &'a Person) -> Self {
        Self {
            id: person.id,
            graphql_id: graphql_id("User", person.id),
            name: &person.name,
            email: &person.email,
            avatar_url: format!("https://www.gravatar.com/avatar/{}", person.id.simple()),
            created_at: format_iso(person.created_at),
        }
    }
}

/// A person who is or was in the organization, if known.
pub(super) fn user(organization: &Organization, id: Option<Uuid>) -> Option<UserJson<'_>> {
    id.and_then(|id| organization.current_or_former_person(id))
        .map(UserJson::new)
}

/// The organization. Its URLs point to this server.
pub(super) fn organization(organization: &Organization, origin: &str) -> Value {
    let slug = &organization.slug;
    let url = format!("{origin}/v2/organizations/{slug}");
    json!({
        "id": organization.id,
        "graphql_id": graphql_id("Organization", organization.id),
        "url": url,
        "web_url": format!("https://buildkite.com/{slug}"),
        "name": organization.name,
        "slug": slug,
        "pipelines_url": format!("{url}/pipelines"),
        "agents_url": format!("{url}/agents"),
        "emojis_url": format!("{url}/emojis"),
        "created_at": format_iso(organization.created_at),
    })
}

/// A token's description of itself: it names the owner and the e-mail address, but not the owner's id.
pub(super) fn access_token(token: &Token, owner: &Person, format: ExpiresAt) -> Value {
    let written = |at: Timestamp| match format {
        ExpiresAt::SpaceUtc => at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        ExpiresAt::Iso | ExpiresAt::Null | ExpiresAt::Absent => format_iso(at),
    };
    let mut document = json!({
        "uuid": token.uuid,
        "scopes": token.scopes,
        "description": token.description,
        "created_at": written(token.created_at),
        "user": { "email": owner.email, "name": owner.name },
    });
    let expires_at = match format {
        ExpiresAt::Absent => return document,
        ExpiresAt::Null => Value::Null,
        ExpiresAt::SpaceUtc | ExpiresAt::Iso => token.expires_at.map_or(Value::Null, |at| written(at).into()),
    };
    if let Some(fields) = document.as_object_mut() {
        fields.insert("expires_at".to_owned(), expires_at);
    }
    document
}

/// Milliseconds and a `Z`, as in the documentation.
pub(super) fn format_iso(at: Timestamp) -> String {
    format!("{at:.3}")
}

pub(super) fn graphql_id(kind: &str, id: Uuid) -> String {
    STANDARD.encode(format!("{kind}---{id}"))
}
