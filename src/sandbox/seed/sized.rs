//! Generated organizations of any size.

use uuid::Uuid;

use super::rng::{Rng, minutes_after_start};
use super::sized_objects;
use crate::sandbox::organization::{Organization, OrganizationRole, Person, SsoMode};
use crate::sandbox::team::{Privacy, Team, TeamRole};

const GIVEN_NAMES: [&str; 16] = [
    "Ada", "Björn", "Chiara", "Daniyar", "Eszter", "Fatima", "Goran", "Hana", "Ioana", "João", "Kwame", "Lucía",
    "Miren", "Nguyên", "Ólafur", "Priya",
];
const FAMILY_NAMES: [&str; 12] = [
    "Okafor",
    "Lindqvist",
    "Moretti",
    "Sato",
    "Núñez",
    "Haddad",
    "Kowalska",
    "Ng",
    "Petrov",
    "Silva",
    "Özdemir",
    "Walsh",
];

/// The size of a generated organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Number of teams; may be zero.
    pub teams: usize,
    /// Members of each team; at most the number of people.
    pub members_per_team: usize,
    /// Number of people; at least one, the admin who owns the default token.
    pub people: usize,
    /// Number of pipelines.
    pub pipelines: usize,
    /// Number of test suites.
    pub suites: usize,
    /// Number of package registries.
    pub registries: usize,
    /// Number of teams with access to each pipeline, suite and registry; at most the number of teams.
    pub teams_per_object: usize,
    /// Number of clusters. A team and a person maintain each.
    pub clusters: usize,
    /// Number of pending invitations.
    pub invitations: usize,
    /// A different number produces different ids.
    pub seed: u64,
}

impl Default for Size {
    fn default() -> Self {
        Self {
            teams: 20,
            members_per_team: 10,
            people: 100,
            pipelines: 0,
            suites: 0,
            registries: 0,
            teams_per_object: 3,
            clusters: 0,
            invitations: 0,
            seed: 0,
        }
    }
}

pub(super) fn build(size: Size) -> Organization {
    let mut rng = Rng::new(size.seed);
    let mut organization = Organization::new(rng.next_uuid(), "sized", "Sized", minutes_after_start(0));
    let mut people = Vec::with_capacity(size.people.max(1));
    for number in 0..size.people.max(1) {
        let person = build_person(&mut rng, number);
        people.push(person.id);
        organization.add_person(person);
    }
    let owner = people.first().copied();
    for number in 0..size.teams {
        let mut team = build_team(&mut rng, number);
        team.created_by = owner;
        for (position, user) in choose(&mut rng, &people, size.members_per_team).into_iter().enumerate() {
            let role = if position % 10 == 0 {
                TeamRole::Maintainer
            } else {
                TeamRole::Member
            };
            team.set_member(user, role, minutes_after_start(size.people + number + position));
        }
        organization.add_team(team);
    }
    sized_objects::add(&mut organization, size);
    organization
}

/// Chooses different ids, at most all of them.
pub(super) fn choose(rng: &mut Rng, ids: &[Uuid], count: usize) -> Vec<Uuid> {
    if ids.is_empty() {
        return Vec::new();
    }
    let start = rng.next_below(ids.len());
    // A step coprime to the number of ids reaches each of them once.
    let step = choose_coprime_step(rng, ids.len());
    (0..count.min(ids.len()))
        .filter_map(|position| ids.get((start + position * step) % ids.len()).copied())
        .collect()
}

fn build_person(rng: &mut Rng, number: usize) -> Person {
    let given_name = GIVEN_NAMES
        .get(rng.next_below(GIVEN_NAMES.len()))
        .copied()
        .unwrap_or_default();
    let family_name = FAMILY_NAMES
        .get(rng.next_below(FAMILY_NAMES.len()))
        .copied()
        .unwrap_or_default();
    Person {
        id: rng.next_uuid(),
        name: format!("{given_name} {family_name}"),
        email: format!("person-{number}@sized.example"),
        role: if number == 0 {
            OrganizationRole::Admin
        } else {
            OrganizationRole::Member
        },
        sso_mode: if number % 50 == 1 {
            SsoMode::Optional
        } else {
            SsoMode::Required
        },
        created_at: minutes_after_start(number),
    }
}

fn build_team(rng: &mut Rng, number: usize) -> Team {
    Team {
        id: rng.next_uuid(),
        description: (!number.is_multiple_of(3)).then(|| format!("Generated team {number}")),
        privacy: if number % 20 == 19 {
            Privacy::Secret
        } else {
            Privacy::Visible
        },
        created_at: minutes_after_start(number),
        ..Team::new(&format!("team-{number}"), &format!("Team {number}"))
    }
}

fn choose_coprime_step(rng: &mut Rng, people: usize) -> usize {
    let mut step = rng.next_below(people).max(1);
    while common_divisor(step, people) != 1 {
        step += 1;
    }
    step
}

fn common_divisor(left: usize, right: usize) -> usize {
    if right == 0 {
        left
    } else {
        common_divisor(right, left % right)
    }
}
