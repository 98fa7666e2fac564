//! One grant or revoke. Its entitlement and principal are read from the file of an earlier sync, as in every Baton connector.

use std::path::Path;

use secrecy::ExposeSecret;
use uuid::Uuid;

use super::error::{BatonError, FINISHED};
use super::flags::Flags;
use super::task::GrantRequest;
use crate::cli::job::Job;
use crate::cli::settings::Settings;
use crate::export::{Progress, SyncedRows};
use crate::governance::provisioning::{OperationKind, ProvisioningResult, RequestContext};
use crate::governance::{Change, GovernanceError};
use crate::proto::c1::connector::v2::{Entitlement, Resource, ResourceId};
use crate::providers::buildkite::{Coverage, resources};
use crate::wire::{change, request};

/// The variable of the token by the connector's own name.
const TOKEN: &str = "BUILDKITE_API_TOKEN";

/// The annotation of a row that the platform created and no connector knows.
const CREATED_BY_PLATFORM: &str = "c1.connector.v2.BatonID";

/// The environment, in which a token that was given as a flag replaces its variable.
pub(super) fn environment(flags: &Flags) -> impl Fn(&str) -> Option<String> {
    let token = flags.api_token.clone();
    move |name| match (&token, name) {
        (Some(token), TOKEN) => Some(token.expose_secret().to_owned()),
        _ => std::env::var(name).ok(),
    }
}

/// A job by the flags' settings. A change that the command line itself requests is allowed.
pub(super) async fn job(flags: &Flags, change: Option<Change>) -> Result<Job, BatonError> {
    job_with(flags, |coverage| match change {
        Some(change) => coverage.with_change(change),
        None => coverage,
    })
    .await
}

/// A job that covers what `requested` adds to the flags' settings.
async fn job_with(flags: &Flags, requested: impl Fn(Coverage) -> Coverage) -> Result<Job, BatonError> {
    let named = flags.connection()?;
    named.args.check_audit_file(&requested(named.args.coverage()?))?;
    let adjust = |mut settings: Settings| {
        settings.coverage = requested(settings.coverage);
        settings
    };
    Ok(Job::open(&named, flags.sandbox(), environment(flags), adjust).await?)
}

/// Grants an entitlement of the file to a principal of the file.
///
/// # Errors
/// `NOT_FOUND` where the file lacks one of them; otherwise what the grant ends with.
pub(super) async fn grant(flags: &Flags, wanted: GrantRequest) -> Result<(), BatonError> {
    let file = open(&flags.file)?;
    let found = file.entitlement(&wanted.entitlement).map_err(of_file)?;
    let entitlement = found.ok_or_else(|| missing(&flags.file, "entitlement", &wanted.entitlement))?;
    resource_of(&file, &flags.file, &entitlement)?;
    let principal = resource(&file, &flags.file, &wanted.principal_type, &wanted.principal)?;
    apply(flags, OperationKind::Grant, &entitlement, &principal).await
}

/// Revokes a grant of the file.
///
/// # Errors
/// `NOT_FOUND` where the file lacks it or what it is about; otherwise what the revoke ends with.
pub(super) async fn revoke(flags: &Flags, id: &str) -> Result<(), BatonError> {
    let file = open(&flags.file)?;
    let grant = file.grant(id).map_err(of_file)?;
    let grant = grant.ok_or_else(|| missing(&flags.file, "grant", id))?;
    let entitlement = grant.entitlement.unwrap_or_default();
    let found = file.entitlement(&entitlement.id).map_err(of_file)?;
    let entitlement = found.ok_or_else(|| missing(&flags.file, "entitlement", &entitlement.id))?;
    resource_of(&file, &flags.file, &entitlement)?;
    let ResourceId {
        resource_type,
        resource: id,
        ..
    } = grant.principal.and_then(|principal| principal.id).unwrap_or_default();
    let principal = resource(&file, &flags.file, &resource_type, &id)?;
    apply(flags, OperationKind::Revoke, &entitlement, &principal).await
}

async fn apply(
    flags: &Flags,
    operation: OperationKind,
    entitlement: &Entitlement,
    principal: &Resource,
) -> Result<(), BatonError> {
    let of = entitlement.resource.as_ref().and_then(|resource| resource.id.as_ref());
    let of = of.and_then(|id| resources::full_catalog().resource_type(&id.resource_type).ok());
    let job = job_with(flags, |coverage| match of {
        Some(of) => coverage.with_levels_of(of),
        None => coverage,
    })
    .await?;
    let request = request_context();
    let id = request.request_id.clone();
    let catalog = job.governance().listings().catalog();
    let entitlement = request::entitlement(catalog, Some(entitlement));
    let principal = request::principal(catalog, entitlement.as_ref().ok().copied(), Some(principal));
    let provisioning = job.governance().provisioning();
    let work = change::apply(provisioning, operation, entitlement, principal, request);
    let ProvisioningResult { grant, outcome, .. } = finished(&job, Box::pin(work)).await?;
    tracing::info!(request_id = id, %grant, outcome = outcome.as_str(), "done");
    Ok(())
}

/// The request of the command line.
pub(super) fn request_context() -> RequestContext {
    RequestContext {
        caller: super::NAME.into(),
        request_id: Uuid::now_v7().to_string(),
        deadline: None,
        answer_by: None,
    }
}

/// The result of a change. One that was begun when a signal came is finished and recorded.
pub(super) async fn finished<T>(
    job: &Job,
    work: impl Future<Output = Result<T, GovernanceError>>,
) -> Result<T, BatonError> {
    let done = job.until_interrupted(&Progress::default(), work).await;
    if done.is_err() {
        tracing::info!("interrupted: a change that was begun is finished first");
    }
    job.governance().provisioning().stop_accepting();
    job.governance().provisioning().drain().await;
    let done = done.map_err(|error| match BatonError::from(error) {
        BatonError::Interrupted(code, _) => BatonError::Interrupted(code, FINISHED),
        other => other,
    })?;
    done.map_err(|error| BatonError::of(error, job.has_max_wait()))
}

fn open(path: &Path) -> Result<SyncedRows, BatonError> {
    SyncedRows::open(path).map_err(of_file)
}

fn of_file(error: crate::export::ExportError) -> BatonError {
    BatonError::of_export(error, false)
}

fn resource_of(file: &SyncedRows, path: &Path, entitlement: &Entitlement) -> Result<Resource, BatonError> {
    let id = entitlement.resource.as_ref().and_then(|resource| resource.id.clone());
    let id = id.unwrap_or_default();
    resource(file, path, &id.resource_type, &id.resource)
}

/// A resource of the file, unless the platform created it.
fn resource(file: &SyncedRows, path: &Path, resource_type: &str, id: &str) -> Result<Resource, BatonError> {
    let found = file.resource(resource_type, id).map_err(of_file)?;
    let found = found.ok_or_else(|| missing(path, "resource", &format!("{resource_type}:{id}")))?;
    let is_of_platform = found.id.as_ref().is_some_and(|id| id.baton_resource)
        || found
            .annotations
            .iter()
            .any(|any| any.type_url.ends_with(CREATED_BY_PLATFORM));
    if is_of_platform {
        return Err(BatonError::Refused(format!(
            "{} has {resource_type}:{id} of a platform, which Buildkite does not know: name one that a sync read",
            path.display()
        )));
    }
    Ok(found)
}

fn missing(path: &Path, what: &str, id: &str) -> BatonError {
    BatonError::not_found(format!(
        "{} holds no {what} `{id}`: sync again, or name one of the file",
        path.display()
    ))
}
