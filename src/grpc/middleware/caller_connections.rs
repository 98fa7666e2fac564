//! The connections that a caller may use, as the callers file states them.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::governance::connections::{Connection, ConnectionName, ConnectionSet};

/// What stands for all connections in the callers file.
const ALL: &str = "*";

/// The connections that a caller may use: those of all its entries together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallerConnections {
    /// Whether an entry lists all connections.
    all: bool,
    /// Whether an entry lists nothing: it may use the single connection, and none of several.
    unlisted: bool,
    names: BTreeSet<ConnectionName>,
}

impl CallerConnections {
    /// Adds those of one entry.
    ///
    /// # Errors
    /// The listed text that is no connection's name.
    pub(super) fn add<'a>(&mut self, listed: Option<&'a [String]>) -> Result<(), &'a str> {
        let Some(listed) = listed else {
            self.unlisted = true;
            return Ok(());
        };
        for name in listed {
            if name == ALL {
                self.all = true;
            } else {
                self.names.insert(name.parse().map_err(|_| name.as_str())?);
            }
        }
        Ok(())
    }

    /// The connections that are listed by name.
    pub(super) fn names(&self) -> impl Iterator<Item = &ConnectionName> {
        self.names.iter()
    }

    /// Whether the caller may use `connection`, which is one of `set`.
    pub(crate) fn may_use(&self, connection: &Connection, set: &ConnectionSet) -> bool {
        self.all
            || (self.unlisted && !set.are_several())
            || connection.name().is_some_and(|name| self.names.contains(name))
    }

    /// The connections of `set` that the caller may use.
    pub(crate) fn usable<'a>(&self, set: &'a ConnectionSet) -> impl Iterator<Item = &'a Arc<Connection>> {
        set.iter().filter(|connection| self.may_use(connection, set))
    }
}
