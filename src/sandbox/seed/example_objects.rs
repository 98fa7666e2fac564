//! What the example company has beside people and teams.

use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::rng::{Rng, minutes_after_start};
use crate::sandbox::agents::{Agent, AuditEvent};
use crate::sandbox::clusters::{Cluster, Maintainer};
use crate::sandbox::invitations::{Invitation, InvitationState, InvitationTeam};
use crate::sandbox::objects::{Registry, Suite};
use crate::sandbox::organization::{Organization, OrganizationRole};
use crate::sandbox::pipelines::{Pipeline, PipelineVisibility};
use crate::sandbox::team::PipelineLevel::{self, BuildAndRead, ManageBuildAndRead, ReadOnly};
use crate::sandbox::team::SuiteLevel::{self, Edit, Read};
use crate::sandbox::team::TeamRole;

/// The levels of access, by the slug of the team.
type Levels<L> = &'static [(&'static str, L)];

/// Slug, name, and the level of each team with access.
const PIPELINES: [(&str, &str, Levels<PipelineLevel>); 5] = [
    (
        "deploy",
        "Deploy 🚀",
        &[
            ("platform", ManageBuildAndRead),
            ("everyone", ReadOnly),
            ("incident-response", BuildAndRead),
        ],
    ),
    (
        "timetable-solver",
        "Timetable solver",
        &[("timetables", ManageBuildAndRead), ("data", BuildAndRead)],
    ),
    (
        "mobile-app",
        "Mobile app",
        &[("mobile", ManageBuildAndRead), ("interns", ReadOnly)],
    ),
    ("docs-site", "Docs site", &[("everyone", BuildAndRead)]),
    (
        "break-glass",
        "Break glass",
        &[("incident-response", ManageBuildAndRead)],
    ),
];

/// Slug, name, and the level of each team with access.
const SUITES: [(&str, &str, Levels<SuiteLevel>); 3] = [
    ("solver-tests", "Solver tests", &[("timetables", Edit), ("data", Read)]),
    ("mobile-ui", "Mobile UI", &[("mobile", Edit)]),
    ("drills", "Incident drills", &[("incident-response", Edit)]),
];

/// Slug, name, ecosystem, and the teams with access.
const REGISTRIES: [(&str, &str, &str, &[&str]); 3] = [
    ("containers", "Containers", "docker", &["platform", "mobile"]),
    ("solver-packages", "Solver packages", "python", &["timetables"]),
    ("incident-tools", "Incident tools", "files", &["incident-response"]),
];

/// Adds it. The ids come from a generator of their own, so that those of people and teams stay as they are.
pub(super) fn add(organization: &mut Organization) {
    let mut rng = Rng::new(0x6f62_6a65_6374);
    add_pipelines(organization, &mut rng);
    add_suites_and_registries(organization, &mut rng);
    add_clusters(organization, &mut rng);
    add_builds(organization, &mut rng);
    add_invitations(organization, &mut rng);
    add_agents_and_events(organization, &mut rng);
}

/// A time after those of all people and teams.
fn day(number: usize) -> Timestamp {
    minutes_after_start((60 + number) * 1_440)
}

fn team(organization: &Organization, slug: &str) -> Uuid {
    organization.team_by_slug(slug).map(|team| team.id).unwrap_or_default()
}

fn person(organization: &Organization, email: &str) -> Uuid {
    organization
        .person_by_email(email)
        .map(|person| person.id)
        .unwrap_or_default()
}

fn owner(organization: &Organization) -> Option<Uuid> {
    organization.owner().map(|person| person.id)
}

fn add_pipelines(organization: &mut Organization, rng: &mut Rng) {
    for (number, (slug, name, teams)) in PIPELINES.into_iter().enumerate() {
        let mut pipeline = Pipeline {
            id: rng.next_uuid(),
            description: (number < 2).then(|| format!("{name} of Northwind Rail")),
            approval: slug == "deploy",
            created_at: day(number),
            created_by: owner(organization),
            ..Pipeline::new(slug, name)
        };
        if slug == "mobile-app" {
            "git@git.example.com:northwind/mobile-app.git".clone_into(&mut pipeline.repository);
        }
        if slug == "docs-site" {
            pipeline.visibility = PipelineVisibility::Public;
            pipeline.archived_at = Some(day(30));
        }
        let id = organization.add_pipeline(pipeline);
        for (slug, level) in teams {
            let team = team(organization, slug);
            if let Some(team) = organization.team_mut(team) {
                team.set_pipeline(id, *level, day(number));
            }
        }
    }
}

fn add_suites_and_registries(organization: &mut Organization, rng: &mut Rng) {
    for (number, (slug, name, teams)) in SUITES.into_iter().enumerate() {
        let id = organization.add_suite(Suite {
            id: rng.next_uuid(),
            created_at: day(number),
            ..Suite::new(slug, name)
        });
        for (slug, level) in teams {
            let team = team(organization, slug);
            if let Some(team) = organization.team_mut(team) {
                team.set_suite(id, *level, day(number));
            }
        }
    }
    for (number, (slug, name, ecosystem, teams)) in REGISTRIES.into_iter().enumerate() {
        organization.add_registry(Registry {
            id: rng.next_uuid(),
            teams: teams.iter().map(|slug| team(organization, slug)).collect(),
            created_at: day(number),
            ..Registry::new(slug, name, ecosystem)
        });
    }
}

