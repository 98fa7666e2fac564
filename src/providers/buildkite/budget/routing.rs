//! Which credentials of a connection may serve a request.

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

/// Whether each credential may serve a route, by position.
///
/// Changes are for the credentials for provisioning, or without one for those of any use. A connection without a credential for a
/// route uses all of them, so that a single credential serves everything.
pub(crate) fn serves(uses: &[CredentialUse], route: Route) -> Vec<bool> {
    let any_of = |wanted: &[CredentialUse]| uses.iter().any(|of| wanted.contains(of));
    let serving: &[CredentialUse] = match route {
        Route::Credential(only) => return (0..uses.len()).map(|position| position == only).collect(),
        Route::Read if any_of(&[CredentialUse::Any, CredentialUse::Sync]) => &[CredentialUse::Any, CredentialUse::Sync],
        Route::Change if any_of(&[CredentialUse::Provisioning]) => &[CredentialUse::Provisioning],
        Route::Change if any_of(&[CredentialUse::Any]) => &[CredentialUse::Any],
        Route::Read | Route::Change => return vec![true; uses.len()],
    };
    uses.iter().map(|of| serving.contains(of)).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::CredentialUse::{Any, Provisioning, Sync};
    use super::*;

    #[rstest]
    #[case(&[Any], &[true], &[true])]
    #[case(&[Any, Sync], &[true, true], &[true, false])]
    #[case(&[Provisioning, Sync, Any], &[false, true, true], &[true, false, false])]
    #[case(&[Sync, Sync], &[true, true], &[true, true])]
    #[case(&[Provisioning], &[true], &[true])]
    fn reads_and_changes_are_for_the_credentials_of_their_use(
        #[case] uses: &[CredentialUse],
        #[case] read: &[bool],
        #[case] change: &[bool],
    ) {
        assert_eq!(serves(uses, Route::Read), read);
        assert_eq!(serves(uses, Route::Change), change);
        assert_eq!(
            serves(uses, Route::Credential(0)).iter().position(|serves| *serves),
            Some(0)
        );
    }
}
