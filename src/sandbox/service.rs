//! The way of a request through the sandbox: it is logged, counted against the rate limits, met by faults, carried out.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::{Request, Response};
use hyper::body::Incoming;

use super::answers::Answer;
use super::auth::{Token, Tokens};
use super::connection::Cut;
use super::endpoint::Target;
use super::faults::{self, Faults, Outcome, Plan};
use super::habits::{Habits, OrganizationHeaders};
use super::journal::{Entry, Journal};
use super::lag::Shadows;
use super::limits::{Limits, Standing};
use super::organization::Organization;
use super::pages::Asked;
use super::routes::{self, Call};

/// More than any request of this API holds.
const LARGEST_BODY: usize = 64 * 1024;

/// Everything that answering needs.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) origin: String,
    pub(super) organization: RwLock<Organization>,
    pub(super) habits: RwLock<Habits>,
    pub(super) tokens: Tokens,
    pub(super) limits: Limits,
    pub(super) faults: Faults,
    pub(super) journal: Journal,
    pub(super) shadows: Shadows,
    pub(super) latency: Duration,
}

impl Service {
    /// Answers a request, or says that its connection is to be cut.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Cut> {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        let query = head.uri.query().unwrap_or_default();
        let target = Target::of(&head.method, path);
        let mut entry = self.journal.open(head.method.clone(), path, query, target.endpoint);
        let body = to_bytes(Body::new(body), LARGEST_BODY).await.map_err(|_| Cut)?;

        let token = self.tokens.presented(&head.headers);
        let habits = self.habits();
        let standing = token
            .as_deref()
            .map(|token| self.count(token, &target, &habits))
            .unwrap_or_default();
        let call = Call {
            service: self,
            target: &target,
            token: token.as_deref(),
            asked: Asked::from_query(query),
            body: &body,
            habits,
            path,
            shown: None,
        };
        let (mut answer, changes, standing) = match standing.refused_by() {
            Some(bucket) => (standing.refusal(bucket, habits.reset_rounding), Vec::new(), standing),
            None => self.serve(call, standing, &mut entry).await?,
        };
        if !answer.from_proxy {
            standing.write(&mut answer.headers, habits.reset_rounding);
            for change in changes {
                faults::change_headers(&mut answer.headers, change);
            }
        }
        entry.request.status = Some(answer.status.as_u16());
        entry.request.applied = answer.applied;
        Ok(answer.into_response())
    }

    /// A request that the limits let pass: faults first.
    async fn serve(
        &self,
        call: Call<'_>,
        standing: Standing,
        entry: &mut Entry<'_>,
    ) -> Result<(Answer, Vec<faults::HeaderChange>, Standing), Cut> {
        let (target, path, habits) = (call.target, call.path, call.habits);
        let Plan {
            edits,
            delay,
            gates,
            headers,
            links,
            kind,
            replayed,
        } = self.faults.strike(target, call.asked.page(), path);
        tokio::time::sleep(self.latency.saturating_add(delay)).await;
        for gate in &gates {
            gate.passed().await;
        }
        for edit in &edits {
            faults::make(edit, &mut self.organization_mut(), target, habits.order);
        }
        let relinked = |mut answer: Answer| {
            for change in &links {
                faults::change_link(&mut answer.headers, path, *change);
            }
            answer
        };
        let carry_out = |instead: faults::Instead| {
            let answer = routes::answer(&call.instead(instead));
            if target.endpoint.is_list() {
                self.faults.remember(path, &answer);
            }
            answer
        };
        let Some(kind) = kind else {
            return Ok((relinked(carry_out(faults::Instead::default())), headers, standing));
        };
        match faults::outcome(kind, replayed, (&self.limits, standing, &habits), carry_out) {
            Outcome::Answer(answer) => Ok((relinked(answer), headers, standing)),
            Outcome::Refused(answer, bucket) => Ok((answer, headers, self.limits.exhausted(standing, bucket))),
            Outcome::Cut { applied } => {
                entry.request.applied = applied;
                Err(Cut)
            }
            // Ends with the connection: its task drops this when either side goes.
            Outcome::Hang => std::future::pending().await,
        }
    }

    /// Counts the request against its user and, where it asks about the organization, against that.
    fn count(&self, token: &Token, target: &Target, habits: &Habits) -> Standing {
        let of_organization = match &target.organization {
            Some(slug) => token.reaches_organization && *slug == self.organization().slug,
            None => habits.organization_headers == OrganizationHeaders::Present,
        };
        self.limits.count(token.owner, of_organization)
    }

    pub(super) fn organization(&self) -> RwLockReadGuard<'_, Organization> {
        self.organization.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn organization_mut(&self) -> RwLockWriteGuard<'_, Organization> {
        self.organization.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn habits(&self) -> Habits {
        *self.habits.read().unwrap_or_else(PoisonError::into_inner)
    }
}