fn add_clusters(organization: &mut Organization, rng: &mut Rng) {
    let platform = Maintainer::Team(team(organization, "platform"));
    let ingrid = Maintainer::User(person(organization, "ingrid@northwind-rail.example"));
    let amara = Maintainer::User(person(organization, "amara@northwind-rail.example"));
    for (number, (name, description, maintainers)) in [
        ("Production", Some("Machines that deploy"), vec![platform, ingrid]),
        ("Staging", None, vec![amara]),
    ]
    .into_iter()
    .enumerate()
    {
        let mut cluster = Cluster {
            id: rng.next_uuid(),
            description: description.map(str::to_owned),
            created_at: day(number),
            created_by: owner(organization),
            ..Cluster::new(name)
        };
        for maintainer in maintainers {
            cluster.add_maintainer(rng.next_uuid(), maintainer, day(number));
        }
        organization.add_cluster(cluster);
    }
    let production = organization.cluster_by_name("Production").map(|cluster| cluster.id);
    for pipeline in organization.pipelines.iter_mut() {
        pipeline.cluster = production;
    }
}

/// The first build of `deploy` has passed, the second waits for its approval.
fn add_builds(organization: &mut Organization, rng: &mut Rng) {
    let creator = owner(organization);
    let deploy = organization.pipeline_by_slug("deploy").map(|pipeline| pipeline.id);
    let Some(deploy) = deploy.and_then(|id| organization.pipeline_mut(id)) else {
        return;
    };
    deploy.start_build("main", "4d6f2a9", day(40));
    deploy.start_build("main", "4d6f2a9", day(41));
    for (build, state) in deploy.builds.iter_mut().zip(["passed", "blocked"]) {
        build.id = rng.next_uuid();
        state.clone_into(&mut build.state);
        "Deploy the summer timetable".clone_into(&mut build.message);
        build.creator = creator;
        build.finished_at = (state == "passed").then_some(build.created_at);
        for (job, block) in build.jobs.iter_mut().zip(["passed", "blocked"]) {
            job.id = rng.next_uuid();
            let job_state = if state == "passed" && block == "blocked" {
                "unblocked"
            } else {
                block
            };
            job_state.clone_into(&mut job.state);
        }
    }
}

fn add_invitations(organization: &mut Organization, rng: &mut Rng) {
    let ingrid = person(organization, "ingrid@northwind-rail.example");
    let viktor = person(organization, "viktor@contractor.example");
    let timetables = team(organization, "timetables");
    for (number, (email, state, role)) in [
        (
            "viktor@contractor.example",
            InvitationState::Accepted { at: day(2), by: viktor },
            OrganizationRole::Member,
        ),
        (
            "late@northwind-rail.example",
            InvitationState::Expired { at: day(10) },
            OrganizationRole::Member,
        ),
        (
            "typo@northwind-rial.example",
            InvitationState::Revoked { at: day(3), by: ingrid },
            OrganizationRole::Member,
        ),
        (
            "Freya@northwind-rail.example",
            InvitationState::Pending,
            OrganizationRole::Member,
        ),
        (
            "kofi@contractor.example",
            InvitationState::Pending,
            OrganizationRole::Admin,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let teams = match state {
            InvitationState::Pending if role == OrganizationRole::Member => vec![InvitationTeam {
                team: timetables,
                role: TeamRole::Maintainer,
            }],
            _ => Vec::new(),
        };
        organization.add_invitation(Invitation {
            id: rng.next_uuid(),
            role,
            teams,
            state,
            created_at: day(number),
            created_by: Some(ingrid),
            ..Invitation::new(email)
        });
    }
}

fn add_agents_and_events(organization: &mut Organization, rng: &mut Rng) {
    for number in 1..=2 {
        organization.add_agent(Agent {
            id: rng.next_uuid(),
            name: format!("builder-{number}"),
            hostname: format!("builder-{number}.internal.example"),
            created_at: day(number),
        });
    }
    let actor = owner(organization);
    for (number, (kind, subject, data)) in [
        (
            "OrganizationUpdatedEvent",
            "Organization",
            json!({ "name": "Northwind Rail" }),
        ),
        ("TeamCreatedEvent", "Team", json!({})),
        ("TeamMemberCreatedEvent", "TeamMember", json!({ "role": "member" })),
    ]
    .into_iter()
    .enumerate()
    {
        organization.add_audit_event(AuditEvent {
            id: rng.next_uuid(),
            kind: kind.to_owned(),
            occurred_at: day(number),
            actor,
            subject: Some((subject.to_owned(), rng.next_uuid(), None)),
            data,
        });
    }
}
