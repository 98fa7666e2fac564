//! The plan of a change: the write that is required, given the requested level and the held level.
//!
//! | request | holds nothing | holds the level | holds another level |
//! | --- | --- | --- | --- |
//! | grant | add | no change | change to it |
//! | revoke | no change | remove, or change to the replacement level that the operator chose | no change: a revoke removes only the level that it names |
//!
//! A team has two levels, member and maintainer. A principal outside the organization cannot be recognised before a write is
//! rejected: see `execute`.

use crate::governance::model::Level;

/// A requested change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Request {
    /// Make the principal hold the level.
    Grant(&'static Level),
    /// Make the principal no longer hold the level.
    Revoke(&'static Level),
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

    /// The level that the request names.
    #[must_use]
    pub fn level(self) -> &'static Level {
        match self {
            Self::Grant(level) | Self::Revoke(level) => level,
        }
    }
}

/// A grant or a revoke, of any level.
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

/// What happens to a maintainer whose level is revoked (`--maintainer-revoke`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MaintainerRevoke {
    /// The principal no longer holds any level.
    #[default]
    Remove,
    /// The principal keeps the level below.
    Demote,
}

/// One write to the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// The principal holds no level and gets this one.
    Add(&'static Level),
    /// The principal changes from one level to another, without a removal in between.
    Change {
        /// The level before the write.
        from: &'static Level,
        /// The level after the write.
        to: &'static Level,
    },
    /// The principal loses the level and then holds none.
    Remove(&'static Level),
}

impl Write {
    /// The held level after the write has taken effect.
    #[must_use]
    pub fn resulting_level(self) -> Option<&'static Level> {
        match self {
            Self::Add(level) | Self::Change { to: level, .. } => Some(level),
            Self::Remove(_) => None,
        }
    }
}

/// The action that a request requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// The request is fulfilled already.
    NoChange,
    /// Send this write.
    Apply(Write),
}

/// Plans a request for a principal that holds `held`. A revoked level is replaced by `replacement`, if given.
#[must_use]
pub fn plan(request: Request, held: Option<&'static Level>, replacement: Option<&'static Level>) -> Plan {
    match (request, held) {
        (Request::Grant(level), None) => Plan::Apply(Write::Add(level)),
        (Request::Grant(level), Some(held)) if held == level => Plan::NoChange,
        (Request::Grant(to), Some(from)) => Plan::Apply(Write::Change { from, to }),
        (Request::Revoke(level), Some(from)) if from == level => Plan::Apply(match replacement {
            Some(to) if to != level => Write::Change { from, to },
            _ => Write::Remove(level),
        }),
        (Request::Revoke(_), _) => Plan::NoChange,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(slug: &'static str, order: u32) -> &'static Level {
        Box::leak(Box::new(Level {
            slug,
            display_name: slug,
            order,
            describe: str::to_owned,
        }))
    }

    fn levels() -> [&'static Level; 3] {
        [level("read", 1), level("build", 2), level("manage", 3)]
    }

    fn held() -> impl Iterator<Item = Option<&'static Level>> {
        levels().into_iter().map(Some).chain([None])
    }

    #[test]
    fn a_plan_that_was_carried_out_leaves_nothing_to_do() {
        let requests = levels()
            .into_iter()
            .flat_map(|level| [Request::Grant(level), Request::Revoke(level)]);
        for request in requests {
            for held in held() {
                for replacement in levels().into_iter().map(Some).chain([None]) {
                    if let Plan::Apply(write) = plan(request, held, replacement) {
                        let after = plan(request, write.resulting_level(), replacement);
                        assert_eq!(after, Plan::NoChange, "{request:?} of {held:?} with {replacement:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_revoke_never_touches_a_level_that_it_does_not_name() {
        for named in levels() {
            for held in held().filter(|held| *held != Some(named)) {
                assert_eq!(plan(Request::Revoke(named), held, None), Plan::NoChange);
            }
        }
    }

    #[test]
    fn a_grant_to_a_principal_with_another_level_is_one_change() {
        let [read, build, manage] = levels();
        for (from, to) in [(read, manage), (manage, build)] {
            let expected = Plan::Apply(Write::Change { from, to });
            assert_eq!(plan(Request::Grant(to), Some(from), None), expected);
        }
    }
}
