//! Grants and revokes mixed with everything that can happen around them, held against the reference model after every step.

use std::time::Duration;

use buildkite_connector::sandbox::{Behaviors, BodyStyle, Echo, Fault, FaultKind, MemberRows, Person, Team, WriteLag};
use http::StatusCode;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use tonic::Code;
use uuid::Uuid;

use super::model::{Answer, Change, HELD, Model, Pair, Role};
use super::{World, lagging, reason, setup};
use crate::support::Setup;
use buildkite_connector::sandbox::Endpoint;

/// Sequences; each is a world of its own, with behaviors of its own.
const SEQUENCES: u32 = 24;

#[derive(Clone, Debug)]
enum Step {
    Ask(usize, usize, Change),
    /// The same with something going wrong on the way.
    Struck(usize, usize, Change, Trouble),
    /// Behind the connector's back.
    Hold(usize, usize, Option<Role>),
    DeleteTeam(usize),
    Leave(usize),
    Join(usize),
}

/// What goes wrong, once, with a write or with a read.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    ResetBefore,
    ResetAfter,
    AppliedThenBadGateway,
    BadGateway,
    Truncated,
    Hang,
    ReadReset,
    ReadUnavailable,
}

impl Trouble {
    const ALL: [Self; 8] = [
        Self::ResetBefore,
        Self::ResetAfter,
        Self::AppliedThenBadGateway,
        Self::BadGateway,
        Self::Truncated,
        Self::Hang,
        Self::ReadReset,
        Self::ReadUnavailable,
    ];

    fn faults(self) -> Vec<Fault> {
        let kind = match self {
            Self::ResetBefore | Self::ReadReset => FaultKind::ResetBefore,
            Self::ResetAfter => FaultKind::ResetAfter,
            Self::AppliedThenBadGateway => FaultKind::AppliedThenStatus(StatusCode::BAD_GATEWAY),
            Self::BadGateway => FaultKind::Status(StatusCode::BAD_GATEWAY, BodyStyle::Html),
            Self::Truncated => FaultKind::Truncated,
            Self::Hang => FaultKind::Hang,
            Self::ReadUnavailable => FaultKind::Status(StatusCode::SERVICE_UNAVAILABLE, BodyStyle::Empty),
        };
        let endpoints = match self {
            Self::ReadReset | Self::ReadUnavailable => vec![Endpoint::TeamMember],
            _ => super::WRITES.to_vec(),
        };
        endpoints
            .into_iter()
            .map(|endpoint| Fault::new(endpoint, kind.clone()).once())
            .collect()
    }
}

fn behaviors() -> impl Strategy<Value = Behaviors> {
    let echo = select(vec![Echo::Full, Echo::Empty, Echo::WithoutRole, Echo::Lagging]);
    let names = (
        select(vec!["422", "409", "200-unchanged", "201-upsert"]),
        select(vec!["404", "422", "403"]),
        select(vec!["404", "204", "422"]),
        select(vec!["404", "422"]),
    );
    (echo, names).prop_map(|(echo, (existing, outsider, delete, patch))| Behaviors {
        echo,
        post_existing: existing.parse().unwrap(),
        post_outsider: outsider.parse().unwrap(),
        delete_absent: delete.parse().unwrap(),
        patch_absent: patch.parse().unwrap(),
        ..Behaviors::default()
    })
}

fn step() -> impl Strategy<Value = Step> {
    let pair = (0..2usize, 0..2usize);
    let change = || select(Change::ALL.to_vec());
    prop_oneof![
        8 => (pair.clone(), change()).prop_map(|((team, user), change)| Step::Ask(team, user, change)),
        6 => (pair.clone(), change(), select(Trouble::ALL.to_vec()))
            .prop_map(|((team, user), change, trouble)| Step::Struck(team, user, change, trouble)),
        4 => (pair, select(HELD.to_vec())).prop_map(|((team, user), held)| Step::Hold(team, user, held)),
        1 => (0..2usize).prop_map(Step::DeleteTeam),
        1 => (0..2usize).prop_map(Step::Leave),
        1 => (0..2usize).prop_map(Step::Join),
    ]
}

struct Machine {
    world: World,
    model: Model,
    outside: Vec<Uuid>,
    gone: Vec<Uuid>,
    writes: usize,
}

impl Machine {
    async fn new(behaviors: Behaviors, mut setup: Setup) -> Self {
        setup.client.attempt_timeout = Duration::from_secs(2);
        let world = World::with(setup).await;
        world.sandbox.change_behaviors(|now| *now = behaviors);
        Self {
            world,
            model: Model::default(),
            outside: vec![],
            gone: vec![],
            writes: 0,
        }
    }

    fn pair(&self, team: usize, user: usize) -> Pair {
        Pair {
            team: self.world.teams[team],
            user: self.world.people[user],
        }
    }

