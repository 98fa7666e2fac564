//! `grant` and `revoke`: one change, under the same restrictions as in a server.

mod named;

use std::io::{self, Write};
use std::sync::Arc;

use uuid::Uuid;

use super::job::{self, Job, JobArgs};
use super::settings::parsed_by;
use super::{CommandError, user};
use crate::export::{Progress, Stage};
use crate::governance::model::{EntitlementId, Level, Principal, Resource, ResourceId};
use crate::governance::provisioning::{MalformedRequest, OperationKind, Outcome, Preview, Request};
use crate::governance::{Governance, GovernanceError};
use named::{NamedPrincipal, NamedResource, parse_user};

/// The arguments of `grant` and `revoke`.
#[derive(Debug, clap::Args)]
pub struct ChangeArgs {
    /// The slug or the id of the team
    #[arg(long, value_name = "SLUG", required_unless_present = "resource")]
    team: Option<String>,
    /// Another resource by its type and its slug or id, such as `pipeline:deploy`; its type has to be in --include
    #[arg(
        long,
        value_name = "TYPE:SLUG",
        conflicts_with = "team",
        value_parser = parsed_by(NamedResource::parse)
    )]
    resource: Option<NamedResource>,
    /// The role, such as `member` or `maintainer` of a team, or the level, such as `build_and_read` of a pipeline
    #[arg(long)]
    role: String,
    /// The e-mail address or the id of the user
    #[arg(
        long,
        value_name = "EMAIL|UUID",
        required_unless_present = "principal",
        value_parser = parsed_by(parse_user)
    )]
    user: Option<Principal>,
    /// Another principal, such as `team:platform`
    #[arg(
        long,
        value_name = "TYPE:SLUG",
        conflicts_with = "user",
        value_parser = parsed_by(NamedPrincipal::parse)
    )]
    principal: Option<NamedPrincipal>,
    /// Print the outcome without changing anything; does not need --provisioning
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    pub(super) job: JobArgs,
}

/// What the arguments name.
struct Target {
    resource: NamedResource,
    level: &'static Level,
    principal: NamedPrincipal,
}

/// The result that is printed.
struct Report {
    resource: Resource,
    requested: Principal,
    principal: ResourceId,
    held: Option<&'static Level>,
    outcome: Outcome,
    /// `None` for a dry run.
    request_id: Option<String>,
}

/// Makes the change, and prints the role before it and the outcome.
pub(super) async fn run(args: &ChangeArgs, operation: OperationKind) -> Result<(), CommandError> {
    let target = args.target()?;
    let job = Job::start(&args.job).await?;
    let progress = Progress::default();
    progress.begin(Stage::Changing);
    let work = async {
        if args.dry_run {
            target.preview(operation, job.governance()).await
        } else {
            target.change(operation, job.governance()).await
        }
    };
    let (report, interrupted) = job.finish(Some(&progress), work).await?;
    target
        .print(&report)
        .map_err(|error| CommandError::Failed(format!("the result cannot be printed: {error}")))?;
    job::ended(interrupted)
}

impl ChangeArgs {
    /// What the change is about, if the resource has the role and the principal can hold it.
    fn target(&self) -> Result<Target, CommandError> {
        let refused = |flag: &str, problem: &str| CommandError::Refused(format!("{flag}: {problem}"));
        let missing = || refused("--team", "give it, or --resource");
        let team = self.team.as_deref().map(NamedResource::team);
        let resource = self.resource.clone().or(team).ok_or_else(missing)?;
        let missing = || refused("--user", "give it, or --principal");
        let user = self.user.clone().map(NamedPrincipal::User);
        let principal = self.principal.clone().or(user).ok_or_else(missing)?;
        principal
            .check(resource.resource_type)
            .map_err(|problem| refused("--principal", problem))?;
        Ok(Target {
            level: resource
                .level(&self.role)
                .map_err(|problem| refused("--role", &problem))?,
            resource,
            principal,
        })
    }
}

