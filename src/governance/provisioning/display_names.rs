//! What teams and people are called, as far as lists that were read anyway have told: for messages and records, never to
//! decide anything.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use crate::governance::Principal;
use crate::providers::buildkite::{OrganizationMember, Team, TeamId, UserId};

/// Cache size per kind; larger than any known organization.
const MAX_NAMES: usize = 100_000;

/// Slugs of teams and e-mails of people.
#[derive(Debug, Default)]
pub(crate) struct DisplayNames {
    slugs: Mutex<HashMap<TeamId, String>>,
    emails: Mutex<HashMap<UserId, String>>,
}

impl DisplayNames {
    pub(crate) fn record_teams(&self, teams: &[Team]) {
        let named = teams.iter().filter_map(|team| Some((team.id, team.slug.clone()?)));
        record(&self.slugs, named);
    }

    pub(crate) fn record_users(&self, users: &[OrganizationMember]) {
        let named = users.iter().filter_map(|user| Some((user.id, user.email.clone()?)));
        record(&self.emails, named);
    }

    pub(crate) fn slug(&self, team: TeamId) -> Option<String> {
        look_up(&self.slugs, &team)
    }

    pub(crate) fn email(&self, user: UserId) -> Option<String> {
        look_up(&self.emails, &user)
    }

    /// A person as a message names them: by the e-mail that the caller used or that is known, else by id.
    pub(crate) fn user_label(&self, principal: &Principal) -> String {
        match principal {
            Principal::Email(email) => email.clone(),
            Principal::User(user) => self.email(*user).unwrap_or_else(|| format!("user {user}")),
        }
    }

    /// A team as a message names it.
    pub(crate) fn team_label(&self, team: TeamId) -> String {
        self.slug(team)
            .map_or_else(|| format!("team {team}"), |slug| format!("team `{slug}`"))
    }
}

fn record<K: Eq + Hash>(names: &Mutex<HashMap<K, String>>, new: impl Iterator<Item = (K, String)>) {
    let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
    for (id, name) in new {
        if names.len() < MAX_NAMES || names.contains_key(&id) {
            names.insert(id, name);
        }
    }
}

fn look_up<K: Eq + Hash>(names: &Mutex<HashMap<K, String>>, id: &K) -> Option<String> {
    names.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
}
