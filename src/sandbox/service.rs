//! Handles a request: logs it, counts it against the rate limits, applies faults and executes it.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::{Request, header};
use hyper::body::Incoming;

use super::auth::{Token, Tokens};
use super::behaviors::{Behaviors, OrganizationHeaders};
use super::clock::Clock;
use super::connection::ConnectionReset;
use super::faults::{self, FaultPlan, Faults, Outcome};
use super::limits::{LimitStatus, Limits};
use super::oauth::Applications;
use super::organization::Organization;
use super::pages::PageQuery;
use super::request_log::{OpenEntry, RequestLog};
use super::response::Response;
use super::routes::{self, Call};
use super::stale_reads::StaleReads;
use super::target::Target;

/// Larger than any request body of this API.
const MAX_BODY: usize = 64 * 1024;

/// The state behind all endpoints.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) origin: String,
    pub(super) organization: RwLock<Organization>,
    pub(super) behaviors: RwLock<Behaviors>,
    pub(super) tokens: Tokens,
    pub(super) applications: Applications,
    pub(super) clock: Clock,
    pub(super) limits: Limits,
    pub(super) faults: Faults,
    pub(super) request_log: RequestLog,
    pub(super) stale_reads: StaleReads,
    pub(super) latency: Duration,
}

impl Service {
    /// Returns the response, or an error if the connection must be reset.
    pub(super) async fn handle(&self, request: Request<Incoming>) -> Result<http::Response<Body>, ConnectionReset> {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        let raw_query = head.uri.query().unwrap_or_default();
        let target = Target::parse(&head.method, path);
        let mut entry = self
            .request_log
            .open(head.method.clone(), (path, raw_query), &head.headers, target.endpoint);
        let body = to_bytes(Body::new(body), MAX_BODY).await.map_err(|_| ConnectionReset)?;

        let token = self.tokens.authenticate(&head.headers, self.clock.now());
        entry.request.user = token.as_deref().map(|token| token.owner);
        let behaviors = self.behaviors();
        let limit_status = token
            .as_deref()
            .map(|token| self.count_request(token, &target, &behaviors))
            .unwrap_or_default();
        let call = Call {
            service: self,
            target: &target,
            token: token.as_deref(),
            query: PageQuery::from_query(raw_query),
            headers: &head.headers,
            body: &body,
            behaviors,
            path,
            max_rows: None,
        };
        let (mut response, changes, limit_status) = match limit_status.exceeded_bucket() {
            Some(bucket) => (
                limit_status.too_many_requests(bucket, behaviors.reset_rounding),
                Vec::new(),
                limit_status,
            ),
            None => self.execute(call, limit_status, &mut entry).await?,
        };
        if !response.from_proxy {
            limit_status.write_headers(&mut response.headers, behaviors.reset_rounding);
            for change in changes {
                faults::change_headers(&mut response.headers, change);
            }
        }
        if let Some(date) = self.clock.date() {
            response.headers.insert(header::DATE, date);
        }
        entry.request.status = Some(response.status.as_u16());
        entry.request.applied = response.applied;
        Ok(response.into_response())
    }

    /// Handles a request that the limits admit, with its faults.
    async fn execute(
        &self,
        call: Call<'_>,
        limit_status: LimitStatus,
        entry: &mut OpenEntry<'_>,
    ) -> Result<(Response, Vec<faults::HeaderChange>, LimitStatus), ConnectionReset> {
        let (target, path, behaviors) = (call.target, call.path, call.behaviors);
        let FaultPlan {
            edits,
            delay,
            gates,
            headers,
            links,
            kind,
            replayed,
        } = self.faults.inject(target, call.query.page(), path);
        tokio::time::sleep(self.latency.saturating_add(delay)).await;
        for gate in &gates {
            gate.wait().await;
        }
        for edit in &edits {
            faults::apply_edit(edit, &mut self.organization_mut(), target, behaviors.order);
        }
        let with_links = |mut response: Response| {
            for change in &links {
                faults::change_link(&mut response.headers, path, *change);
            }
            response
        };
        let respond = |list_override: faults::ListOverride| {
            let response = routes::dispatch(&call.with_override(list_override));
            if target.endpoint.is_list() {
                self.faults.store_response(path, &response);
            }
            response
        };
        let Some(kind) = kind else {
            return Ok((
                with_links(respond(faults::ListOverride::default())),
                headers,
                limit_status,
            ));
        };
        match faults::resolve_outcome(kind, replayed, (&self.limits, limit_status, &behaviors), respond) {
            Outcome::Response(response) => Ok((with_links(response), headers, limit_status)),
            Outcome::RateLimited(response, bucket) => {
                Ok((response, headers, self.limits.with_exhausted(limit_status, bucket)))
            }
            Outcome::Reset { applied } => {
                entry.request.applied = applied;
                Err(ConnectionReset)
            }
            // Ends with the connection: its task drops this future when either side closes.
            Outcome::Hang => std::future::pending().await,
        }
    }

    /// Counts the request against its user and, if it is about the organization, against the organization.
    fn count_request(&self, token: &Token, target: &Target, behaviors: &Behaviors) -> LimitStatus {
        let counts_organization = match &target.organization {
            Some(slug) => token.reaches_organization && *slug == self.organization().slug,
            None => behaviors.organization_headers == OrganizationHeaders::Present,
        };
        self.limits.count_request(token.owner, counts_organization)
    }

    pub(super) fn organization(&self) -> RwLockReadGuard<'_, Organization> {
        self.organization.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn organization_mut(&self) -> RwLockWriteGuard<'_, Organization> {
        self.organization.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn behaviors(&self) -> Behaviors {
        *self.behaviors.read().unwrap_or_else(PoisonError::into_inner)
    }
}
