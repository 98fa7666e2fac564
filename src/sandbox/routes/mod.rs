//! The endpoints, one file per family. What all of them check first is here: the token, its scope, and whether it
//! reaches the organization.

mod identity;
mod members;
mod organizations;
mod team_members;
mod teams;

use http::StatusCode;

use super::answers::{self, Answer, Refusal};
use super::auth::Token;
use super::endpoint::{Endpoint, Target};
use super::faults::Instead;
use super::habits::{Habits, Paging};
use super::organization::Organization;
use super::pages::{Asked, Listing};
use super::service::Service;

/// A request on its way to an endpoint.
pub(super) struct Call<'a> {
    pub(super) service: &'a Service,
    pub(super) target: &'a Target,
    pub(super) token: Option<&'a Token>,
    pub(super) asked: Asked,
    pub(super) body: &'a [u8],
    pub(super) habits: Habits,
    pub(super) path: &'a str,
    /// Only so many rows of a page, if a fault says so.
    pub(super) shown: Option<usize>,
}

impl<'a> Call<'a> {
    /// The same call, as a fault has it served.
    pub(super) fn instead(mut self, instead: Instead) -> Self {
        if instead.first_page {
            self.asked.rewind();
        }
        self.shown = instead.rows;
        self
    }

    fn token(&self) -> Result<&'a Token, Refusal> {
        self.token.ok_or_else(answers::unauthenticated)
    }

    /// The token, once it holds the scope.
    fn with_scope(&self, scope: &str) -> Result<&'a Token, Refusal> {
        let token = self.token()?;
        token.require(scope)?;
        Ok(token)
    }

    /// The caller, once the token holds the scope and reaches the organization. Leaving the organization ends the reach.
    fn caller(&self, scope: &str, organization: &Organization) -> Result<Caller, Refusal> {
        let token = self.with_scope(scope)?;
        let named = self.target.organization.as_ref() == Some(&organization.slug);
        if !named || !token.reaches_organization || organization.person(token.owner).is_none() {
            return Err(answers::not_found("organization"));
        }
        Ok(Caller {
            user: token.owner,
            admin: organization.is_admin(token.owner),
        })
    }

    /// The list at this call's path, to be filled with rows.
    fn listing<'c>(&'c self, url: &'c str, paging: Paging) -> Listing<'c> {
        Listing {
            asked: &self.asked,
            paging,
            habits: &self.habits,
            url,
            shown: self.shown,
        }
    }

    fn url(&self) -> String {
        format!("{}{}", self.service.origin, self.path)
    }
}

/// Who calls, and what they are in the organization.
#[derive(Clone, Copy, Debug)]
struct Caller {
    user: uuid::Uuid,
    admin: bool,
}

/// Answers a call truthfully.
pub(super) fn answer(call: &Call<'_>) -> Answer {
    let answer = match call.target.endpoint {
        Endpoint::Root => Ok(identity::root()),
        Endpoint::Meta => Ok(identity::meta()),
        Endpoint::AccessToken => identity::access_token(call),
        Endpoint::RevokeAccessToken => identity::revoke_access_token(call),
        Endpoint::User => identity::user(call),
        Endpoint::Organizations => organizations::list(call),
        Endpoint::Organization => organizations::one(call),
        Endpoint::RateLimit => organizations::rate_limit(call),
        Endpoint::OrganizationMembers => members::list(call),
        Endpoint::OrganizationMember => members::one(call),
        Endpoint::Teams => teams::list(call),
        Endpoint::Team => teams::one(call),
        Endpoint::TeamMembers => team_members::list(call),
        Endpoint::TeamMember => team_members::one(call),
        Endpoint::AddTeamMember => team_members::add(call),
        Endpoint::ChangeTeamMember => team_members::change(call),
        Endpoint::RemoveTeamMember => team_members::remove(call),
        Endpoint::Unknown | Endpoint::Any => Err(Answer::message(StatusCode::NOT_FOUND, "Not Found")),
    };
    answer.unwrap_or_else(|refusal| refusal)
}
