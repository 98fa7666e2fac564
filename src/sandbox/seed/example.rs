//! A small example company: Northwind Rail, which builds timetable software.

use super::example_objects;
use super::rng::{Rng, minutes_after_start};
use crate::sandbox::organization::{Organization, OrganizationRole, Person, SsoMode};
use crate::sandbox::team::{Privacy, Team, TeamRole};

/// Name, e-mail, whether an admin, and the role in each team of `TEAMS` by position (`M` maintainer, `m` member).
const PEOPLE: [(&str, &str, bool, &str); 14] = [
    ("Ingrid Sørensen", "ingrid@northwind-rail.example", true, "MM...M."),
    ("Tomás Herrera", "tomas@northwind-rail.example", true, "mm..M.M"),
    ("Amara Okafor", "amara@northwind-rail.example", false, "mM....."),
    ("Łukasz Wójcik", "lukasz@northwind-rail.example", false, "mm.m..."),
    (
        "Yuki Tanaka (田中 由紀)",
        "Yuki.Tanaka@northwind-rail.example",
        false,
        "m.M....",
    ),
    ("Zoë van den Berg", "zoe@northwind-rail.example", false, "m.mm..."),
    ("نور حداد", "nour@northwind-rail.example", false, "m.m...."),
    ("Priya Raghunathan", "priya@northwind-rail.example", false, "m..M..."),
    (
        "Diarmuid Ó Súilleabháin",
        "diarmuid@northwind-rail.example",
        false,
        "m..mm..",
    ),
    ("Sam Lee", "sam@northwind-rail.example", false, "m...m.."),
    ("Sam Lee", "sam.lee@northwind-rail.example", false, "m.....m"),
    ("Leilani Kealoha", "leilani@northwind-rail.example", false, "mm...m."),
    ("Release Robot", "robot@northwind-rail.example", false, "m.mm..."),
    ("Viktor Iliev", "viktor@contractor.example", false, "......."),
];

/// Slug, name, description, whether it is secret.
const TEAMS: [(&str, &str, Option<&str>, bool); 7] = [
    ("everyone", "Everyone", Some("Everyone in Northwind Rail"), false),
    ("platform", "Platform", Some("Runs the build fleet"), false),
    ("timetables", "Timetables 🚆", Some("The planner and its solver"), false),
    ("mobile", "Mobile", Some(""), false),
    ("data", "Données & Karten", None, false),
    (
        "incident-response",
        "Incident Response",
        Some("Break-glass access"),
        true,
    ),
    ("interns", "Interns", Some("Summer programme"), false),
];

pub(super) fn build() -> Organization {
    let mut rng = Rng::new(0x6e6f_7274_6877);
    let mut organization = Organization::new(
        rng.next_uuid(),
        "northwind-rail",
        "Northwind Rail",
        minutes_after_start(0),
    );
    let mut people = Vec::with_capacity(PEOPLE.len());
    for (number, (name, email, admin, roles)) in PEOPLE.into_iter().enumerate() {
        let id = rng.next_uuid();
        people.push((id, roles));
        organization.add_person(Person {
            id,
            name: name.to_owned(),
            email: email.to_owned(),
            role: if admin {
                OrganizationRole::Admin
            } else {
                OrganizationRole::Member
            },
            sso_mode: if roles.contains(['m', 'M']) {
                SsoMode::Required
            } else {
                SsoMode::Optional
            },
            created_at: minutes_after_start(number * 1_440),
        });
    }
    for (number, (slug, name, description, secret)) in TEAMS.into_iter().enumerate() {
        let mut team = Team {
            id: rng.next_uuid(),
            description: description.map(str::to_owned),
            privacy: if secret { Privacy::Secret } else { Privacy::Visible },
            default: number == 0,
            created_at: minutes_after_start((14 + number) * 1_440),
            created_by: people.first().map(|(id, _)| *id),
            ..Team::new(slug, name)
        };
        for (position, (user, roles)) in people.iter().enumerate() {
            let role = match roles.chars().nth(number) {
                Some('M') => TeamRole::Maintainer,
                Some('m') => TeamRole::Member,
                _ => continue,
            };
            team.set_member(*user, role, minutes_after_start((14 + number) * 1_440 + position));
        }
        organization.add_team(team);
    }
    example_objects::add(&mut organization);
    organization
}