    async fn run(&mut self, step: &Step) {
        match *step {
            Step::Ask(team, user, change) => self.perform(self.pair(team, user), change).await,
            Step::Struck(team, user, change, trouble) => {
                for fault in trouble.faults() {
                    self.world.sandbox.faults().add(fault);
                }
                self.perform(self.pair(team, user), change).await;
                self.world.sandbox.faults().clear();
            }
            Step::Hold(team, user, held) => {
                let pair = self.pair(team, user);
                if !self.gone.contains(&pair.team) && !self.outside.contains(&pair.user) {
                    self.world.hold(pair, held);
                    self.model.hold(pair, held);
                }
            }
            Step::DeleteTeam(team) => {
                let team = self.world.teams[team];
                self.world.sandbox.edit(|organization| organization.remove_team(team));
                self.model.roles.retain(|pair, _| pair.team != team);
                self.gone.push(team);
            }
            Step::Leave(user) => {
                let user = self.world.people[user];
                self.world
                    .sandbox
                    .edit(|organization| organization.remove_person(user, MemberRows::Dropped));
                self.model.roles.retain(|pair, _| pair.user != user);
                self.outside.push(user);
            }
            Step::Join(user) => {
                let user = self.world.people[user];
                let person = Person {
                    id: user,
                    ..Person::new("Ada", &format!("{user}@example.com"))
                };
                self.world.sandbox.edit(|organization| organization.add_person(person));
                self.outside.retain(|outside| *outside != user);
            }
        }
        self.check();
    }

    async fn perform(&mut self, pair: Pair, change: Change) {
        let before = self.model.roles.get(&pair).copied();
        let said = self.world.perform(pair, change).await;
        match change {
            // With a user outside the organization and a deleted team, the user is reported: the design checks the user first.
            Change::Grant(_) if self.outside.contains(&pair.user) => {
                assert_eq!(reason(&said.unwrap_err()).1, "USER_NOT_IN_ORGANIZATION");
            }
            Change::Grant(_) if self.gone.contains(&pair.team) => {
                assert_eq!(
                    reason(&said.unwrap_err()),
                    (Code::NotFound, "TEAM_NOT_FOUND".to_owned())
                );
            }
            _ => {
                assert_eq!(said.unwrap(), self.model.perform(pair, change), "{change:?} {before:?}");
                self.writes += usize::from(self.model.roles.get(&pair).copied() != before);
                let again = self.world.perform(pair, change).await.unwrap();
                assert_eq!(again, change.again(), "{change:?} {before:?} again");
                assert_ne!(again, Answer::Done);
            }
        }
    }

    /// What Buildkite has is what the model has, and every change was made once.
    fn check(&self) {
        for (team, user) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let pair = self.pair(team, user);
            assert_eq!(self.world.held(pair), self.model.roles.get(&pair).copied());
        }
        assert_eq!(self.world.applied(), self.writes);
    }
}

#[test]
fn under_any_fault_the_state_matches_the_model_and_the_answers_are_true() {
    let config = Config {
        cases: SEQUENCES,
        failure_persistence: None,
        max_shrink_iters: 64,
        ..Config::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let sequences = (behaviors(), proptest::collection::vec(step(), 1..24));
    TestRunner::new(config)
        .run(&sequences, |(behaviors, steps)| {
            runtime.block_on(async {
                let mut machine = Machine::new(behaviors, setup()).await;
                for step in &steps {
                    machine.run(step).await;
                }
            });
            Ok(())
        })
        .unwrap();
}

/// The same with writes that become visible late. There are no concurrent edits: the lag would hide only the connector's writes.
#[test]
fn writes_that_show_late_change_nothing_about_it() {
    let config = Config {
        cases: SEQUENCES / 2,
        failure_persistence: None,
        max_shrink_iters: 64,
        ..Config::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let troubles = proptest::option::of(select(vec![
        Trouble::ResetAfter,
        Trouble::AppliedThenBadGateway,
        Trouble::Truncated,
    ]));
    let asks = proptest::collection::vec((select(Change::ALL.to_vec()), troubles), 1..16);
    TestRunner::new(config)
        .run(&(behaviors(), 1..5u32, asks), |(behaviors, lag, asks)| {
            runtime.block_on(async {
                let mut machine = Machine::new(
                    Behaviors {
                        write_lag: WriteLag::Reads(lag),
                        ..behaviors
                    },
                    lagging(),
                )
                .await;
                for (change, trouble) in asks {
                    let step = trouble.map_or(Step::Ask(0, 0, change), |trouble| Step::Struck(0, 0, change, trouble));
                    machine.run(&step).await;
                }
            });
            Ok(())
        })
        .unwrap();
}

/// A team that is made anew is another team.
#[tokio::test]
async fn a_team_of_the_same_slug_is_another_team() {
    let mut machine = Machine::new(Behaviors::default(), setup()).await;
    machine.run(&Step::DeleteTeam(0)).await;
    machine
        .world
        .sandbox
        .edit(|organization| organization.add_team(Team::new("team-0", "Team 0")));
    machine.run(&Step::Ask(0, 0, Change::Grant(Role::Member))).await;
}
