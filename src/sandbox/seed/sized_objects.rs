//! What a generated organization has beside people and teams.

use uuid::Uuid;

use super::rng::{Rng, minutes_after_start};
use super::sized::{Size, choose};
use crate::sandbox::clusters::{Cluster, Maintainer};
use crate::sandbox::invitations::Invitation;
use crate::sandbox::objects::{Registry, Suite};
use crate::sandbox::organization::Organization;
use crate::sandbox::pipelines::Pipeline;
use crate::sandbox::team::{PipelineLevel, SuiteLevel};

/// Adds it. The ids come from a generator of their own, so that people and teams do not depend on these numbers.
pub(super) fn add(organization: &mut Organization, size: Size) {
    let mut rng = Rng::new(!size.seed);
    let teams: Vec<Uuid> = organization.teams().iter().map(|team| team.id).collect();
    let people: Vec<Uuid> = organization.people().iter().map(|person| person.id).collect();
    add_pipelines(organization, &mut rng, &teams, size);
    add_suites(organization, &mut rng, &teams, size);
    for number in 0..size.registries {
        organization.add_registry(Registry {
            id: rng.next_uuid(),
            teams: choose(&mut rng, &teams, size.teams_per_object),
            created_at: minutes_after_start(number),
            ..Registry::new(&format!("registry-{number}"), &format!("Registry {number}"), "docker")
        });
    }
    for number in 0..size.clusters {
        let created_at = minutes_after_start(number);
        let mut cluster = Cluster {
            id: rng.next_uuid(),
            created_at,
            ..Cluster::new(&format!("Cluster {number}"))
        };
        for team in choose(&mut rng, &teams, 1) {
            cluster.add_maintainer(rng.next_uuid(), Maintainer::Team(team), created_at);
        }
        for person in choose(&mut rng, &people, 1) {
            cluster.add_maintainer(rng.next_uuid(), Maintainer::User(person), created_at);
        }
        organization.add_cluster(cluster);
    }
    for number in 0..size.invitations {
        organization.add_invitation(Invitation {
            id: rng.next_uuid(),
            created_at: minutes_after_start(number),
            created_by: people.first().copied(),
            ..Invitation::new(&format!("invited-{number}@sized.example"))
        });
    }
}

fn add_pipelines(organization: &mut Organization, rng: &mut Rng, teams: &[Uuid], size: Size) {
    const LEVELS: [PipelineLevel; 3] = [
        PipelineLevel::ManageBuildAndRead,
        PipelineLevel::BuildAndRead,
        PipelineLevel::ReadOnly,
    ];
    for number in 0..size.pipelines {
        let created_at = minutes_after_start(number);
        let pipeline = organization.add_pipeline(Pipeline {
            id: rng.next_uuid(),
            created_at,
            ..Pipeline::new(&format!("pipeline-{number}"), &format!("Pipeline {number}"))
        });
        let chosen = choose(rng, teams, size.teams_per_object);
        for (team, level) in chosen.into_iter().zip(LEVELS.into_iter().cycle()) {
            if let Some(team) = organization.team_mut(team) {
                team.set_pipeline(pipeline, level, created_at);
            }
        }
    }
}

fn add_suites(organization: &mut Organization, rng: &mut Rng, teams: &[Uuid], size: Size) {
    for number in 0..size.suites {
        let created_at = minutes_after_start(number);
        let suite = organization.add_suite(Suite {
            id: rng.next_uuid(),
            created_at,
            ..Suite::new(&format!("suite-{number}"), &format!("Suite {number}"))
        });
        let chosen = choose(rng, teams, size.teams_per_object);
        for (team, level) in chosen
            .into_iter()
            .zip([SuiteLevel::Edit, SuiteLevel::Read].into_iter().cycle())
        {
            if let Some(team) = organization.team_mut(team) {
                team.set_suite(suite, level, created_at);
            }
        }
    }
}
