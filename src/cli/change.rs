//! `grant` and `revoke`: one change, under the same restrictions as in a server.

use std::io::{self, Write};
use std::sync::Arc;

use uuid::Uuid;

use super::job::{Job, JobArgs};
use super::settings::parsed_by;
use super::{CommandError, user};
use crate::export::{Progress, Stage};
use crate::governance::model::{EntitlementId, Level, Principal, Resource, ResourceId};
use crate::governance::provisioning::{MalformedRequest, OperationKind, Outcome, Preview, Request};
use crate::governance::{Change, Governance, GovernanceError};
use crate::providers::buildkite::Coverage;
use crate::providers::buildkite::resources::{self, TEAM};

/// The arguments of `grant` and `revoke`.
#[derive(Debug, clap::Args)]
pub struct ChangeArgs {
    /// The slug or the id of the team
    #[arg(long, value_name = "SLUG")]
    team: String,
    /// The role: `member` or `maintainer`
    #[arg(long, value_parser = parsed_by(role))]
    role: &'static Level,
    /// The e-mail address or the id of the user
    #[arg(long, value_name = "EMAIL|UUID", value_parser = parsed_by(principal))]
    user: Principal,
    /// Print the outcome without changing anything; does not need --provisioning
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    job: JobArgs,
}

/// The result that is printed.
struct Report {
    team: Resource,
    user: ResourceId,
    held: Option<&'static Level>,
    outcome: Outcome,
    /// `None` for a dry run.
    request_id: Option<String>,
}

fn role(text: &str) -> Result<&'static Level, &'static str> {
    TEAM.level(text).ok_or("a role is `member` or `maintainer`")
}

fn principal(text: &str) -> Result<Principal, String> {
    resources::catalog(&Coverage::default()).principal(text)
}

/// Makes the change, and prints the role before it and the outcome.
pub(super) async fn run(args: &ChangeArgs, operation: OperationKind) -> Result<(), CommandError> {
    let job = Job::start(&args.job).await?;
    let progress = Progress::default();
    progress.begin(Stage::Changing);
    let work = async {
        if args.dry_run {
            args.preview(operation, job.governance()).await
        } else {
            args.change(operation, job.governance()).await
        }
    };
    let (report, interrupted) = job.finish(Some(&progress), work).await?;
    args.print(&report)
        .map_err(|error| CommandError::Failed(format!("the result cannot be printed: {error}")))?;
    match interrupted {
        Some(code) => Err(CommandError::Finished(
            code,
            "the change in progress was finished first".to_owned(),
        )),
        None => Ok(()),
    }
}

impl ChangeArgs {
    async fn change(&self, operation: OperationKind, governance: &Arc<Governance>) -> Result<Report, GovernanceError> {
        let request_id = Uuid::now_v7().to_string();
        let context = user::request(&request_id);
        let found = if governance.settings().allowed.allows(Change::Membership) {
            governance.provisioning().find_resource(&TEAM, &self.team).await
        } else {
            Err(GovernanceError::ProvisioningDisabled {
                change: Change::Membership,
            })
        };
        let team = match found {
            Ok(team) => team,
            Err(error) => {
                let refused = MalformedRequest {
                    operation,
                    entitlement: None,
                    principal: Some(self.user.clone()),
                };
                return Err(governance
                    .provisioning()
                    .record_rejected_request(refused, context, error)
                    .await);
            }
        };
        let (entitlement, principal) = (self.entitlement(&team), self.user.clone());
        let done = match operation {
            OperationKind::Grant => governance.provisioning().grant(entitlement, principal, context).await,
            OperationKind::Revoke => governance.provisioning().revoke(entitlement, principal, context).await,
        }?;
        // A grant may find a role that the first read did not show.
        let found = (done.outcome == Outcome::AlreadyExists).then_some(self.role);
        Ok(Report {
            team,
            user: done.grant.principal,
            held: found.or(done.before),
            outcome: done.outcome,
            request_id: Some(request_id),
        })
    }

    async fn preview(&self, operation: OperationKind, governance: &Governance) -> Result<Report, GovernanceError> {
        let provisioning = governance.provisioning();
        let team = provisioning.find_resource(&TEAM, &self.team).await?;
        let request = match operation {
            OperationKind::Grant => Request::Grant(self.role),
            OperationKind::Revoke => Request::Revoke(self.role),
        };
        let preview = provisioning.preview(request, self.entitlement(&team), &self.user);
        let Preview {
            principal,
            held,
            outcome,
        } = preview.await?;
        Ok(Report {
            team,
            user: principal,
            held,
            outcome,
            request_id: None,
        })
    }

    fn entitlement(&self, team: &Resource) -> EntitlementId {
        EntitlementId {
            resource: team.id,
            level: self.role,
        }
    }

    fn print(&self, report: &Report) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let slug = report.team.handle.as_deref().unwrap_or_default();
        writeln!(out, "team        {slug} ({})", report.team.id.id)?;
        match &self.user {
            Principal::Email(email) => writeln!(out, "user        {email} ({})", report.user.id)?,
            Principal::Resource(user) => writeln!(out, "user        {}", user.id)?,
        }
        writeln!(out, "held        {}", report.held.map_or("none", |level| level.slug))?;
        let outcome = self.in_words(report.outcome);
        match &report.request_id {
            Some(id) => writeln!(out, "outcome     {outcome}\nrequest id  {id}")?,
            None => writeln!(out, "would be    {outcome}\ndry run     nothing was written")?,
        }
        out.flush()
    }

    /// An outcome by its name in the audit record, with an explanation.
    fn in_words(&self, outcome: Outcome) -> String {
        let (name, role) = (outcome.as_str(), self.role);
        match outcome {
            Outcome::Granted | Outcome::Revoked => format!("{name} ({role})"),
            Outcome::Replaced(before) => format!("{name} ({role} in place of {before})"),
            Outcome::Demoted => format!("{name} (member remains)"),
            Outcome::AlreadyExists => format!("{name} ({role} is held, nothing changes)"),
            Outcome::AlreadyRevoked => format!("{name} ({role} is not held, nothing changes)"),
        }
    }
}
