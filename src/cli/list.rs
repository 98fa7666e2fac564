//! `list`: prints a part of the organization.

mod printer;

use std::sync::LazyLock;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use super::CommandError;
use super::job::{Job, JobArgs};
use super::settings::parsed_by;
use crate::export::{self, ListQuery, Progress, plural};
use crate::governance::model::ResourceTypeInfo;
use crate::providers::buildkite::resources::{self, USER};
use printer::Printer;

/// The arguments of `list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// What to list
    #[arg(value_parser = What::parser())]
    what: What,
    #[command(flatten)]
    pub(super) job: JobArgs,
    /// Only the grants, or the users, of the team with this slug
    #[arg(long, value_name = "SLUG")]
    team: Option<String>,
    /// Only the resources of this type, such as `user`
    #[arg(long = "type", value_name = "TYPE", value_parser = parsed_by(resource_type))]
    kind: Option<&'static ResourceTypeInfo>,
    /// Format of the list
    #[arg(long, value_enum, default_value = "table")]
    format: Layout,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    OfType(&'static ResourceTypeInfo),
    Grants,
    Resources,
}

/// The name under which a type is listed, for instance `test-suites`.
fn list_name(listed: &ResourceTypeInfo) -> String {
    plural(listed.display_name).replace(' ', "-")
}

/// The lists by their names: one for each resource type, then all grants and all resources.
static LISTS: LazyLock<Vec<(String, What)>> = LazyLock::new(|| {
    let catalog = resources::full_catalog();
    let types = catalog
        .types()
        .iter()
        .map(|listed| (list_name(listed), What::OfType(listed)));
    let others = [("grants", What::Grants), ("resources", What::Resources)];
    types
        .chain(others.map(|(name, what)| (name.to_owned(), what)))
        .collect()
});

impl What {
    fn help(self) -> String {
        match self {
            Self::OfType(listed) => format!("Every {}", listed.display_name.to_lowercase()),
            Self::Grants => "Every role that is held, such as a user's role in a team".to_owned(),
            Self::Resources => "The resources of every type".to_owned(),
        }
    }

    fn parser() -> impl TypedValueParser<Value = Self> {
        let values = LISTS
            .iter()
            .map(|(name, what)| PossibleValue::new(name.as_str()).help(what.help()));
        PossibleValuesParser::new(values).try_map(|given| {
            let named = LISTS.iter().find(|(name, _)| *name == given);
            named.map(|(_, what)| *what).ok_or("this list does not exist")
        })
    }
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
    resources::full_catalog().resource_type(text)
}

/// Prints the list, once all of it is known.
pub(super) async fn run(args: &ListArgs) -> Result<(), CommandError> {
    let listed = args.listed()?;
    let job = Job::start(&args.job).await?;
    let progress = Progress::default();
    let failed = |error| CommandError::Failed(format!("the list cannot be printed: {error}"));
    let columns = listed.columns(job.governance().listings().catalog());
    let mut printer = Printer::begin(args.format, columns).map_err(failed)?;
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
        let takes_team = match self.what {
            What::OfType(listed) => *listed == USER,
            What::Grants => true,
            What::Resources => false,
        };
        if self.team.is_some() && !takes_team {
            return refused("--team: goes with `list grants` and `list users` only");
        }
        if self.kind.is_some() && self.what != What::Resources {
            return refused("--type: goes with `list resources` only");
        }
        Ok(match (self.what, self.team.clone()) {
            (What::OfType(_), Some(team)) => ListQuery::Members(team),
            (What::OfType(listed), None) => ListQuery::OfType(listed),
            (What::Grants, team) => ListQuery::Grants(team),
            (What::Resources, _) => ListQuery::Resources(self.kind),
        })
    }
}
