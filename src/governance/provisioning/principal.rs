//! Who is meant: a user's UUID as it is, or the one person who has an e-mail address.
//!
//! Addresses are compared without regard to ASCII case. The people are read once and kept for a while; an address that does
//! not lead to one person in what was kept is looked for in a list that was read since the request came, and whoever was found
//! is confirmed with their own record before anything is written.

use std::collections::HashMap;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::governance::{Governance, GovernanceError, Principal};
use crate::providers::buildkite::{ApiError, ApiErrorKind, CallContext, OrganizationMember, UserId};

/// Which list of people will do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Freshness {
    /// The one that is kept, unless it is older than the setting allows.
    Kept,
    /// One whose reading began at this moment or later: many who ask for it share one reading.
    Since(Instant),
}

/// People by e-mail, in lower case.
type ByEmail = HashMap<String, Vec<UserId>>;

/// The people that were read last, and when that reading began.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    last: Mutex<Option<(Instant, ByEmail)>>,
}

impl Governance {
    /// The user whom a principal names.
    pub(crate) async fn resolve(&self, principal: &Principal, call: &CallContext) -> Result<UserId, GovernanceError> {
        let email = match principal {
            Principal::User(user) => return Ok(*user),
            Principal::Email(email) => email,
        };
        let kept = self.holders_of(email, Freshness::Kept, call).await?;
        if let [user] = kept.as_slice()
            && self.still_has(*user, email, call).await?
        {
            return Ok(*user);
        }
        let anew = self.holders_of(email, Freshness::Since(call.begun()), call).await?;
        match anew.as_slice() {
            [user] if self.still_has(*user, email, call).await? => Ok(*user),
            // The one whom the list showed has it no longer.
            [] | [_] => Err(GovernanceError::UserNotInOrganization { person: email.clone() }),
            several => Err(GovernanceError::AmbiguousPrincipal {
                email: email.clone(),
                holders: several.len(),
            }),
        }
    }

    /// Everybody who has the address.
    pub(crate) async fn holders_of(
        &self,
        email: &str,
        freshness: Freshness,
        call: &CallContext,
    ) -> Result<Vec<UserId>, GovernanceError> {
        let accepts = |read: Instant| match freshness {
            Freshness::Kept => read.elapsed() < self.settings.directory_max_age,
            Freshness::Since(moment) => read >= moment,
        };
        let mut last = self.provisioning.directory.last.lock().await;
        if !last.as_ref().is_some_and(|(read, _)| accepts(*read)) {
            let begun = Instant::now();
            *last = Some((begun, self.people_by_email(call).await?));
        }
        let found = last
            .as_ref()
            .and_then(|(_, people)| people.get(&email.to_ascii_lowercase()));
        Ok(found.cloned().unwrap_or_default())
    }

    async fn people_by_email(&self, call: &CallContext) -> Result<ByEmail, GovernanceError> {
        let listed: Vec<OrganizationMember> = self.whole(call).await?;
        self.provisioning.names.people(&listed);
        let mut people = ByEmail::new();
        for person in listed {
            if let Some(email) = person.email {
                let holders = people.entry(email.to_ascii_lowercase()).or_default();
                if !holders.contains(&person.id) {
                    holders.push(person.id);
                }
            }
        }
        Ok(people)
    }

    pub(crate) async fn still_has(
        &self,
        user: UserId,
        email: &str,
        call: &CallContext,
    ) -> Result<bool, GovernanceError> {
        match self.upstream.person(user, call).await {
            Ok(person) => Ok(person.email.is_some_and(|has| has.eq_ignore_ascii_case(email))),
            Err(ApiError {
                kind: ApiErrorKind::NotFound,
                ..
            }) => Ok(false),
            Err(error) => Err(self.explain(error, call).await),
        }
    }
}
