//! What is governed and which changes are made, and the scopes that other integrations need.

use std::fmt::Display;
use std::str::FromStr;

use super::SettingError;
use super::value::{parse_bool, parsed_by};
use crate::governance::Change;
use crate::providers::buildkite::{Coverage, IncludedType, Scope};

/// The flags.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct CoverageArgs {
    /// Carry out grants and revokes of team roles; the same as `--allow membership`
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_PROVISIONING",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        default_value_t = false,
        hide_default_value = true,
        action = clap::ArgAction::Set,
        value_parser = parsed_by(parse_bool)
    )]
    provisioning: bool,
    /// Resource types to govern beside users and teams: organization, pipeline, suite, registry, cluster, invitation;
    /// repeat the flag, or separate by commas, for several
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_INCLUDE",
        value_name = "TYPE",
        value_delimiter = ',',
        value_parser = parsed_by(word::<IncludedType>)
    )]
    include: Vec<IncludedType>,
    /// Changes to make: membership, access, organization-roles, invitations, off-boarding, teams, builds, rest-read;
    /// repeat the flag, or separate by commas, for several
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_ALLOW",
        value_name = "WHAT",
        value_delimiter = ',',
        value_parser = parsed_by(word::<Change>)
    )]
    allow: Vec<Change>,
    /// A scope that another integration with the same token needs, to be checked as well; repeat the flag, or separate by
    /// commas, for several
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_REQUIRE",
        value_name = "SCOPE",
        value_delimiter = ',',
        value_parser = parsed_by(word::<Scope>)
    )]
    require: Vec<Scope>,
}

impl CoverageArgs {
    /// What the flags cover.
    ///
    /// # Errors
    /// When a change is allowed and none of the types that it changes is included.
    pub(super) fn coverage(&self) -> Result<Coverage, SettingError> {
        let membership = self.provisioning.then_some(Change::Membership);
        let allowed = self.allow.iter().copied().chain(membership).collect();
        let included = self.include.iter().copied();
        Coverage::new(included, allowed, self.require.iter().copied())
            .map_err(|problem| SettingError::of::<Self>("allow", problem))
    }
}

/// Parses one word of a list, which spaces may surround.
fn word<T: FromStr<Err: Display>>(text: &str) -> Result<T, T::Err> {
    text.trim().parse()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::cli::settings::value::parse;

    fn coverage(arguments: &[&str]) -> Result<Coverage, String> {
        let args: CoverageArgs = parse(arguments).map_err(|error| error.to_string())?;
        args.coverage().map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_covered_beside_users_and_teams_by_default() {
        assert_eq!(coverage(&[]), Ok(Coverage::default()));
    }

    #[test]
    fn lists_are_repeated_or_separated_by_commas() {
        let covered = coverage(&[
            "--include=pipeline, cluster",
            "--include=suite",
            "--allow=access,teams",
            "--require=read_builds,read_agents,read_builds",
        ])
        .unwrap();
        assert_eq!(
            covered.included().collect::<Vec<_>>(),
            [IncludedType::Pipeline, IncludedType::Suite, IncludedType::Cluster]
        );
        assert_eq!(
            covered.allowed().iter().collect::<Vec<_>>(),
            [Change::Access, Change::Teams]
        );
        assert_eq!(
            covered.others().collect::<Vec<_>>(),
            [Scope::ReadBuilds, Scope::ReadAgents]
        );
    }

    #[test]
    fn the_switch_means_the_changes_of_memberships() {
        let switched = coverage(&["--provisioning"]).unwrap();
        assert_eq!(Ok(switched), coverage(&["--allow=membership"]));
        let both = coverage(&["--provisioning", "--allow=membership,teams"]).unwrap();
        assert_eq!(both.allowed().iter().count(), 2);
    }

    #[rstest]
    #[case(
        "--include=team",
        "give one or more of organization, pipeline, suite, registry, cluster, invitation"
    )]
    #[case("--include=pipeline,", "give one or more of organization,")]
    #[case("--allow=write", "give one or more of membership, access,")]
    #[case("--require=read_everything", "give scopes as buildkite's token page spells them")]
    fn another_word_is_rejected_with_those_that_exist(#[case] argument: &str, #[case] said: &str) {
        let flag = argument.split('=').next().unwrap();
        let error = coverage(&[argument]).unwrap_err();
        assert!(error.starts_with(&format!("error: {flag}: {said}")), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }

    #[test]
    fn a_change_without_its_type_is_refused_with_both_settings_named() {
        assert_eq!(
            coverage(&["--include=registry", "--allow=access"]).unwrap_err(),
            "--allow (BUILDKITE_CONNECTOR_ALLOW): access needs one of pipeline, suite, cluster in --include or \
             BUILDKITE_CONNECTOR_INCLUDE"
        );
    }
}
