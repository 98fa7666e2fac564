//! A provider whose groups carry access to objects, as a test sets it.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;

use super::*;
use crate::governance::model::Resource;
use crate::governance::model::examples::MEMBER;
use crate::governance::provider::{Amount, Batch, Carried, Failure, MockResourceType};
use crate::governance::rate_limit::LimitExceeded;

/// The groups 1 to 9 are listed.
pub(super) const GROUPS: u128 = 9;

/// How long the list of one group takes.
pub(super) const LATENCY: Duration = Duration::from_secs(1);

/// The provider, as a test changes it.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Group and object of each row.
    pub(super) rows: HashSet<(u128, u128)>,
    /// The failures of the next reads of a group's list.
    pub(super) failures: HashMap<u128, Vec<Failure>>,
    /// The groups that are proven absent once their list responds with "not found".
    pub(super) gone: HashSet<u128>,
    /// The groups whose lists were read, in order.
    pub(super) reads: Vec<u128>,
    pub(super) in_flight: usize,
    pub(super) peak_in_flight: usize,
    pub(super) groups_listed: usize,
    /// The time until the limit admits the requests that are left.
    pub(super) forecast: Option<Duration>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Server(Arc<Mutex<State>>);

impl Server {
    /// Each group carries one of the objects 1 to 3, and group 9 carries object 1 as well.
    pub(super) fn new() -> Self {
        let server = Self::default();
        server.with(|state| {
            state.rows = (1..=GROUPS).map(|group| (group, group % 3 + 1)).collect();
            state.rows.insert((9, 3));
        });
        server
    }

    pub(super) fn with<T>(&self, access: impl FnOnce(&mut State) -> T) -> T {
        access(&mut self.0.lock().unwrap())
    }

    /// The next read of the group's list fails.
    pub(super) fn fail(&self, group: u128, failure: Failure) {
        self.with(|state| state.failures.entry(group).or_default().push(failure));
    }

    pub(super) fn reads(&self) -> Vec<u128> {
        self.with(|state| {
            let mut reads = state.reads.clone();
            reads.sort_unstable();
            reads
        })
    }
}

#[async_trait]
impl CarriedGrants for Server {
    fn carriers(&self) -> &'static ResourceTypeInfo {
        &GROUP
    }

    async fn carried_by(
        &self,
        carrier: Uuid,
        _: Option<Cursor>,
        _: Amount,
        _: &CallContext,
    ) -> Result<Box<dyn Batch<Carried>>, Failure> {
        let group = carrier.as_u128();
        self.with(|state| {
            state.in_flight += 1;
            state.peak_in_flight = state.peak_in_flight.max(state.in_flight);
        });
        // Shows what the server had when the request arrived.
        let rows = self.with(|state| rows_of(state, group));
        tokio::time::sleep(LATENCY).await;
        self.with(|state| {
            state.in_flight -= 1;
            state.reads.push(group);
            if state.gone.contains(&group) {
                return Err(failure(FailureClass::NotFound));
            }
            match state.failures.get_mut(&group).filter(|failures| !failures.is_empty()) {
                Some(failures) => Err(failures.remove(0)),
                None => Ok(batch(rows)),
            }
        })
    }
}

fn rows_of(state: &State, group: u128) -> Vec<Carried> {
    let rows = state.rows.iter().filter(|(of, _)| *of == group);
    rows.map(|(_, object)| Carried {
        resource: Uuid::from_u128(*object),
        level: Some(MEMBER),
    })
    .collect()
}

fn batch<R: std::fmt::Debug + Send + 'static>(rows: Vec<R>) -> Box<dyn Batch<R>> {
    Box::new(Rows { rows, next: None })
}

pub(super) fn failure(class: FailureClass) -> Failure {
    Failure {
        class,
        scope: None,
        error: GovernanceError::Unavailable {
            endpoint: "team clusters",
            why: "503".to_owned(),
        },
    }
}

pub(super) fn rate_limited() -> Failure {
    GovernanceError::RateLimited(LimitExceeded::unknown()).into()
}

pub(super) fn groups(server: &Server) -> Arc<dyn ResourceType> {
    let mut groups = MockResourceType::new();
    groups.expect_info().return_const(&GROUP);
    groups.expect_carried().returning(|| None);
    groups.expect_check_visibility().returning(|_, _| Ok(()));
    let listed = server.clone();
    groups.expect_list().returning(move |_, _, _| {
        listed.with(|state| state.groups_listed += 1);
        Ok(batch(
            (1..=GROUPS)
                .map(|number| Resource::named(examples::group(number), None))
                .collect(),
        ))
    });
    groups
        .expect_explain()
        .returning(|failure, group, _| match (failure.class, group) {
            (FailureClass::NotFound, Some(group)) => GovernanceError::ResourceNotFound {
                resource: examples::group(group.as_u128()),
            },
            _ => failure.error,
        });
    Arc::new(groups)
}

pub(super) fn objects(server: &Server) -> Arc<dyn ResourceType> {
    let carried: &'static Server = Box::leak(Box::new(server.clone()));
    let mut objects = MockResourceType::new();
    objects.expect_info().return_const(&OBJECT);
    objects.expect_carried().returning(move || Some(carried));
    objects.expect_check_visibility().returning(|_, _| Ok(()));
    objects
        .expect_get()
        .returning(|_, _| Err(failure(FailureClass::NotFound)));
    objects
        .expect_explain()
        .returning(|_, object, _| GovernanceError::ResourceNotFound {
            resource: examples::object(object.unwrap().as_u128()),
        });
    Arc::new(objects)
}
