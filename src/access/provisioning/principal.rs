//! Who is meant: a user's UUID as it is, or the one person who has an e-mail address.
//!
//! Addresses are compared without regard to ASCII case. The people are read once and kept for a while; whoever is not found
//! in what was kept is looked for in a fresh list, and whoever was found is confirmed with their own record before anything
//! is written.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::super::{Access, AccessError, Principal};
use crate::buildkite::pages::Position;
use crate::buildkite::{ApiError, Call, Trouble, UserId};

/// For how long a list of people is good enough to find somebody in.
const KEPT_FOR: Duration = Duration::from_secs(600);

/// People by e-mail, in lower case.
type ByEmail = HashMap<String, Vec<UserId>>;

/// The people that were read last.
#[derive(Debug, Default)]
pub(super) struct Directory {
    last: Mutex<Option<(Instant, ByEmail)>>,
}

impl Access {
    /// The user whom a principal names.
    pub(super) async fn resolve(&self, principal: &Principal, call: &Call) -> Result<UserId, AccessError> {
        let email = match principal {
            Principal::User(user) => return Ok(*user),
            Principal::Email(email) => email,
        };
        for age in [KEPT_FOR, Duration::ZERO] {
            let holders = self.holders_of(email, age, call).await?;
            match holders.as_slice() {
                [user] if self.still_has(*user, email, call).await? => return Ok(*user),
                [] | [_] => {}
                several => {
                    return Err(AccessError::AmbiguousPrincipal {
                        email: email.clone(),
                        holders: several.len(),
                    });
                }
            }
        }
        Err(AccessError::AmbiguousPrincipal {
            email: email.clone(),
            holders: 0,
        })
    }

    async fn holders_of(&self, email: &str, age: Duration, call: &Call) -> Result<Vec<UserId>, AccessError> {
        let mut last = self.provisioning.directory.last.lock().await;
        if last.as_ref().is_none_or(|(read, _)| read.elapsed() >= age) {
            *last = Some((Instant::now(), self.people_by_email(call).await?));
        }
        let found = last
            .as_ref()
            .and_then(|(_, people)| people.get(&email.to_ascii_lowercase()));
        Ok(found.cloned().unwrap_or_default())
    }

    async fn people_by_email(&self, call: &Call) -> Result<ByEmail, AccessError> {
        let mut people = ByEmail::new();
        let mut position = Some(Position::Start);
        while let Some(from) = position {
            let batch = match self.upstream.people(from, usize::MAX, call).await {
                Ok(batch) => batch,
                Err(error) => return Err(self.explain(error, call).await),
            };
            for person in batch.rows {
                if let Some(email) = person.email {
                    let holders = people.entry(email.to_ascii_lowercase()).or_default();
                    if !holders.contains(&person.id) {
                        holders.push(person.id);
                    }
                }
            }
            position = batch.next;
        }
        Ok(people)
    }

    async fn still_has(&self, user: UserId, email: &str, call: &Call) -> Result<bool, AccessError> {
        match self.upstream.person(user, call).await {
            Ok(person) => Ok(person.email.is_some_and(|has| has.eq_ignore_ascii_case(email))),
            Err(ApiError {
                trouble: Trouble::NotFound,
                ..
            }) => Ok(false),
            Err(error) => Err(self.explain(error, call).await),
        }
    }
}
