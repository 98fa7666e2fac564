//! The endpoints, one file per family. This module has their common checks: the token, its scope, and its access to the
//! organization.

mod agents;
mod audit_events;
mod builds;
mod clusters;
mod identity;
mod invitations;
mod jobs;
mod members;
mod organizations;
mod pipelines;
mod registries;
mod suites;
mod team_access;
mod team_members;
mod teams;

use http::{HeaderMap, StatusCode};
use serde_json::Value;
use uuid::Uuid;

use super::auth::Token;
use super::behaviors::{Behaviors, FeatureAccess, Paging};
use super::cursor_pages::{CursorLinks, CursorListing};
use super::endpoint::Endpoint;
use super::faults::ListOverride;
use super::oauth;
use super::organization::Organization;
use super::pages::{Listing, PageQuery};
use super::response::{self, ErrorResponse, Response};
use super::service::Service;
use super::target::Target;
use super::team::{PipelineLevel, SuiteLevel};

/// A request to an endpoint.
pub(super) struct Call<'a> {
    pub(super) service: &'a Service,
    pub(super) target: &'a Target,
    pub(super) token: Option<&'a Token>,
    pub(super) query: PageQuery,
    pub(super) headers: &'a HeaderMap,
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

    /// The caller, if the token has the scope and its owner is an admin of the organization.
    fn admin(&self, scope: &str, organization: &Organization) -> Result<Caller, ErrorResponse> {
        let caller = self.caller(scope, organization)?;
        if caller.admin {
            Ok(caller)
        } else {
            Err(response::forbidden())
        }
    }

    /// The body of a request with JSON.
    fn json_body(&self) -> Result<Value, ErrorResponse> {
        serde_json::from_slice(self.body)
            .map_err(|_| Response::message(StatusCode::BAD_REQUEST, "Request body could not be parsed as JSON"))
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

    /// The list with cursors at this call's path, without its rows.
    fn cursor_listing(&self, links: CursorLinks) -> CursorListing<'_> {
        CursorListing {
            query: &self.query,
            behaviors: &self.behaviors,
            url: self.url(),
            links,
            max_rows: self.max_rows,
        }
    }

    fn url(&self) -> String {
        format!("{}{}", self.service.origin, self.path)
    }
}

/// Returns an error if the organization does not have this feature.
fn require_feature(feature: FeatureAccess) -> Result<(), ErrorResponse> {
    match feature {
        FeatureAccess::Available => Ok(()),
        FeatureAccess::Forbidden => Err(response::forbidden()),
        FeatureAccess::NotFound => Err(Response::message(StatusCode::NOT_FOUND, "Not Found")),
    }
}

/// The caller and the caller's role in the organization.
#[derive(Clone, Copy, Debug)]
struct Caller {
    user: Uuid,
    admin: bool,
}

/// Executes a request.
pub(super) fn dispatch(call: &Call<'_>) -> Response {
    let response = match call.target.endpoint {
        Endpoint::Root => Ok(identity::root(call)),
        Endpoint::OAuthToken => oauth::exchange(call.service, call.headers, call.body),
        Endpoint::Meta => Ok(identity::meta()),
        Endpoint::AccessToken => identity::access_token(call),
        Endpoint::RevokeAccessToken => identity::revoke_access_token(call),
        Endpoint::User => identity::user(call),
        Endpoint::Organizations => organizations::list(call),
        Endpoint::Organization => organizations::get(call),
        Endpoint::RateLimit => organizations::rate_limit(call),
        Endpoint::OrganizationMembers => members::list(call),
        Endpoint::OrganizationMember => members::get(call),
        Endpoint::ChangeOrganizationMember => members::change(call),
        Endpoint::RemoveOrganizationMember => members::remove(call),
        Endpoint::Teams => teams::list(call),
        Endpoint::Team => teams::get(call),
        Endpoint::CreateTeam => teams::create(call),
        Endpoint::UpdateTeam => teams::update(call),
        Endpoint::DeleteTeam => teams::delete(call),
        Endpoint::TeamMembers => team_members::list(call),
        Endpoint::TeamMember => team_members::get(call),
        Endpoint::AddTeamMember => team_members::add(call),
        Endpoint::ChangeTeamMember => team_members::change(call),
        Endpoint::RemoveTeamMember => team_members::remove(call),
        Endpoint::TeamPipelines => team_access::list::<PipelineLevel>(call),
        Endpoint::TeamPipeline => team_access::get::<PipelineLevel>(call),
        Endpoint::AddTeamPipeline => team_access::add::<PipelineLevel>(call),
        Endpoint::ChangeTeamPipeline => team_access::change::<PipelineLevel>(call),
        Endpoint::RemoveTeamPipeline => team_access::remove::<PipelineLevel>(call),
        Endpoint::TeamSuites => team_access::list::<SuiteLevel>(call),
        Endpoint::TeamSuite => team_access::get::<SuiteLevel>(call),
        Endpoint::AddTeamSuite => team_access::add_suite(call),
        Endpoint::ChangeTeamSuite => team_access::change::<SuiteLevel>(call),
        Endpoint::RemoveTeamSuite => team_access::remove::<SuiteLevel>(call),
        Endpoint::Invitations => invitations::list(call),
        Endpoint::Invitation => invitations::get(call),
        Endpoint::CreateInvitations => invitations::create(call),
        Endpoint::RevokeInvitation => invitations::revoke(call),
        Endpoint::Pipelines => pipelines::list(call),
        Endpoint::Pipeline => pipelines::get(call),
        Endpoint::Suites => suites::list(call),
        Endpoint::Suite => suites::get(call),
        Endpoint::Registries => registries::list(call),
        Endpoint::Registry => registries::get(call),
        Endpoint::Clusters => clusters::list(call),
        Endpoint::Cluster => clusters::get(call),
        Endpoint::DeleteCluster => clusters::delete(call),
        Endpoint::ClusterMaintainers => clusters::list_maintainers(call),
        Endpoint::ClusterMaintainer => clusters::get_maintainer(call),
        Endpoint::AddClusterMaintainer => clusters::add_maintainer(call),
        Endpoint::RemoveClusterMaintainer => clusters::remove_maintainer(call),
        Endpoint::Builds => builds::list_all(call),
        Endpoint::PipelineBuilds => builds::list(call),
        Endpoint::Build => builds::get(call),
        Endpoint::CreateBuild => builds::create(call),
        Endpoint::Artifacts => builds::artifacts(call),
        Endpoint::JobLog => jobs::log(call),
        Endpoint::JobEnv => jobs::env(call),
        Endpoint::UnblockJob => jobs::unblock(call),
        Endpoint::Agents => agents::list(call),
        Endpoint::Agent => agents::get(call),
        Endpoint::AuditEvents => audit_events::list(call),
        Endpoint::AuditEvent => audit_events::get(call),
        Endpoint::DeleteList | Endpoint::Unknown | Endpoint::Any => {
            Err(Response::message(StatusCode::NOT_FOUND, "Not Found"))
        }
    };
    response.unwrap_or_else(|error| error)
}
