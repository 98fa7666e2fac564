//! The endpoints, one file per family. This module has their common checks: the token, its scope, and its access to the
//! organization.

mod identity;
mod members;
mod organizations;
mod team_members;
mod teams;

use http::StatusCode;

use super::auth::Token;
use super::behaviors::{Behaviors, Paging};
use super::endpoint::{Endpoint, Target};
use super::faults::ListOverride;
use super::organization::Organization;
use super::pages::{Listing, PageQuery};
use super::response::{self, ErrorResponse, Response};
use super::service::Service;

/// A request to an endpoint.
pub(super) struct Call<'a> {
    pub(super) service: &'a Service,
    pub(super) target: &'a Target,
    pub(super) token: Option<&'a Token>,
    pub(super) query: PageQuery,
    pub(super) body: &'a [u8],
    pub(super) behaviors: Behaviors,
    pub(super) path: &'a str,
    /// Return at most this many rows of a page, because of a fault.
    pub(super) max_rows: Option<usize>,
}

impl<'a> Call<'a> {
    /// Applies what a fault changes in the request.
    pub(super) fn with_override(mut self, list_override: ListOverride) -> Self {
        if list_override.first_page {
            self.query.reset_page();
        }
        self.max_rows = list_override.max_rows;
        self
    }

    fn token(&self) -> Result<&'a Token, ErrorResponse> {
        self.token.ok_or_else(response::unauthenticated)
    }

    /// The token, if it has the scope.
    fn with_scope(&self, scope: &str) -> Result<&'a Token, ErrorResponse> {
        let token = self.token()?;
        token.require_scope(scope)?;
        Ok(token)
    }

    /// The caller, if the token has the scope and access to the organization. An owner who left the organization has no
    /// access.
    fn caller(&self, scope: &str, organization: &Organization) -> Result<Caller, ErrorResponse> {
        let token = self.with_scope(scope)?;
        let named = self.target.organization.as_ref() == Some(&organization.slug);
        if !named || !token.reaches_organization || organization.person(token.owner).is_none() {
            return Err(response::not_found("organization"));
        }
        Ok(Caller {
            user: token.owner,
            admin: organization.is_admin(token.owner),
        })
    }

    /// The list at this call's path, without its rows.
    fn listing<'c>(&'c self, url: &'c str, paging: Paging) -> Listing<'c> {
        Listing {
            query: &self.query,
            paging,
            behaviors: &self.behaviors,
            url,
            max_rows: self.max_rows,
        }
    }

    fn url(&self) -> String {
        format!("{}{}", self.service.origin, self.path)
    }
}

/// The caller and the caller's role in the organization.
#[derive(Clone, Copy, Debug)]
struct Caller {
    user: uuid::Uuid,
    admin: bool,
}

/// Executes a request.
pub(super) fn dispatch(call: &Call<'_>) -> Response {
    let response = match call.target.endpoint {
        Endpoint::Root => Ok(identity::root()),
        Endpoint::Meta => Ok(identity::meta()),
        Endpoint::AccessToken => identity::access_token(call),
        Endpoint::RevokeAccessToken => identity::revoke_access_token(call),
        Endpoint::User => identity::user(call),
        Endpoint::Organizations => organizations::list(call),
        Endpoint::Organization => organizations::get(call),
        Endpoint::RateLimit => organizations::rate_limit(call),
        Endpoint::OrganizationMembers => members::list(call),
        Endpoint::OrganizationMember => members::get(call),
        Endpoint::Teams => teams::list(call),
        Endpoint::Team => teams::get(call),
        Endpoint::TeamMembers => team_members::list(call),
        Endpoint::TeamMember => team_members::get(call),
        Endpoint::AddTeamMember => team_members::add(call),
        Endpoint::ChangeTeamMember => team_members::change(call),
        Endpoint::RemoveTeamMember => team_members::remove(call),
        Endpoint::Unknown | Endpoint::Any => Err(Response::message(StatusCode::NOT_FOUND, "Not Found")),
    };
    response.unwrap_or_else(|error| error)
}
