//! `list`: a part of the organization on the screen.

mod printer;

use super::CommandError;
use super::job::{Job, JobArgs};
use crate::export::{self, ListQuery, Progress};
use crate::providers::buildkite::resources;
use printer::Printer;

/// What `list` can be told.
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
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// How it is printed
    #[arg(long, value_enum, default_value = "table")]
    format: Layout,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// Everybody in the organization
    Users,
    /// Every team
    Teams,
    /// Who holds which role in which team
    Grants,
    /// Users and teams
    Resources,
}

/// How rows are printed. Nothing is printed before all of them are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Layout {
    /// For people
    Table,
    /// For spreadsheets
    Csv,
    /// For scripts: an array of objects
    Json,
}

/// Lists what is asked for, once all of it is known.
pub(super) async fn run(args: &ListArgs) -> Result<(), CommandError> {
    let listed = args.listed()?;
    let job = Job::start(&args.job).await?;
    let progress = Progress::default();
    let failed = |error| CommandError::Failed(format!("the list cannot be printed: {error}"));
    let mut printer = Printer::begin(args.format, listed.columns()).map_err(failed)?;
    let work = async {
        let mut each = |row: &[&str]| printer.row(row);
        Ok(export::list(job.access(), &listed, &progress, &mut each).await?)
    };
    job.run(&progress, work).await?;
    printer.end().map_err(failed)
}

impl ListArgs {
    /// What to list, once it was made sure that each option goes with it.
    fn listed(&self) -> Result<ListQuery, CommandError> {
        let refused = |problem: &str| Err(CommandError::Refused(problem.to_owned()));
        if self.team.is_some() && !matches!(self.what, What::Users | What::Grants) {
            return refused("--team: goes with `list grants` and `list users` only");
        }
        if self.kind.is_some() && self.what != What::Resources {
            return refused("--type: goes with `list resources` only");
        }
        let catalog = resources::catalog();
        if let Some(Err(problem)) = self.kind.as_deref().map(|kind| catalog.resource_type(kind)) {
            return refused(&format!("--type: {problem}"));
        }
        Ok(match self.what {
            What::Users => ListQuery::Users(self.team.clone()),
            What::Teams => ListQuery::Teams,
            What::Grants => ListQuery::Grants(self.team.clone()),
            What::Resources => ListQuery::Resources(self.kind.clone()),
        })
    }
}
