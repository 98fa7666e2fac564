//! The plan of a change: what has to be written, given the level that is requested and the level that is held.
//!
//! | request | holds nothing | holds the level | holds another level |
//! | --- | --- | --- | --- |
//! | grant | add | no change | change to it |
//! | revoke | no change | remove, or change to the level that the operator chose instead | no change: a level that is not named is never taken away |
//!
//! Members and maintainers of a team are the case of two levels. A principal outside the organization cannot be recognised
//! before a write is rejected: see `execute`.

use crate::governance::model::Level;

/// What is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Request {
    /// The principal shall hold the level.
    Grant(&'static Level),
    /// The principal shall hold the level no longer.
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

/// What becomes of a maintainer whose level is revoked (`--maintainer-revoke`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MaintainerRevoke {
    /// The principal holds nothing any more.
    #[default]
    Remove,
    /// The principal keeps the level below.
    Demote,
}

/// One write to the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// The principal holds nothing and gets the level.
    Add(&'static Level),
    /// The principal goes from one level to another, never by way of a removal.
    Change {
        /// The level held until then.
        from: &'static Level,
        /// The level held from then on.
        to: &'static Level,
    },
    /// The principal loses the level and holds nothing.
    Remove(&'static Level),
}

impl Write {
    /// The level that is held once the write took effect.
    #[must_use]
    pub fn resulting_level(self) -> Option<&'static Level> {
        match self {
            Self::Add(level) | Self::Change { to: level, .. } => Some(level),
            Self::Remove(_) => None,
        }
    }
}

/// What has to be done about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// The request is fulfilled already.
    NoChange,
    /// Send this write.
    Apply(Write),
}

/// Plans a request for a principal that holds `held`. A revoked level is replaced by `instead` where that is given.
#[must_use]
pub fn plan(request: Request, held: Option<&'static Level>, instead: Option<&'static Level>) -> Plan {
    match (request, held) {
        (Request::Grant(level), None) => Plan::Apply(Write::Add(level)),
        (Request::Grant(level), Some(held)) if held == level => Plan::NoChange,
        (Request::Grant(to), Some(from)) => Plan::Apply(Write::Change { from, to }),
        (Request::Revoke(level), Some(from)) if from == level => Plan::Apply(match instead {
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
                for instead in levels().into_iter().map(Some).chain([None]) {
                    if let Plan::Apply(write) = plan(request, held, instead) {
                        let after = plan(request, write.resulting_level(), instead);
                        assert_eq!(after, Plan::NoChange, "{request:?} of {held:?} with {instead:?}");
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
