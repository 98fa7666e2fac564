//! The reference: which role a pair holds, and what a grant or a revoke does to it.

use std::collections::HashMap;

use uuid::Uuid;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    Member,
    Maintainer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    Grant(Role),
    Revoke(Role),
}

/// The response that the platform gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    Done,
    AlreadyExists,
    AlreadyRevoked,
    /// `GrantReplaced`, naming the other role's grant.
    Replaced,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pair {
    pub team: Uuid,
    pub user: Uuid,
}

impl Role {
    pub const ALL: [Self; 2] = [Self::Member, Self::Maintainer];

    pub fn name(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Maintainer => "maintainer",
        }
    }

    pub fn other(self) -> Self {
        match self {
            Self::Member => Self::Maintainer,
            Self::Maintainer => Self::Member,
        }
    }
}

impl Pair {
    pub fn grant_id(self, role: Role) -> String {
        format!("team:{}:{}:user:{}", self.team, role.name(), self.user)
    }
}

impl Change {
    pub const ALL: [Self; 4] = [
        Self::Grant(Role::Member),
        Self::Grant(Role::Maintainer),
        Self::Revoke(Role::Member),
        Self::Revoke(Role::Maintainer),
    ];

    /// What is held afterwards, and what is said.
    pub fn step(self, held: Option<Role>) -> (Option<Role>, Answer) {
        match self {
            Self::Grant(role) if held == Some(role) => (held, Answer::AlreadyExists),
            Self::Grant(role) if held.is_some() => (Some(role), Answer::Replaced),
            Self::Grant(role) => (Some(role), Answer::Done),
            Self::Revoke(role) if held == Some(role) => (None, Answer::Done),
            Self::Revoke(_) => (held, Answer::AlreadyRevoked),
        }
    }

    /// What repeating it says.
    pub fn again(self) -> Answer {
        match self {
            Self::Grant(_) => Answer::AlreadyExists,
            Self::Revoke(_) => Answer::AlreadyRevoked,
        }
    }
}

pub const HELD: [Option<Role>; 3] = [None, Some(Role::Member), Some(Role::Maintainer)];

/// Every pair's role.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub roles: HashMap<Pair, Role>,
}

impl Model {
    pub fn perform(&mut self, pair: Pair, change: Change) -> Answer {
        let (held, answer) = change.step(self.roles.get(&pair).copied());
        self.hold(pair, held);
        answer
    }

    pub fn hold(&mut self, pair: Pair, held: Option<Role>) {
        match held {
            Some(role) => self.roles.insert(pair, role),
            None => self.roles.remove(&pair),
        };
    }
}
