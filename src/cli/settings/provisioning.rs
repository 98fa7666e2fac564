//! Settings that restrict grants and revokes: what is never changed, and where changes are recorded.

use std::path::PathBuf;

use super::SettingError;
use super::value::{PathParser, parsed_by};
use crate::governance::provisioning::{MaintainerRevoke, Protected, ProtectedResource};
use crate::governance::{Change, GovernanceSettings};
use crate::providers::buildkite::resources::{PIPELINE, TEAM};
use crate::providers::buildkite::{Coverage, IncludedType};

/// The flags.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct GuardArgs {
    /// Effect of revoking a Maintainer role: `remove` takes the user out of the team, `demote` leaves them a Member
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_MAINTAINER_REVOKE",
        value_name = "WHAT",
        default_value = revoke_name(MaintainerRevoke::default()),
        value_parser = parsed_by(maintainer_revoke)
    )]
    maintainer_revoke: MaintainerRevoke,
    /// A team that no grant or revoke changes; repeat the flag, or separate by commas, for several
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_PROTECT_TEAM",
        value_name = "SLUG",
        value_delimiter = ',',
        value_parser = parsed_by(team_slug)
    )]
    protect_team: Vec<String>,
    /// A pipeline whose access no grant or revoke changes; repeat the flag, or separate by commas, for several; needs `pipeline` in
    /// --include
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_PROTECT_PIPELINE",
        value_name = "SLUG",
        value_delimiter = ',',
        value_parser = parsed_by(pipeline_slug)
    )]
    protect_pipeline: Vec<String>,
    /// A pipeline in which builds may be started and jobs unblocked; repeat the flag, or separate by commas, for several; needs
    /// `builds` in --allow
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_BUILD_PIPELINE",
        value_name = "SLUG",
        value_delimiter = ',',
        value_parser = parsed_by(pipeline_slug)
    )]
    build_pipeline: Vec<String>,
    /// A user that no grant or revoke changes; repeat the flag, or separate by commas, for several
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_PROTECT_USER",
        value_name = "EMAIL",
        value_delimiter = ',',
        value_parser = parsed_by(email)
    )]
    protect_user: Vec<String>,
    /// A file in which every change is recorded before it is made, as JSON lines
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_AUDIT_FILE",
        value_name = "PATH",
        value_parser = PathParser
    )]
    audit_file: Option<PathBuf>,
    /// The maximum number of people that are removed from the organization within an hour
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_OFF_BOARDING_LIMIT",
        value_name = "N",
        default_value_t = GovernanceSettings::default().off_boarding_limit,
        value_parser = parsed_by(removals)
    )]
    off_boarding_limit: u32,
}

impl GuardArgs {
    pub(super) fn maintainer_revoke(&self) -> MaintainerRevoke {
        self.maintainer_revoke
    }

    /// The protected resources and users. Empty names, as in a list with a trailing comma, are left out.
    pub(super) fn protected(&self) -> Protected {
        let teams = non_empty(&self.protect_team).map(|slug| (&TEAM, slug));
        let pipelines = non_empty(&self.protect_pipeline).map(|slug| (&PIPELINE, slug));
        Protected {
            resources: teams
                .chain(pipelines)
                .map(|(resource_type, slug)| ProtectedResource { resource_type, slug })
                .collect(),
            users: non_empty(&self.protect_user).collect(),
        }
    }

    /// Succeeds if what the settings name is covered.
    ///
    /// # Errors
    /// When a pipeline is protected and pipelines are not included, or a pipeline is named for builds, which are not allowed.
    pub(super) fn check_coverage(&self, coverage: &Coverage) -> Result<(), SettingError> {
        if non_empty(&self.protect_pipeline).next().is_some() && !coverage.includes(IncludedType::Pipeline) {
            let problem = "needs pipeline in --include or BUILDKITE_CONNECTOR_INCLUDE";
            return Err(SettingError::of::<Self>("protect-pipeline", problem));
        }
        if !self.build_pipelines().is_empty() && !coverage.allowed().allows(Change::Builds) {
            let problem = "needs builds in --allow or BUILDKITE_CONNECTOR_ALLOW";
            return Err(SettingError::of::<Self>("build-pipeline", problem));
        }
        Ok(())
    }

