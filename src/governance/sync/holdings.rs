//! The rows of a list of grants, as grants.

use std::collections::HashMap;

use uuid::Uuid;

use crate::governance::model::{EntitlementId, Grant, GrantId, Holding, ResourceId};

/// Whether none of the rows has a level that is governed. A list of which that holds is not understood.
pub(super) fn has_no_known_level(rows: &[Holding]) -> bool {
    rows.iter().all(|row| row.level.is_none())
}

/// The grants of the rows with a level that is governed, one for each principal: of two rows about one principal the later one is
/// current.
pub(super) fn known_grants(resource: ResourceId, rows: Vec<Holding>) -> Vec<Grant> {
    let listed = rows.len();
    let mut at: HashMap<Uuid, usize> = HashMap::with_capacity(listed);
    let mut grants: Vec<Grant> = Vec::with_capacity(listed);
    for Holding { principal, name, level } in rows {
        let Some(level) = level else {
            continue;
        };
        let grant = Grant {
            id: GrantId {
                entitlement: EntitlementId { resource, level },
                principal,
            },
            principal_name: name,
        };
        if let Some(earlier) = at.get(&principal.id).and_then(|at| grants.get_mut(*at)) {
            *earlier = grant;
        } else {
            at.insert(principal.id, grants.len());
            grants.push(grant);
        }
    }
    grants
}
