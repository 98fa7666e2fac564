//! Edits of the lists of pipelines, suites, registries, clusters and invitations, and of what belongs to them.

use jiff::Timestamp;
use uuid::Uuid;

use super::Edit;
use super::edit::first_shown;
use crate::sandbox::behaviors::Order;
use crate::sandbox::clusters::{Cluster, ClusterMaintainer, Maintainer};
use crate::sandbox::endpoint::Endpoint;
use crate::sandbox::indexed_list::{IndexedList, Keyed};
use crate::sandbox::invitations::Invitation;
use crate::sandbox::objects::{Registry, Suite};
use crate::sandbox::organization::Organization;
use crate::sandbox::pipelines::Pipeline;
use crate::sandbox::team::{PipelineLevel, SuiteLevel, TeamAccess};

/// Applies a named edit to the list of this endpoint, of this team, or of this object.
pub(super) fn move_objects(
    edit: &Edit,
    organization: &mut Organization,
    (endpoint, team, object): (Endpoint, Option<Uuid>, Option<Uuid>),
    order: Order,
) {
    let id = Uuid::new_v4();
    let slug = format!("new-{}", id.simple());
    match endpoint {
        Endpoint::Pipelines => {
            let removed = move_rows(edit, &mut organization.pipelines, order, || Pipeline::new(&slug, "New"));
            removed.and_then(|id| organization.remove_pipeline(id));
        }
        Endpoint::Suites => {
            let removed = move_rows(edit, &mut organization.suites, order, || Suite::new(&slug, "New"));
            removed.and_then(|id| organization.remove_suite(id));
        }
        Endpoint::Registries => {
            let new = || Registry::new(&slug, "New", "docker");
            let removed = move_rows(edit, &mut organization.registries, order, new);
            removed.and_then(|id| organization.remove_registry(id));
        }
        Endpoint::Clusters => {
            let removed = move_rows(edit, &mut organization.clusters, order, || Cluster::new(&slug));
            removed.and_then(|id| organization.remove_cluster(id));
        }
        Endpoint::Invitations => {
            // This list is always newest first.
            let new = || Invitation::new(&format!("{slug}@example.com"));
            let removed = move_rows(edit, &mut organization.invitations, Order::NewestFirst, new);
            removed.and_then(|id| organization.invitations.remove(id));
        }
        Endpoint::TeamPipelines => {
            let known: Vec<Uuid> = organization.pipelines().iter().map(|row| row.id).collect();
            if let Some(team) = team.and_then(|team| organization.team_mut(team)) {
                move_access(edit, &mut team.pipelines, order, (&known, PipelineLevel::ReadOnly));
            }
        }
        Endpoint::TeamSuites => {
            let known: Vec<Uuid> = organization.suites().iter().map(|row| row.id).collect();
            if let Some(team) = team.and_then(|team| organization.team_mut(team)) {
                move_access(edit, &mut team.suites, order, (&known, SuiteLevel::Read));
            }
        }
        Endpoint::ClusterMaintainers => move_maintainers(edit, organization, object, order),
        _ => {}
    }
}

/// Applies the edit, except for a removal: returns the id of the row to remove.
fn move_rows<T: Keyed>(
    edit: &Edit,
    rows: &mut IndexedList<T>,
    order: Order,
    new_row: impl FnOnce() -> T,
) -> Option<Uuid> {
    let first = first_shown(rows.as_slice().iter(), order).map(Keyed::key);
    match (edit, first) {
        (Edit::RemoveAhead, first) => return first,
        (Edit::RemoveAndAddAgain, Some(first)) => {
            if let Some(row) = rows.remove(first) {
                rows.push(row);
            }
        }
        (Edit::InsertAhead, _) => match order {
            Order::OldestFirst => rows.push_front(new_row()),
            Order::NewestFirst => rows.push(new_row()),
        },
        _ => {}
    }
    None
}

/// A row can be inserted for an object that the team does not have access to yet.
fn move_access<L: Copy>(
    edit: &Edit,
    rows: &mut IndexedList<TeamAccess<L>>,
    order: Order,
    (objects, level): (&[Uuid], L),
) {
    let object = objects.iter().copied().find(|object| !rows.contains(*object));
    if matches!(edit, Edit::InsertAhead) && object.is_none() {
        return;
    }
    let removed = move_rows(edit, rows, order, || TeamAccess {
        object: object.unwrap_or_default(),
        level,
        created_at: Timestamp::now(),
    });
    removed.and_then(|object| rows.remove(object));
}

/// A row can be inserted for a person who does not maintain the cluster yet.
fn move_maintainers(edit: &Edit, organization: &mut Organization, cluster: Option<Uuid>, order: Order) {
    let Some(cluster) = cluster.and_then(|id| organization.clusters.get_mut(id)) else {
        return;
    };
    let mut people = organization
        .people
        .as_slice()
        .iter()
        .map(|person| Maintainer::User(person.id));
    let person = people.find(|person| cluster.maintainer(*person).is_none());
    if matches!(edit, Edit::InsertAhead) && person.is_none() {
        return;
    }
    let removed = move_rows(edit, &mut cluster.maintainers, order, || ClusterMaintainer {
        id: Uuid::new_v4(),
        maintainer: person.unwrap_or(Maintainer::User(Uuid::nil())),
        created_at: Timestamp::now(),
    });
    removed.and_then(|id| cluster.maintainers.remove(id));
}
