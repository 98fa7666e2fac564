//! Which credentials of a connection may serve a request.

use crate::providers::buildkite::Scope;

/// What a credential is used for (`use` of a `[[connection.NAME.credential]]`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CredentialUse {
    /// Reads, and changes unless a credential is for provisioning.
    #[default]
    Any,
    /// Reads only.
    Sync,
    /// Changes and the reads that decide and confirm them. It never lists for a sync.
    Provisioning,
}

impl CredentialUse {
    /// Whether a credential of this use needs a scope: one that only reads needs none to write.
    pub(crate) fn needs(self, scope: Scope) -> bool {
        self != Self::Sync || !scope.is_write()
    }
}

/// Which of the connection's credentials may serve a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Route {
    /// A read: any credential that is not for provisioning.
    Read,
    /// A change, or a read that decides or confirms one: a credential that makes changes.
    Change,
    /// This credential, by its position.
    Credential(usize),
}

/// The credentials that may serve a route, by position, in order of preference: those of a later group serve only while
/// no credential of an earlier one can.
///
/// Reads are for the credentials that are not for provisioning. Changes are for those for provisioning, else for those of
/// any use. A connection without a credential for a route uses all of them, so that a single credential serves everything.
pub(crate) fn serving(uses: &[CredentialUse], route: Route) -> Vec<Vec<usize>> {
    let of_use = |wanted: &[CredentialUse]| -> Vec<usize> {
        let positions = uses.iter().enumerate();
        positions
            .filter_map(|(position, of)| wanted.contains(of).then_some(position))
            .collect()
    };
    let mut groups = match route {
        Route::Credential(only) => return vec![vec![only]],
        Route::Read => vec![of_use(&[CredentialUse::Any, CredentialUse::Sync])],
        Route::Change => vec![of_use(&[CredentialUse::Provisioning]), of_use(&[CredentialUse::Any])],
    };
    groups.retain(|group| !group.is_empty());
    if groups.is_empty() {
        groups.push((0..uses.len()).collect());
    }
    groups
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::CredentialUse::{Any, Provisioning, Sync};
    use super::*;

    #[rstest]
    #[case(&[Any], vec![vec![0]], vec![vec![0]])]
    #[case(&[Any, Sync], vec![vec![0, 1]], vec![vec![0]])]
    #[case(&[Provisioning, Sync, Any], vec![vec![1, 2]], vec![vec![0], vec![2]])]
    #[case(&[Provisioning, Sync], vec![vec![1]], vec![vec![0]])]
    #[case(&[Sync, Sync], vec![vec![0, 1]], vec![vec![0, 1]])]
    #[case(&[Provisioning], vec![vec![0]], vec![vec![0]])]
    fn reads_and_changes_are_for_the_credentials_of_their_use(
        #[case] uses: &[CredentialUse],
        #[case] read: Vec<Vec<usize>>,
        #[case] change: Vec<Vec<usize>>,
    ) {
        assert_eq!(serving(uses, Route::Read), read);
        assert_eq!(serving(uses, Route::Change), change);
        assert_eq!(serving(uses, Route::Credential(0)), [[0]]);
    }
}
