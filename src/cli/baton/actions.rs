//! One action, and the schemas of the actions.

use std::time::Duration;

use serde_json::{Map, Value};

use super::error::{BatonError, refused};
use super::flags::{ActionFlags, Flags, given};
use super::provision;
use super::subcommands::print;
use super::task::Task;
use crate::export::Canonical;
use crate::governance::GovernanceError;
use crate::governance::actions::{ActionOutcome, ActionRequest, schema};
use crate::proto::c1::connector::v2::ListActionSchemasResponse;
use crate::providers::buildkite::actions;
use crate::wire;

/// Longer than any action takes: the command line waits for its end.
const WAIT: Duration = Duration::from_secs(24 * 3600);

/// An action to invoke.
#[derive(Debug)]
pub(super) struct ActionCall {
    name: String,
    resource_type: String,
    arguments: Map<String, Value>,
}

/// What the flags request, if anything.
///
/// # Errors
/// When flags contradict each other, or a value of one is wrong.
pub(super) fn task(flags: &ActionFlags) -> Result<Option<Task>, BatonError> {
    let name = given(flags.invoke_action.as_ref());
    let (arguments, of) = (
        given(flags.invoke_action_args.as_ref()),
        given(flags.invoke_action_resource_type.as_ref()),
    );
    let listed = given(flags.list_action_schemas_resource_type.as_ref());
    if listed.is_some() && !flags.list_action_schemas {
        return Err(refused(
            "--list-action-schemas-resource-type goes with --list-action-schemas: give that, too",
        ));
    }
    let Some(name) = name else {
        if arguments.or(of).is_some() {
            return Err(refused(
                "--invoke-action-args and --invoke-action-resource-type go with --invoke-action: give that, too",
            ));
        }
        let of = listed.unwrap_or_default().to_owned();
        return Ok(flags.list_action_schemas.then_some(Task::ListActions(of)));
    };
    if flags.list_action_schemas {
        return Err(refused(
            "--invoke-action and --list-action-schemas exclude each other: give one",
        ));
    }
    let wrong = || refused("--invoke-action-args: give a JSON object, as in `{\"email\": \"ada@example.com\"}`");
    let arguments = match arguments {
        Some(arguments) => serde_json::from_str(arguments).map_err(|_| wrong())?,
        None => Map::new(),
    };
    Ok(Some(Task::Act(Box::new(ActionCall {
        name: name.to_owned(),
        resource_type: of.unwrap_or_default().to_owned(),
        arguments,
    }))))
}

/// Invokes the action, and prints what it returns.
///
/// # Errors
/// What the action is refused for, or ends with.
pub(super) async fn invoke(flags: &Flags, call: ActionCall) -> Result<(), BatonError> {
    let job = provision::job(flags, None).await?;
    let context = provision::request_context();
    let (id, caller) = (context.request_id.clone(), context.caller.clone());
    let actions = job.governance().actions();
    let work = async {
        let action = match actions.find(&call.name, &call.resource_type) {
            Ok(action) => action,
            Err(error) => return Err(actions.record_refused(&call.name, context, error).await),
        };
        let request = ActionRequest {
            action,
            arguments: call.arguments,
            inline_wait: WAIT,
        };
        actions.invoke(request, context).await
    };
    let status = provision::finished(&job, work).await?;
    let status = match status.outcome {
        Some(_) => status,
        // A signal came.
        None => actions
            .status(&status.id.to_string(), &caller)
            .map_err(|error| BatonError::of(error, job.has_max_wait()))?,
    };
    let outcome: &ActionOutcome = status.outcome.as_deref().unwrap_or(&Err(GovernanceError::Abandoned));
    if let Err(error) = outcome {
        return Err(BatonError::of(error.clone(), job.has_max_wait()));
    }
    tracing::info!(request_id = id, action = status.action, "done");
    print(serde_json::to_vec_pretty(&wire::actions::response(outcome)).map_err(BatonError::unknown)?)
}

/// Prints the schemas of the actions that the settings allow.
///
/// # Errors
/// Where a setting is wrong, or standard output cannot be written.
pub(super) fn list(flags: &Flags, resource_type: &str) -> Result<(), BatonError> {
    let coverage = flags.connection()?.args.coverage()?;
    let is_of_type = |of: Option<&str>| resource_type.is_empty() || of == Some(resource_type);
    let schemas = schema::offered(actions::all(), coverage.allowed())
        .filter(|action| is_of_type(action.resource_type.map(|of| of.id)))
        .map(wire::actions::schema)
        .collect();
    let response = ListActionSchemasResponse {
        schemas,
        annotations: vec![],
    };
    let mut text = Vec::new();
    Canonical::new()
        .and_then(|canonical| canonical.write_indented(&response, &mut text))
        .map_err(BatonError::unknown)?;
    print(text)
}
