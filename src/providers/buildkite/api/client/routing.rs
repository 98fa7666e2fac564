//! Which of several credentials serves a request of a call.
//!
//! Most reads are served by whichever credential has most left. The answers that decide or confirm a change or prove an absence
//! have to agree with each other, so one credential serves all of them: the one that was given the first permit for them.

use super::Client;
use super::pool::Pool;
use crate::governance::{CallContext, Lane};
use crate::providers::buildkite::budget::{Route, serving};

impl Client {
    /// The same client with one of its credentials for every request.
    pub(crate) fn as_credential(&self, position: usize) -> Self {
        Self {
            only: (!self.pool.is_single()).then_some(position),
            ..self.clone()
        }
    }

    /// The credentials.
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Which credentials may serve a request of this call.
    pub(super) fn route(&self, is_write: bool, call: &CallContext) -> Route {
        match self.only {
            Some(only) => Route::Credential(only),
            None if self.pool.is_single() => Route::Read,
            None if is_write => Route::Change,
            // Nothing that a sync reads is for a credential for provisioning.
            None if call.lane() == Lane::Sync => Route::Read,
            // An answer that may not be another call's decides or confirms a change, or proves an absence.
            None if !call.may_coalesce() => Route::Change,
            None => Route::Read,
        }
    }

    /// Whether the answers to a call have to agree with each other, because they decide or confirm a change or prove an
    /// absence, so that one credential serves all of them.
    fn needs_one(&self, route: Route, call: &CallContext) -> bool {
        !self.pool.is_single() && (route == Route::Change || (route == Route::Read && !call.may_coalesce()))
    }

    /// The route of a request: that of the credential which decides for its call, if there is one already.
    pub(super) fn decided(&self, route: Route, call: &CallContext) -> Route {
        self.deciding(route, call, || None).map_or(route, Route::Credential)
    }

    /// Whether a permit for this credential serves the call: if none decides for the call yet, this one does from now on.
    pub(super) fn decides(&self, position: usize, route: Route, call: &CallContext) -> bool {
        let deciding = self.deciding(route, call, || Some(position));
        deciding.is_none_or(|deciding| deciding == position)
    }

    fn deciding(&self, route: Route, call: &CallContext, choose: impl FnOnce() -> Option<usize>) -> Option<usize> {
        if !self.needs_one(route, call) {
            return None;
        }
        let in_use = self.pool.in_use(route);
        call.choose_credential(|position| in_use.contains(&position), choose)
    }

    /// The credentials that may have served a request of this call, or of the sync that it belongs to.
    pub(crate) fn may_have_served(&self, call: &CallContext) -> Vec<usize> {
        let route = self.route(false, call);
        if let Some(position) = self.deciding(route, call, || None) {
            return vec![position];
        }
        let since = call.reuses_reads_since().unwrap_or_else(|| call.begun());
        let served = |position: &usize| self.pool.is_or_was_used(*position, since);
        let serving = serving(&self.pool.uses(), route).into_iter().flatten();
        serving.filter(served).collect()
    }

    /// The credential that an answer for this call is from, or is about if any may serve it.
    pub(crate) fn responsible(&self, call: &CallContext) -> usize {
        if let Some(only) = self.only {
            return only;
        }
        let route = self.route(false, call);
        let preferred = || self.limiter.preferred(call.lane(), route);
        self.deciding(route, call, preferred)
            .unwrap_or_else(|| self.pool.first(route))
    }
}