    /// The slugs of the pipelines in which builds may be started.
    pub(super) fn build_pipelines(&self) -> Vec<String> {
        non_empty(&self.build_pipeline).collect()
    }

    pub(super) fn audit_file(&self) -> Option<PathBuf> {
        self.audit_file.clone()
    }

    pub(super) fn off_boarding_limit(&self) -> u32 {
        self.off_boarding_limit
    }
}

fn removals(text: &str) -> Result<u32, &'static str> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or("give a whole number from 1 on; without off-boarding in --allow, nobody is removed")
}

fn revoke_name(revoke: MaintainerRevoke) -> &'static str {
    match revoke {
        MaintainerRevoke::Remove => "remove",
        MaintainerRevoke::Demote => "demote",
    }
}

fn maintainer_revoke(text: &str) -> Result<MaintainerRevoke, &'static str> {
    [MaintainerRevoke::Remove, MaintainerRevoke::Demote]
        .into_iter()
        .find(|revoke| revoke_name(*revoke) == text)
        .ok_or("give `remove` or `demote`")
}

fn team_slug(text: &str) -> Result<String, &'static str> {
    slug(text).ok_or("give the slugs of teams, as in `https://buildkite.com/organizations/<organization>/teams/<slug>`")
}

fn pipeline_slug(text: &str) -> Result<String, &'static str> {
    slug(text).ok_or("give the slugs of pipelines, as in `https://buildkite.com/<organization>/<slug>`")
}

fn slug(text: &str) -> Option<String> {
    let allowed = |character: char| character.is_alphanumeric() || matches!(character, '-' | '_' | '.');
    let slug = text.trim();
    slug.chars().all(allowed).then(|| slug.to_owned())
}

fn email(text: &str) -> Result<String, &'static str> {
    let email = text.trim();
    if email.is_empty() || email_address::EmailAddress::is_valid(email) {
        Ok(email.to_owned())
    } else {
        Err("give e-mail addresses")
    }
}

fn non_empty(names: &[String]) -> impl Iterator<Item = String> {
    names.iter().filter(|name| !name.is_empty()).cloned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::cli::settings::value::parse;
    use crate::governance::AllowedChanges;

    #[test]
    fn nothing_is_protected_by_default() {
        let args: GuardArgs = parse(&[]).unwrap();
        assert_eq!(args.maintainer_revoke(), MaintainerRevoke::default());
        let Protected { resources, users } = args.protected();
        assert!(resources.is_empty() && users.is_empty() && args.audit_file().is_none());
    }

    #[test]
    fn names_are_trimmed_and_empty_ones_left_out() {
        let args: GuardArgs = parse(&["--protect-team", " admins,,on-call ", "--protect-team", "ops"]).unwrap();
        let protected = args.protected().resources;
        let slugs: Vec<&str> = protected.iter().map(|team| team.slug.as_str()).collect();
        assert_eq!(slugs, ["admins", "on-call", "ops"]);
    }

    #[test]
    fn a_protected_pipeline_needs_pipelines_to_be_included() {
        let args: GuardArgs = parse(&["--protect-pipeline", "deploy"]).unwrap();
        let covering = |included: Option<IncludedType>| {
            let coverage = Coverage::new(included, AllowedChanges::none(), None).unwrap();
            args.check_coverage(&coverage)
        };
        assert!(covering(Some(IncludedType::Pipeline)).is_ok());
        assert_eq!(
            covering(None).unwrap_err().to_string(),
            "--protect-pipeline (BUILDKITE_CONNECTOR_PROTECT_PIPELINE): needs pipeline in --include or \
             BUILDKITE_CONNECTOR_INCLUDE"
        );
    }

    #[rstest]
    #[case("--protect-team=a/b")]
    #[case("--protect-pipeline=a/b")]
    #[case("--protect-user=ada")]
    #[case("--maintainer-revoke=eject")]
    fn each_rejection_names_its_flag(#[case] argument: &str) {
        let error = parse::<GuardArgs>(&[argument]).unwrap_err().to_string();
        let flag = argument.split('=').next().unwrap();
        assert!(error.starts_with(&format!("error: {flag}: give")), "{error}");
    }
}
