//! The actions of Buildkite: `schemas` declares them, and each of the other files carries out those of one kind. What creates and
//! deletes a team, lists its members and finds a user is carried out by governance.

mod builds;
mod credential_free;
mod recent_builds;
mod rest_get;
mod schemas;
mod teams;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Buildkite;
use crate::governance::actions::{ActionInfo, ActionResults, Arguments};
use crate::governance::provider::{ActionProvider, Failure, Invocation};
use crate::governance::{CallContext, GovernanceError};
pub(super) use recent_builds::RecentBuilds;

/// Every action, whether it is allowed or not.
#[must_use]
pub fn all() -> &'static [&'static ActionInfo] {
    &schemas::ALL
}

/// The actions of one organization.
#[derive(Debug)]
pub(super) struct BuildkiteActions {
    buildkite: Arc<Buildkite>,
    /// How long a build may not be listed.
    own_write_window: Duration,
}

impl BuildkiteActions {
    /// The actions of the organization of `buildkite`, whose lists may not show a build for `own_write_window`.
    pub(super) fn new(buildkite: Arc<Buildkite>, own_write_window: Duration) -> Self {
        Self {
            buildkite,
            own_write_window,
        }
    }
}

#[async_trait]
impl ActionProvider for BuildkiteActions {
    fn all(&self) -> &'static [&'static ActionInfo] {
        all()
    }

    fn check(&self, action: &'static ActionInfo, arguments: &Arguments) -> Result<(), GovernanceError> {
        match action.name {
            "trigger_build" => builds::check(arguments),
            "rest_get" => rest_get::path(arguments).map(drop),
            _ => Ok(()),
        }
    }

    async fn read(&self, invocation: &Invocation, call: &CallContext) -> Result<ActionResults, GovernanceError> {
        match invocation.action.name {
            "build_status" => self.build_status(invocation, call).await,
            "rest_get" => self.rest_get(invocation, call).await,
            _ => Err(not_carried_out(invocation)),
        }
    }

    async fn find(
        &self,
        invocation: &Invocation,
        was_sent: bool,
        call: &CallContext,
    ) -> Result<Option<ActionResults>, GovernanceError> {
        match invocation.action.name {
            "update_team" => self.updated_team(invocation, call).await,
            "trigger_build" => self.triggered_build(invocation, was_sent, call).await,
            "unblock_job" => self.unblocked_job(invocation, call).await,
            _ => Err(not_carried_out(invocation)),
        }
    }

    fn hidden_for(&self, invocation: &Invocation) -> Option<Duration> {
        match invocation.action.name {
            "trigger_build" => self.build_hidden_for(invocation),
            _ => None,
        }
    }

    async fn write(&self, invocation: &Invocation, call: &CallContext) -> Result<Option<ActionResults>, Failure> {
        match invocation.action.name {
            "update_team" => self.update_team(invocation, call).await,
            "trigger_build" => self.trigger_build(invocation, call).await,
            "unblock_job" => self.unblock_job(invocation, call).await,
            _ => Err(not_carried_out(invocation).into()),
        }
    }

    async fn explain(&self, _: &Invocation, failure: Failure, call: &CallContext) -> GovernanceError {
        self.buildkite.explain(failure, call).await
    }
}

/// The error of an action that is not carried out here. The table of actions decides who carries out which.
fn not_carried_out(invocation: &Invocation) -> GovernanceError {
    GovernanceError::ActionNotFound {
        problem: format!("the provider does not carry out {}", invocation.action.name),
    }
}
