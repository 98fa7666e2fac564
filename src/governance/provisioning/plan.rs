//! The decision table, cell by cell as the design has it.
//!
//! | request | holds nothing | is member | is maintainer |
//! | --- | --- | --- | --- |
//! | grant member | POST | already so | PATCH |
//! | grant maintainer | POST | PATCH | already so |
//! | revoke member | already so | DELETE | already so: never ejects a promoted person |
//! | revoke maintainer | already so | already so | DELETE, or PATCH to member where the operator chose that |
//!
//! The last column, people outside the organization, cannot be told before a write is refused: see [`super::execute`].

use crate::providers::buildkite::Role;

/// The request, with its role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Request {
    /// Grant the role.
    Grant(Role),
    /// Revoke the role.
    Revoke(Role),
}

/// A grant or a revoke, of any role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OperationKind {
    /// A grant.
    Grant,
    /// A revoke.
    Revoke,
}

impl OperationKind {
    /// The operation's name in logs and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Revoke => "revoke",
        }
    }
}

impl Request {
    /// Which of the two it is.
    #[must_use]
    pub fn operation(self) -> OperationKind {
        match self {
            Self::Grant(_) => OperationKind::Grant,
            Self::Revoke(_) => OperationKind::Revoke,
        }
    }

    /// The role that it is about.
    #[must_use]
    pub fn role(self) -> Role {
        match self {
            Self::Grant(role) | Self::Revoke(role) => role,
        }
    }
}

/// What becomes of a maintainer whose role is revoked (`--maintainer-revoke`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MaintainerRevoke {
    /// They leave the team.
    #[default]
    Remove,
    /// They stay as a member.
    Demote,
}

/// A change that has to be made in Buildkite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// POST.
    Add(Role),
    /// PATCH: never by way of a removal.
    Change {
        /// The role held until then.
        from: Role,
        /// The role held from then on.
        to: Role,
    },
    /// DELETE.
    Remove(Role),
}

impl Write {
    /// The role held once the write took effect.
    #[must_use]
    pub fn resulting_role(self) -> Option<Role> {
        match self {
            Self::Add(role) | Self::Change { to: role, .. } => Some(role),
            Self::Remove(_) => None,
        }
    }
}

/// What has to be done about a request, given the role held now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// The membership is as requested already.
    NoChange,
    /// Make this change.
    Apply(Write),
}

/// The table.
#[must_use]
#[expect(clippy::match_same_arms, reason = "each arm is a cell of the table above")]
pub fn decide(request: Request, held: Option<Role>, maintainer_revoke: MaintainerRevoke) -> Plan {
    use Plan::{Apply, NoChange};
    use Request::{Grant, Revoke};
    use Role::{Maintainer, Member};

    match (request, held) {
        (Grant(Member), None) => Apply(Write::Add(Member)),
        (Grant(Member), Some(Member)) => NoChange,
        (Grant(Member), Some(Maintainer)) => Apply(Write::Change {
            from: Maintainer,
            to: Member,
        }),

        (Grant(Maintainer), None) => Apply(Write::Add(Maintainer)),
        (Grant(Maintainer), Some(Member)) => Apply(Write::Change {
            from: Member,
            to: Maintainer,
        }),
        (Grant(Maintainer), Some(Maintainer)) => NoChange,

        (Revoke(Member), None) => NoChange,
        (Revoke(Member), Some(Member)) => Apply(Write::Remove(Member)),
        (Revoke(Member), Some(Maintainer)) => NoChange,

        (Revoke(Maintainer), None) => NoChange,
        (Revoke(Maintainer), Some(Member)) => NoChange,
        (Revoke(Maintainer), Some(Maintainer)) => match maintainer_revoke {
            MaintainerRevoke::Remove => Apply(Write::Remove(Maintainer)),
            MaintainerRevoke::Demote => Apply(Write::Change {
                from: Maintainer,
                to: Member,
            }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_that_was_carried_out_leaves_nothing_to_do() {
        for request in Role::ALL
            .into_iter()
            .flat_map(|role| [Request::Grant(role), Request::Revoke(role)])
        {
            for held in [None, Some(Role::Member), Some(Role::Maintainer)] {
                for mode in [MaintainerRevoke::Remove, MaintainerRevoke::Demote] {
                    if let Plan::Apply(write) = decide(request, held, mode) {
                        assert_ne!(write.resulting_role(), held, "{request:?} {held:?}");
                        assert_eq!(
                            decide(request, write.resulting_role(), mode),
                            Plan::NoChange,
                            "{request:?} {held:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_stale_member_revoke_never_ejects_a_maintainer() {
        let decision = decide(
            Request::Revoke(Role::Member),
            Some(Role::Maintainer),
            MaintainerRevoke::Remove,
        );
        assert_eq!(decision, Plan::NoChange);
    }

    #[test]
    fn a_role_change_is_one_patch_and_never_a_removal() {
        for (held, wanted) in [(Role::Member, Role::Maintainer), (Role::Maintainer, Role::Member)] {
            let decision = decide(Request::Grant(wanted), Some(held), MaintainerRevoke::Remove);
            assert_eq!(decision, Plan::Apply(Write::Change { from: held, to: wanted }));
        }
    }
}
