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

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Request {
    /// Let somebody hold the role.
    Grant(Role),
    /// Let somebody hold the role no longer.
    Revoke(Role),
}

/// A grant or a revoke, of any role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A grant.
    Grant,
    /// A revoke.
    Revoke,
}

impl Operation {
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
    pub fn operation(self) -> Operation {
        match self {
            Self::Grant(_) => Operation::Grant,
            Self::Revoke(_) => Operation::Revoke,
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
    pub fn leaves(self) -> Option<Role> {
        match self {
            Self::Add(role) | Self::Change { to: role, .. } => Some(role),
            Self::Remove(_) => None,
        }
    }
}

/// What has to be done about a request, given the role held now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// It is so already.
    Already,
    /// Make this change.
    Make(Write),
}

/// The table.
#[must_use]
#[expect(clippy::match_same_arms, reason = "each arm is a cell of the table above")]
pub fn decide(request: Request, held: Option<Role>, maintainer_revoke: MaintainerRevoke) -> Plan {
    use Plan::{Already, Make};
    use Request::{Grant, Revoke};
    use Role::{Maintainer, Member};

    match (request, held) {
        (Grant(Member), None) => Make(Write::Add(Member)),
        (Grant(Member), Some(Member)) => Already,
        (Grant(Member), Some(Maintainer)) => Make(Write::Change {
            from: Maintainer,
            to: Member,
        }),

        (Grant(Maintainer), None) => Make(Write::Add(Maintainer)),
        (Grant(Maintainer), Some(Member)) => Make(Write::Change {
            from: Member,
            to: Maintainer,
        }),
        (Grant(Maintainer), Some(Maintainer)) => Already,

        (Revoke(Member), None) => Already,
        (Revoke(Member), Some(Member)) => Make(Write::Remove(Member)),
        (Revoke(Member), Some(Maintainer)) => Already,

        (Revoke(Maintainer), None) => Already,
        (Revoke(Maintainer), Some(Member)) => Already,
        (Revoke(Maintainer), Some(Maintainer)) => match maintainer_revoke {
            MaintainerRevoke::Remove => Make(Write::Remove(Maintainer)),
            MaintainerRevoke::Demote => Make(Write::Change {
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
                    if let Plan::Make(write) = decide(request, held, mode) {
                        assert_ne!(write.leaves(), held, "{request:?} {held:?}");
                        assert_eq!(
                            decide(request, write.leaves(), mode),
                            Plan::Already,
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
        assert_eq!(decision, Plan::Already);
    }

    #[test]
    fn a_role_change_is_one_patch_and_never_a_removal() {
        for (held, wanted) in [(Role::Member, Role::Maintainer), (Role::Maintainer, Role::Member)] {
            let decision = decide(Request::Grant(wanted), Some(held), MaintainerRevoke::Remove);
            assert_eq!(decision, Plan::Make(Write::Change { from: held, to: wanted }));
        }
    }
}
