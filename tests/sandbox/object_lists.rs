//! Lists of objects: their pages, the rows that move in them, and the sizes of generated ones.

use buildkite_connector::sandbox::{
    Behaviors, Edit, Endpoint, Fault, FaultKind, LimitOptions, Options, Order, Paging, Seed, Size,
};
use rstest::rstest;

use crate::probe::{Probe, Reply};

/// 40 rows in every list; every team and cluster has all of them.
async fn generated() -> Probe {
    let seed = Seed::Sized(Size {
        teams: 2,
        members_per_team: 40,
        people: 50,
        pipelines: 40,
        suites: 40,
        registries: 40,
        teams_per_object: 2,
        clusters: 40,
        invitations: 40,
        seed: 7,
    });
    let options = Options {
        seed,
        limits: LimitOptions::unlimited(),
        ..Options::default()
    };
    Probe::start(options).await.with_all_scopes()
}

/// Each list with its endpoint and the behavior of its pages.
type List = (Endpoint, String, fn(&mut Behaviors) -> &mut Paging);

fn lists(probe: &Probe) -> [List; 7] {
    let team = probe.team("team-0").id;
    [
        (Endpoint::Pipelines, probe.path("pipelines"), |behaviors| {
            &mut behaviors.pipeline_paging
        }),
        (
            Endpoint::TeamPipelines,
            probe.path(&format!("teams/{team}/pipelines")),
            |behaviors| &mut behaviors.team_pipeline_paging,
        ),
        (Endpoint::Suites, probe.suites(), |behaviors| {
            &mut behaviors.suite_paging
        }),
        (
            Endpoint::TeamSuites,
            probe.path(&format!("teams/{team}/suites")),
            |behaviors| &mut behaviors.team_suite_paging,
        ),
        (Endpoint::Registries, probe.registries(), |behaviors| {
            &mut behaviors.registry_paging
        }),
        (Endpoint::Clusters, probe.path("clusters"), |behaviors| {
            &mut behaviors.cluster_paging
        }),
        (
            Endpoint::ClusterMaintainers,
            format!("{}/maintainers", probe.cluster("Cluster 20")),
            |behaviors| &mut behaviors.cluster_maintainer_paging,
        ),
    ]
}

fn length(reply: &Reply) -> usize {
    reply.rows().len()
}

#[rstest]
#[case(Paging::Paged, [30, 20, 10])]
#[case(Paging::Complete, [40, 40, 40])]
#[case(Paging::PerPageIgnored, [30, 30, 0])]
#[case(Paging::PageIgnored, [30, 20, 10])]
#[tokio::test]
async fn each_list_pages_by_its_own_behavior(#[case] paging: Paging, #[case] expected: [usize; 3]) {
    let probe = generated().await;
    let cluster = probe.sandbox.organization().cluster_by_name("Cluster 20").unwrap().id;
    probe.sandbox.edit(|organization| {
        let people: Vec<_> = organization.people().iter().map(|person| person.id).collect();
        let cluster = organization.cluster_mut(cluster).unwrap();
        for person in people {
            if cluster.maintainers().len() < 40 {
                let maintainer = buildkite_connector::sandbox::Maintainer::User(person);
                cluster.add_maintainer(uuid::Uuid::new_v4(), maintainer, jiff::Timestamp::now());
            }
        }
    });
    for (endpoint, path, behavior) in lists(&probe) {
        probe
            .sandbox
            .change_behaviors(|behaviors| *behavior(behaviors) = paging);
        let found = [
            length(&probe.get(&path).await),
            length(&probe.get(&format!("{path}?per_page=20")).await),
            length(&probe.get(&format!("{path}?per_page=10&page=4")).await),
        ];
        assert_eq!(found, expected, "{endpoint}");
        probe
            .sandbox
            .change_behaviors(|behaviors| *behavior(behaviors) = Paging::Paged);
        let reply = probe.get(&format!("{path}?per_page=10")).await;
        assert!(
            reply.link("next").unwrap().ends_with("per_page=10&page=2"),
            "{endpoint}"
        );
    }
}

#[rstest]
#[case(Order::OldestFirst)]
#[case(Order::NewestFirst)]
#[tokio::test]
async fn rows_move_in_every_list(#[case] order: Order) {
    let probe = generated().await;
    probe.sandbox.change_behaviors(|behaviors| behaviors.order = order);
    for (endpoint, path, _) in lists(&probe) {
        let path = format!("{path}?per_page=100");
        let key = match endpoint {
            Endpoint::TeamPipelines => "pipeline_id",
            Endpoint::TeamSuites => "suite_id",
            _ => "id",
        };
        // A row leaves first: where all objects are in the list already, nothing can be inserted.
        for (edit, change) in [
            (Edit::RemoveAhead, -1),
            (Edit::InsertAhead, 1),
            (Edit::RemoveAndAddAgain, 0),
        ] {
            let before = probe.get(&path).await.column(key);
            let fault = Fault::new(endpoint, FaultKind::MoveRows(edit)).once();
            let fault = probe.sandbox.faults().add(fault);
            let after = probe.get(&path).await.column(key);
            assert_eq!(fault.fired(), 1, "{endpoint}");
            assert_eq!(after.len(), before.len().saturating_add_signed(change), "{endpoint}");
            // In a list that is newest first, the place of new rows is the first.
            let stays = change == 0 && order == Order::NewestFirst;
            assert_eq!(after.first() == before.first(), stays, "{endpoint}");
        }
    }
}

#[tokio::test]
async fn rows_move_in_the_list_of_invitations() {
    let probe = generated().await;
    let path = probe.path("invitations?per_page=100");
    for (edit, length) in [
        (Edit::RemoveAhead, 39),
        (Edit::InsertAhead, 40),
        (Edit::RemoveAndAddAgain, 40),
    ] {
        probe
            .sandbox
            .faults()
            .add(Fault::new(Endpoint::Invitations, FaultKind::MoveRows(edit)).once());
        let items = probe.get(&path).await.json()["items"].as_array().unwrap().len();
        assert_eq!(items, length);
    }
    probe
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::Invitations, FaultKind::ShortPage(3)).once());
    let short = probe.get(&path).await.json();
    assert_eq!(short["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_generated_organization_has_the_requested_objects_and_the_same_people() {
    let size = Size {
        teams: 250,
        members_per_team: 20,
        people: 2_000,
        ..Size::default()
    };
    let plain = Seed::Sized(size).build();
    let full = Seed::Sized(Size {
        pipelines: 400,
        suites: 60,
        registries: 10,
        teams_per_object: 6,
        clusters: 5,
        invitations: 15,
        ..size
    });
    let (full, again) = (full.clone().build(), full.build());
    let ids = |organization: &buildkite_connector::sandbox::Organization| {
        let people = organization.people().iter().map(|person| person.id);
        people
            .chain(organization.teams().iter().map(|team| team.id))
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&plain), ids(&full));
    let pipelines = |organization: &buildkite_connector::sandbox::Organization| {
        organization.pipelines().iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(pipelines(&full), pipelines(&again));
    assert_eq!(
        (full.pipelines().len(), full.suites().len(), full.registries().len()),
        (400, 60, 10)
    );
    assert_eq!((full.clusters().len(), full.invitations().len()), (5, 15));
    let rows: usize = full.teams().iter().map(|team| team.pipelines().len()).sum();
    assert_eq!(rows, 400 * 6);
    let rows: usize = full.teams().iter().map(|team| team.suites().len()).sum();
    assert_eq!(rows, 60 * 6);
    assert!(full.registries().iter().all(|registry| registry.teams.len() == 6));
}
