//! Lists that change while a client reads them: each edit applies to the list that the request reads.

use jiff::Timestamp;
use uuid::Uuid;

use super::Edit;
use super::move_objects::move_objects;
use crate::sandbox::behaviors::Order;
use crate::sandbox::endpoint::Endpoint;
use crate::sandbox::organization::{MemberRows, Organization, Person};
use crate::sandbox::target::Target;
use crate::sandbox::team::{Membership, Team, TeamRole};

/// Applies the edit.
pub(in crate::sandbox) fn apply_edit(edit: &Edit, organization: &mut Organization, target: &Target, order: Order) {
    if let Edit::With(change) = edit {
        change(organization);
        return;
    }
    match (target.endpoint, target.team, target.object_id()) {
        (Endpoint::Teams, ..) => move_teams(edit, organization, order),
        (Endpoint::OrganizationMembers, ..) => move_people(edit, organization, order),
        (Endpoint::TeamMembers, Some(team), _) => move_members(edit, organization, team, order),
        (endpoint, team, object) => move_objects(edit, organization, (endpoint, team, object), order),
    }
}

/// Whether the named edits apply to this list.
pub(super) fn can_move_rows(endpoint: Endpoint) -> bool {
    matches!(
        endpoint,
        Endpoint::Teams
            | Endpoint::OrganizationMembers
            | Endpoint::TeamMembers
            | Endpoint::TeamPipelines
            | Endpoint::TeamSuites
            | Endpoint::Pipelines
            | Endpoint::Suites
            | Endpoint::Registries
            | Endpoint::Clusters
            | Endpoint::ClusterMaintainers
            | Endpoint::Invitations
    )
}

/// The row that a list shows first.
pub(super) fn first_shown<'r, T>(mut rows: impl DoubleEndedIterator<Item = &'r T>, order: Order) -> Option<&'r T> {
    match order {
        Order::OldestFirst => rows.next(),
        Order::NewestFirst => rows.next_back(),
    }
}

fn move_teams(edit: &Edit, organization: &mut Organization, order: Order) {
    let first = first_shown(organization.teams().iter(), order).map(|team| team.id);
    match edit {
        Edit::RemoveAhead => {
            first.and_then(|id| organization.remove_team(id));
        }
        Edit::RemoveAndAddAgain => {
            // What the team gives access to stays, because only the list of teams moves.
            if let Some(mut team) = first.and_then(|id| organization.teams.remove(id)) {
                team.created_at = Timestamp::now();
                organization.add_team(team);
            }
        }
        Edit::InsertAhead => {
            let id = Uuid::new_v4();
            let team = Team {
                id,
                ..Team::new(&format!("new-{}", id.simple()), "New team")
            };
            match order {
                Order::OldestFirst => organization.add_team_ahead(team),
                Order::NewestFirst => {
                    organization.add_team(team);
                }
            }
        }
        Edit::With(_) => {}
    }
}

fn move_people(edit: &Edit, organization: &mut Organization, order: Order) {
    // Skip the owner of the default token: removing the owner would invalidate the token, which is a different fault.
    let owner = organization.owner().map(|person| person.id);
    let others = organization.people().iter().filter(|person| Some(person.id) != owner);
    let first = first_shown(others, order).cloned();
    match (edit, first) {
        (Edit::RemoveAhead, Some(person)) => {
            organization.remove_person(person.id, MemberRows::Dropped);
        }
        (Edit::RemoveAndAddAgain, Some(person)) => {
            // The memberships stay, because only the list of people moves.
            organization.remove_person(person.id, MemberRows::Kept);
            organization.add_person(person);
        }
        (Edit::InsertAhead, _) => {
            let id = Uuid::new_v4();
            let person = Person {
                id,
                ..Person::new("New person", &format!("new-{}@example.com", id.simple()))
            };
            match order {
                Order::OldestFirst => organization.add_person_ahead(person),
                Order::NewestFirst => {
                    organization.add_person(person);
                }
            }
        }
        _ => {}
    }
}

fn move_members(edit: &Edit, organization: &mut Organization, team: Uuid, order: Order) {
    let now = Timestamp::now();
    // A person who is in the organization but not in the team, or a new one if there is none.
    let newcomer = match (edit, organization.team(team)) {
        (Edit::InsertAhead, Some(team)) => {
            let outside = organization
                .people()
                .iter()
                .find(|person| team.member(person.id).is_none());
            let outside = outside.map(|person| person.id);
            Some(outside.unwrap_or_else(|| organization.add_person(Person::new("New person", "new@example.com"))))
        }
        _ => None,
    };
    let Some(team) = organization.team_mut(team) else {
        return;
    };
    let first = first_shown(team.members().iter(), order).copied();
    match (edit, first, newcomer) {
        (Edit::RemoveAhead, Some(row), _) => {
            team.remove_member(row.user);
        }
        (Edit::RemoveAndAddAgain, Some(row), _) => {
            team.remove_member(row.user);
            team.set_member(row.user, row.role, now);
        }
        (Edit::InsertAhead, _, Some(user)) => match order {
            Order::OldestFirst => {
                team.set_member_ahead(Membership {
                    user,
                    role: TeamRole::Member,
                    created_at: now,
                });
            }
            Order::NewestFirst => {
                team.set_member(user, TeamRole::Member, now);
            }
        },
        _ => {}
    }
}
