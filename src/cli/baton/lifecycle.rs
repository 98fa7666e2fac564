//! One invitation or one deletion.

use super::error::{BatonError, refused};
use super::flags::{Flags, LifecycleFlags, given};
use super::provision;
use super::task::Task;
use crate::governance::Change;
use crate::governance::lifecycle::Account;
use crate::governance::model::{LifecycleOperation, ResourceId, ResourceTypeInfo};
use crate::proto::c1::connector::v2::{AccountInfo, CreateAccountRequest, account_info};
use crate::providers::buildkite::{Coverage, resources};
use crate::wire::lifecycle;

/// The change that the flags request, if any.
///
/// # Errors
/// When flags contradict each other, or a value of one is wrong.
pub(super) fn task(flags: &LifecycleFlags) -> Result<Option<Task>, BatonError> {
    let account = account(flags)?;
    let deleted = deleted(flags)?;
    match (account, deleted) {
        (Some(_), Some(_)) => Err(refused("one change is made at once: give the flags of one of them")),
        (account, deleted) => Ok(account
            .map(|account| Task::CreateAccount(Box::new(account)))
            .or(deleted.map(Task::Delete))),
    }
}

/// The kind of the change that the flags request, if any.
pub(super) fn change(flags: &LifecycleFlags) -> Option<Change> {
    match task(flags).ok()?? {
        Task::CreateAccount(_) => Some(Change::Invitations),
        Task::Delete(resource) => resource.resource_type.lifecycle_change(LifecycleOperation::Delete),
        _ => None,
    }
}

/// Invites the person.
///
/// # Errors
/// What the invitation ends with.
pub(super) async fn create_account(flags: &Flags, request: &CreateAccountRequest) -> Result<(), BatonError> {
    let job = provision::job(flags, Some(Change::Invitations)).await?;
    let context = provision::request_context();
    let id = context.request_id.clone();
    let catalog = job.governance().listings().catalog();
    let work = lifecycle::invite(job.governance().lifecycle(), catalog, request, context);
    let account = provision::finished(&job, Box::pin(work)).await?;
    let (outcome, resource) = match &account {
        Account::User(user) => ("already_exists", user.id),
        Account::Invited {
            invitation,
            is_new: true,
        } => ("invited", invitation.id),
        Account::Invited { invitation, .. } => ("already_invited", invitation.id),
    };
    tracing::info!(request_id = id, %resource, outcome, "done");
    Ok(())
}

/// Deletes the resource.
///
/// # Errors
/// What the deletion ends with.
pub(super) async fn delete(flags: &Flags, resource: ResourceId) -> Result<(), BatonError> {
    let change = resource.resource_type.lifecycle_change(LifecycleOperation::Delete);
    let job = provision::job(flags, change).await?;
    let context = provision::request_context();
    let id = context.request_id.clone();
    let work = job.governance().lifecycle().delete(resource, context);
    let outcome = provision::finished(&job, work).await?;
    tracing::info!(request_id = id, %resource, outcome = outcome.as_str(), "done");
    Ok(())
}

/// The invitation that the flags request.
fn account(flags: &LifecycleFlags) -> Result<Option<CreateAccountRequest>, BatonError> {
    let (login, email) = (
        given(flags.create_account_login.as_ref()),
        given(flags.create_account_email.as_ref()),
    );
    let profile = given(flags.create_account_profile.as_ref());
    let resource_type = given(flags.create_account_resource_type.as_ref());
    if login.is_none() && email.is_none() {
        return match profile.or(resource_type) {
            None => Ok(None),
            Some(_) => Err(refused(
                "--create-account-profile and --create-account-resource-type go with --create-account-email: give that, too",
            )),
        };
    }
    let profile = profile.map(|profile| {
        let object = serde_json::from_str(profile).ok();
        object
            .and_then(lifecycle::structure)
            .ok_or_else(|| refused("--create-account-profile: give a JSON object, as in `{\"role\": \"member\"}`"))
    });
    let emails = email.map(|address| account_info::Email {
        address: address.to_owned(),
        is_primary: true,
    });
    Ok(Some(CreateAccountRequest {
        account_info: Some(AccountInfo {
            emails: emails.into_iter().collect(),
            login: login.unwrap_or_default().to_owned(),
            login_aliases: Vec::new(),
            profile: profile.transpose()?,
        }),
        resource_type_id: resource_type.unwrap_or_default().to_owned(),
        ..Default::default()
    }))
}

/// The resource that the flags delete.
fn deleted(flags: &LifecycleFlags) -> Result<Option<ResourceId>, BatonError> {
    let (resource_type, id) = match (
        given(flags.delete_resource_type.as_ref()),
        given(flags.delete_resource.as_ref()),
    ) {
        (None, None) => return Ok(None),
        (Some(resource_type), Some(id)) => (resource_type, id),
        _ => {
            return Err(refused(
                "--delete-resource and --delete-resource-type go together: give both",
            ));
        }
    };
    let catalog = resources::catalog(&Coverage::default().with_change(Change::Invitations));
    let deletable: Vec<&ResourceTypeInfo> = catalog
        .types()
        .iter()
        .copied()
        .filter(|known| known.lifecycle_change(LifecycleOperation::Delete).is_some())
        .collect();
    if !deletable.iter().any(|known| known.id == resource_type) {
        let names: Vec<&str> = deletable.iter().map(|known| known.id).collect();
        return Err(refused(format!("--delete-resource-type: give {}", names.join(", "))));
    }
    catalog
        .resource(resource_type, id)
        .map(Some)
        .map_err(|problem| refused(format!("--delete-resource: {problem}")))
}
