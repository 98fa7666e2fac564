//! The JSON of suites, registries, clusters, invitations, agents and audit events (sections 2.9 to 2.11 of the REST
//! reference).

use serde_json::{Value, json};
use uuid::Uuid;

use super::agents::{Agent, AuditEvent};
use super::clusters::{Cluster, ClusterMaintainer, Maintainer};
use super::invitations::{Invitation, InvitationState};
use super::json;
use super::objects::{Registry, Suite};
use super::organization::Organization;

pub(super) fn suite(organization: &Organization, origin: &str, suite: &Suite) -> Value {
    let (of, slug) = (&organization.slug, &suite.slug);
    json!({
        "id": suite.id,
        "graphql_id": json::graphql_id("Suite", suite.id),
        "slug": slug,
        "name": suite.name,
        "url": format!("{origin}/v2/analytics/organizations/{of}/suites/{slug}"),
        "web_url": format!("https://buildkite.com/organizations/{of}/analytics/suites/{slug}"),
        "default_branch": suite.default_branch,
    })
}

pub(super) fn registry(organization: &Organization, origin: &str, registry: &Registry) -> Value {
    let (of, slug) = (&organization.slug, &registry.slug);
    json!({
        "id": registry.id,
        "graphql_id": json::graphql_id("Registry", registry.id),
        "slug": slug,
        "url": format!("{origin}/v2/packages/organizations/{of}/registries/{slug}"),
        "web_url": format!("https://buildkite.com/organizations/{of}/packages/registries/{slug}"),
        "name": registry.name,
        "ecosystem": registry.ecosystem,
        "description": null,
        "emoji": null,
        "color": null,
        "public": registry.public,
        "oidc_policy": null,
        "team_ids": registry.teams,
    })
}

pub(super) fn cluster(organization: &Organization, origin: &str, cluster: &Cluster) -> Value {
    let of = &organization.slug;
    let url = format!("{origin}/v2/organizations/{of}/clusters/{}", cluster.id);
    json!({
        "id": cluster.id,
        "graphql_id": json::graphql_id("Cluster", cluster.id),
        "default_queue_id": null,
        "name": cluster.name,
        "description": cluster.description,
        "emoji": null,
        "color": null,
        "url": url,
        "web_url": format!("https://buildkite.com/organizations/{of}/clusters/{}", cluster.id),
        "queues_url": format!("{url}/queues"),
        "default_queue_url": null,
        "created_at": json::format_iso(cluster.created_at),
        "created_by": json::user(organization, cluster.created_by),
    })
}

/// A maintainer's row. The actor of a person or team that does not exist any more has an id and a type only.
pub(super) fn cluster_maintainer(organization: &Organization, row: &ClusterMaintainer) -> Value {
    let actor = match row.maintainer {
        Maintainer::User(id) => {
            let person = organization.current_or_former_person(id);
            json!({
                "id": id,
                "graphql_id": json::graphql_id("User", id),
                "type": "user",
                "name": person.map(|person| &person.name),
                "email": person.map(|person| &person.email),
            })
        }
        Maintainer::Team(id) => json!({
            "id": id,
            "graphql_id": json::graphql_id("Team", id),
            "type": "team",
            "slug": organization.team(id).map(|team| &team.slug),
        }),
    };
    json!({ "id": row.id, "actor": actor })
}

/// An invitation. Its teams have no role, although requests give one.
pub(super) fn invitation(organization: &Organization, origin: &str, invitation: &Invitation) -> Value {
    let teams: Vec<Value> = invitation
        .teams
        .iter()
        .filter_map(|row| organization.team(row.team))
        .map(|team| json!({ "id": team.id, "graphql_id": json::graphql_id("Team", team.id), "slug": team.slug }))
        .collect();
    let (accepted, revoked, expired_at) = match invitation.state {
        InvitationState::Pending => (None, None, None),
        InvitationState::Accepted { at, by } => (Some((at, by)), None, None),
        InvitationState::Revoked { at, by } => (None, Some((at, by)), None),
        InvitationState::Expired { at } => (None, None, Some(at)),
    };
    json!({
        "id": invitation.id,
        "graphql_id": json::graphql_id("OrganizationInvitation", invitation.id),
        "url": format!("{origin}/v2/organizations/{}/invitations/{}", organization.slug, invitation.id),
        "email": invitation.email,
        "state": invitation.state.name(),
        "role": invitation.role,
        "sso_mode": invitation.sso_mode,
        "teams": teams,
        "created_at": json::format_iso(invitation.created_at),
        "created_by": short_user(organization, invitation.created_by),
        "accepted_at": accepted.map(|(at, _)| json::format_iso(at)),
        "accepted_by": short_user(organization, accepted.map(|(_, by)| by)),
        "revoked_at": revoked.map(|(at, _)| json::format_iso(at)),
        "revoked_by": short_user(organization, revoked.map(|(_, by)| by)),
        "expired_at": expired_at.map(json::format_iso),
    })
}

pub(super) fn agent(organization: &Organization, origin: &str, agent: &Agent) -> Value {
    let of = &organization.slug;
    json!({
        "id": agent.id,
        "graphql_id": json::graphql_id("Agent", agent.id),
        "url": format!("{origin}/v2/organizations/{of}/agents/{}", agent.id),
        "web_url": format!("https://buildkite.com/organizations/{of}/agents/{}", agent.id),
        "name": agent.name,
        "connection_state": "connected",
        "hostname": agent.hostname,
        "ip_address": "192.0.2.10",
        "user_agent": "buildkite-agent/3.100.0 (linux; amd64)",
        "version": "3.100.0",
        "creator": null,
        "created_at": json::format_iso(agent.created_at),
        "job": null,
        "meta_data": ["queue=default"],
    })
}

pub(super) fn audit_event(organization: &Organization, origin: &str, event: &AuditEvent) -> Value {
    let actor = event.actor.and_then(|id| organization.current_or_former_person(id));
    let subject = event.subject.as_ref();
    json!({
        "uuid": event.id,
        "graphql_id": json::graphql_id("AuditEvent", event.id),
        "type": event.kind,
        "occurred_at": json::format_iso(event.occurred_at),
        "actor": actor.map(|person| json!({ "type": "User", "uuid": person.id, "name": person.name })),
        "subject": subject.map(|(kind, uuid, name)| json!({ "type": kind, "uuid": uuid, "name": name })),
        "context": null,
        "data": event.data,
        "url": format!("{origin}/v2/organizations/{}/audit_events/{}", organization.slug, event.id),
    })
}

/// The three fields of a person in an invitation.
fn short_user(organization: &Organization, user: Option<Uuid>) -> Option<Value> {
    user.and_then(|id| organization.current_or_former_person(id))
        .map(|person| json!({ "id": person.id, "name": person.name, "email": person.email }))
}
