//! Writes that reads do not show yet: for each of them, the row as it was before.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use uuid::Uuid;

use super::habits::WriteLag;
use super::organization::{Membership, Team};

#[derive(Debug)]
struct Shadow {
    before: Option<Membership>,
    lag: WriteLag,
    written: Instant,
}

impl Shadow {
    /// Whether a read is still shown the row as it was. Counts the read.
    fn hides(&mut self) -> bool {
        match &mut self.lag {
            WriteLag::None | WriteLag::Reads(0) => false,
            WriteLag::Reads(left) => {
                *left -= 1;
                true
            }
            WriteLag::For(time) => self.written.elapsed() < *time,
        }
    }
}

/// The writes that are still hidden, by team and user.
#[derive(Debug, Default)]
pub(super) struct Shadows {
    by_team: Mutex<HashMap<Uuid, HashMap<Uuid, Shadow>>>,
}

impl Shadows {
    /// Notes that a row was written. Of several writes within the lag, reads go on showing what was before the first.
    pub(super) fn cast(&self, team: Uuid, user: Uuid, before: Option<Membership>, lag: WriteLag) {
        if lag == WriteLag::None {
            return;
        }
        let mut shadows = self.lock();
        let shadow = shadows.entry(team).or_default().entry(user).or_insert(Shadow {
            before,
            lag,
            written: Instant::now(),
        });
        shadow.lag = lag;
        shadow.written = Instant::now();
    }

    /// One person's row as a read shows it.
    pub(super) fn member(&self, team: &Team, user: Uuid) -> Option<Membership> {
        let mut shadows = self.lock();
        if let Some(of_team) = shadows.get_mut(&team.id)
            && let Some(shadow) = of_team.get_mut(&user)
        {
            if shadow.hides() {
                return shadow.before;
            }
            of_team.remove(&user);
        }
        team.member(user).copied()
    }

    /// The whole list as a read shows it; none when that is the list itself.
    pub(super) fn members(&self, team: &Team) -> Option<Vec<Membership>> {
        let mut shadows = self.lock();
        let of_team = shadows.get_mut(&team.id)?;
        of_team.retain(|_, shadow| shadow.hides());
        if of_team.is_empty() {
            return None;
        }
        let mut rows: Vec<Membership> = Vec::with_capacity(team.members().len());
        for row in team.members() {
            match of_team.get(&row.user) {
                Some(shadow) => rows.extend(shadow.before),
                None => rows.push(*row),
            }
        }
        rows.extend(
            of_team
                .values()
                .filter_map(|shadow| shadow.before)
                .filter(|row| team.member(row.user).is_none()),
        );
        // Those who were removed go back to where their age puts them.
        rows.sort_by_key(|row| row.created_at);
        Some(rows)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, HashMap<Uuid, Shadow>>> {
        self.by_team.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
