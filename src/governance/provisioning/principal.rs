//! Resolves a principal: a user's UUID as it is, or the only user with an e-mail address.
//!
//! Addresses are compared without regard to ASCII case. The people are read once and kept for a while; an address that does
//! not lead to one person in what was kept is looked for in a list that was read since the request came, and whoever was found
//! is confirmed with their own record before anything is written.

use std::collections::HashMap;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::governance::{Governance, GovernanceError, Principal};
use crate::providers::buildkite::{ApiError, ApiErrorKind, CallContext, OrganizationMember, UserId};

/// How fresh the list of users has to be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Freshness {
    /// The one that is kept, unless it is older than the setting allows.
    Cached,
    /// One whose reading began at this moment or later: many who ask for it share one reading.
    ReadAfter(Instant),
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
    pub(crate) async fn resolve_principal(
        &self,
        principal: &Principal,
        call: &CallContext,
    ) -> Result<UserId, GovernanceError> {
        let email = match principal {
            Principal::User(user) => return Ok(*user),
            Principal::Email(email) => email,
        };
        let cached = self.users_with_email(email, Freshness::Cached, call).await?;
        if let [user] = cached.as_slice()
            && self.has_email(*user, email, call).await?
        {
            return Ok(*user);
        }
        let fresh = self
            .users_with_email(email, Freshness::ReadAfter(call.begun()), call)
            .await?;
        match fresh.as_slice() {
            [user] if self.has_email(*user, email, call).await? => Ok(*user),
            // The one whom the list showed has it no longer.
            [] | [_] => Err(GovernanceError::UserNotInOrganization { person: email.clone() }),
            several => Err(GovernanceError::AmbiguousPrincipal {
                email: email.clone(),
                holders: several.len(),
            }),
        }
    }

    /// Every user with the address.
    pub(crate) async fn users_with_email(
        &self,
        email: &str,
        freshness: Freshness,
        call: &CallContext,
    ) -> Result<Vec<UserId>, GovernanceError> {
        let accepts = |read: Instant| match freshness {
            Freshness::Cached => read.elapsed() < self.settings.directory_max_age,
            Freshness::ReadAfter(moment) => read >= moment,
        };
        let mut last = self.provisioning.directory.last.lock().await;
        if !last.as_ref().is_some_and(|(read, _)| accepts(*read)) {
            let begun = Instant::now();
            *last = Some((begun, self.read_users_by_email(call).await?));
        }
        let found = last
            .as_ref()
            .and_then(|(_, users)| users.get(&email.to_ascii_lowercase()));
        Ok(found.cloned().unwrap_or_default())
    }

    async fn read_users_by_email(&self, call: &CallContext) -> Result<ByEmail, GovernanceError> {
        let members: Vec<OrganizationMember> = self.read_all(call).await?;
        self.provisioning.display_names.record_users(&members);
        let mut users = ByEmail::new();
        for user in members {
            if let Some(email) = user.email {
                let ids = users.entry(email.to_ascii_lowercase()).or_default();
                if !ids.contains(&user.id) {
                    ids.push(user.id);
                }
            }
        }
        Ok(users)
    }

    pub(crate) async fn has_email(
        &self,
        user: UserId,
        email: &str,
        call: &CallContext,
    ) -> Result<bool, GovernanceError> {
        match self.upstream.person(user, call).await {
            Ok(user) => Ok(user.email.is_some_and(|has| has.eq_ignore_ascii_case(email))),
            Err(ApiError {
                kind: ApiErrorKind::NotFound,
                ..
            }) => Ok(false),
            Err(error) => Err(self.call_error(error, call).await),
        }
    }
}
