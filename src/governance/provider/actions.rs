//! The part of the seam that is about actions.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::Failure;
use crate::governance::actions::{ActionInfo, ActionResults, Arguments};
use crate::governance::model::Resource;
use crate::governance::{CallContext, GovernanceError};

/// An invocation of an action.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The id of the invocation.
    pub id: Uuid,
    /// The action.
    pub action: &'static ActionInfo,
    /// The arguments.
    pub arguments: Arguments,
    /// The resource that it is about, if it is about one.
    pub subject: Option<Resource>,
}

/// The actions of a provider.
#[async_trait]
pub trait ActionProvider: Debug + Send + Sync {
    /// Every action, whether it is allowed or not.
    fn all(&self) -> &'static [&'static ActionInfo];

    /// Checks the arguments beyond their schema. Sends no request.
    ///
    /// # Errors
    /// `Invalid`, which names the argument.
    fn check(&self, action: &'static ActionInfo, arguments: &Arguments) -> Result<(), GovernanceError>;

    /// Reads what an action returns that changes nothing.
    ///
    /// # Errors
    /// What keeps it from being read.
    async fn read(&self, invocation: &Invocation, call: &CallContext) -> Result<ActionResults, GovernanceError>;

    /// What a change returns, if it was made already: by this invocation, if `was_sent`, or by an earlier one.
    ///
    /// # Errors
    /// What keeps the present state from being read, or forbids the change.
    async fn find(
        &self,
        invocation: &Invocation,
        was_sent: bool,
        call: &CallContext,
    ) -> Result<Option<ActionResults>, GovernanceError>;

    /// How much longer reads may not show a change that an earlier invocation of this process made or may have made, and that
    /// this one repeats; `None` if there is none.
    fn hidden_for(&self, invocation: &Invocation) -> Option<Duration>;

    /// Sends the request of a change, once. `None` if it was accepted and the response does not show the result.
    async fn write(&self, invocation: &Invocation, call: &CallContext) -> Result<Option<ActionResults>, Failure>;

    /// The error of a change that failed.
    async fn explain(&self, invocation: &Invocation, failure: Failure, call: &CallContext) -> GovernanceError;
}
