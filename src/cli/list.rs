//! `list`: prints a part of the organization.

mod printer;

use super::CommandError;
use super::job::{Job, JobArgs};
use super::settings::parsed_by;
use crate::export::{self, ListQuery, Progress};
use crate::governance::model::ResourceTypeInfo;
use crate::providers::buildkite::{Coverage, resources};
use printer::Printer;

/// The arguments of `list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// What to list
    #[arg(value_enum)]
    what: What,
    #[command(flatten)]
    job: JobArgs,
    /// Only the grants, or the users, of the team with this slug
    #[arg(long, value_name = "SLUG")]
    team: Option<String>,
    /// Only the resources of this type: `user` or `team`
    #[arg(long = "type", value_name = "TYPE", value_parser = parsed_by(resource_type))]
    kind: Option<&'static ResourceTypeInfo>,
    /// Format of the list
    #[arg(long, value_enum, default_value = "table")]
    format: Layout,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// Every user in the organization
    Users,
    /// Every team
    Teams,
    /// Every role that a user holds in a team
    Grants,
    /// Users and teams
    Resources,
}

/// How rows are printed. Nothing is printed before all rows are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Layout {
    /// A table for a terminal
    Table,
    /// CSV
    Csv,
    /// An array of JSON objects
    Json,
}

fn resource_type(text: &str) -> Result<&'static ResourceTypeInfo, String> {
    resources::catalog(&Coverage::default()).resource_type(text)
}

/// Prints the list, once all of it is known.
pub(super) async fn run(args: &ListArgs) -> Result<(), CommandError> {
    let listed = args.listed()?;
    let job = Job::start(&args.job).await?;
    let progress = Progress::default();
    let failed = |error| CommandError::Failed(format!("the list cannot be printed: {error}"));
    let mut printer = Printer::begin(args.format, listed.columns()).map_err(failed)?;
    let work = async {
        let mut each = |row: &[&str]| printer.row(row);
        Ok(export::list(job.governance(), &listed, &progress, &mut each).await?)
    };
    job.run(&progress, work).await?;
    printer.end().map_err(failed)
}

impl ListArgs {
    /// The list to print, if every option applies to it.
    fn listed(&self) -> Result<ListQuery, CommandError> {
        let refused = |problem: &str| Err(CommandError::Refused(problem.to_owned()));
        if self.team.is_some() && !matches!(self.what, What::Users | What::Grants) {
            return refused("--team: goes with `list grants` and `list users` only");
        }
        if self.kind.is_some() && self.what != What::Resources {
            return refused("--type: goes with `list resources` only");
        }
        Ok(match self.what {
            What::Users => ListQuery::Users(self.team.clone()),
            What::Teams => ListQuery::Teams,
            What::Grants => ListQuery::Grants(self.team.clone()),
            What::Resources => ListQuery::Resources(self.kind.map(|kind| kind.id.to_owned())),
        })
    }
}