impl Target {
    async fn change(&self, operation: OperationKind, governance: &Arc<Governance>) -> Result<Report, GovernanceError> {
        let provisioning = governance.provisioning();
        let request_id = Uuid::now_v7().to_string();
        let context = user::request(&request_id);
        let found = match self.resource.resource_type.change {
            Some(change) if !provisioning.allows(change) => Err(GovernanceError::ProvisioningDisabled { change }),
            _ => self.find(governance).await,
        };
        let (resource, requested) = match found {
            Ok(found) => found,
            Err(error) => {
                let principal = match &self.principal {
                    NamedPrincipal::User(user) => Some(user.clone()),
                    NamedPrincipal::Team(_) => None,
                };
                let refused = MalformedRequest {
                    operation,
                    entitlement: None,
                    principal,
                };
                return Err(provisioning.record_rejected_request(refused, context, error).await);
            }
        };
        let (entitlement, principal) = (self.entitlement(&resource), requested.clone());
        let done = match operation {
            OperationKind::Grant => provisioning.grant(entitlement, principal, context).await,
            OperationKind::Revoke => provisioning.revoke(entitlement, principal, context).await,
        }?;
        // A grant may find a role that the first read did not show.
        let found = (done.outcome == Outcome::AlreadyExists).then_some(self.level);
        Ok(Report {
            resource,
            requested,
            principal: done.grant.principal,
            held: found.or(done.before),
            outcome: done.outcome,
            request_id: Some(request_id),
        })
    }

    async fn preview(&self, operation: OperationKind, governance: &Governance) -> Result<Report, GovernanceError> {
        let (resource, requested) = self.find(governance).await?;
        let request = match operation {
            OperationKind::Grant => Request::Grant(self.level),
            OperationKind::Revoke => Request::Revoke(self.level),
        };
        let entitlement = self.entitlement(&resource);
        let Preview {
            principal,
            held,
            outcome,
        } = governance
            .provisioning()
            .preview(request, entitlement, &requested)
            .await?;
        Ok(Report {
            resource,
            requested,
            principal,
            held,
            outcome,
            request_id: None,
        })
    }

    /// The resource and the principal, in lists that are read now.
    async fn find(&self, governance: &Governance) -> Result<(Resource, Principal), GovernanceError> {
        let provisioning = governance.provisioning();
        let resource = self.resource.find(provisioning).await?;
        Ok((resource, self.principal.find(provisioning).await?))
    }

    fn entitlement(&self, resource: &Resource) -> EntitlementId {
        EntitlementId {
            resource: resource.id,
            level: self.level,
        }
    }

    fn print(&self, report: &Report) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let ResourceId { resource_type, id } = report.resource.id;
        let name = report.resource.handle.as_deref().or(report.resource.name.as_deref());
        writeln!(out, "{:<11} {} ({id})", resource_type.id, name.unwrap_or_default())?;
        let ResourceId { resource_type, id } = report.principal;
        match &report.requested {
            Principal::Email(email) => writeln!(out, "{:<11} {email} ({id})", resource_type.id)?,
            Principal::Resource(_) => writeln!(out, "{:<11} {id}", resource_type.id)?,
        }
        writeln!(out, "held        {}", report.held.map_or("none", |level| level.slug))?;
        let outcome = self.in_words(report);
        match &report.request_id {
            Some(id) => writeln!(out, "outcome     {outcome}\nrequest id  {id}")?,
            None => writeln!(out, "would be    {outcome}\ndry run     nothing was written")?,
        }
        out.flush()
    }

    /// An outcome by its name in the audit record, with an explanation.
    fn in_words(&self, report: &Report) -> String {
        let (name, role) = (report.outcome.as_str(), self.level);
        match report.outcome {
            Outcome::Granted | Outcome::Revoked => format!("{name} ({role})"),
            Outcome::Replaced(before) => format!("{name} ({role} in place of {before})"),
            Outcome::Demoted => format!("{name} (member remains)"),
            Outcome::AlreadyExists => format!("{name} ({role} is held, nothing changes)"),
            Outcome::AlreadyRevoked => format!("{name} ({role} is not held, nothing changes)"),
        }
    }
}
