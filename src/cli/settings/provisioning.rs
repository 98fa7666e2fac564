//! Settings that hold grants and revokes back: what is never touched, and where changes are recorded.

use std::path::PathBuf;

use crate::cli::SettingError;
use crate::governance::provisioning::{MaintainerRevoke, Protected};

/// What grants and revokes may not do, and where they are recorded.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct GuardArgs {
    /// What becomes of a maintainer whose role is revoked: `remove` (the default) takes them out of the team, `demote` leaves
    /// them a member
    #[arg(long, env = "BUILDKITE_CONNECTOR_MAINTAINER_REVOKE", value_name = "WHAT")]
    maintainer_revoke: Option<String>,
    /// A team that no grant or revoke touches; may be given several times, in the environment separated by commas
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_PROTECT_TEAM",
        value_name = "SLUG",
        value_delimiter = ','
    )]
    protect_team: Vec<String>,
    /// A person whom no grant or revoke touches; may be given several times, in the environment separated by commas
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_PROTECT_USER",
        value_name = "EMAIL",
        value_delimiter = ','
    )]
    protect_user: Vec<String>,
    /// A file that every change is recorded in before it is made, as JSON lines
    #[arg(long, env = "BUILDKITE_CONNECTOR_AUDIT_FILE", value_name = "PATH")]
    audit_file: Option<PathBuf>,
}

impl GuardArgs {
    pub(crate) fn maintainer_revoke(&self) -> Result<MaintainerRevoke, SettingError> {
        match self.maintainer_revoke.as_deref() {
            None | Some("" | "remove") => Ok(MaintainerRevoke::Remove),
            Some("demote") => Ok(MaintainerRevoke::Demote),
            Some(_) => Err(SettingError::new(
                "--maintainer-revoke",
                "BUILDKITE_CONNECTOR_MAINTAINER_REVOKE",
                "say `remove` or `demote`",
            )),
        }
    }

    pub(crate) fn protected(&self) -> Result<Protected, SettingError> {
        let teams = names(&self.protect_team, is_slug).ok_or_else(|| {
            SettingError::new(
                "--protect-team",
                "BUILDKITE_CONNECTOR_PROTECT_TEAM",
                "give the slugs of teams, as in `https://buildkite.com/organizations/<organization>/teams/<slug>`",
            )
        })?;
        let users = names(&self.protect_user, email_address::EmailAddress::is_valid).ok_or_else(|| {
            SettingError::new(
                "--protect-user",
                "BUILDKITE_CONNECTOR_PROTECT_USER",
                "give e-mail addresses",
            )
        })?;
        Ok(Protected { teams, users })
    }

    pub(crate) fn audit_file(&self) -> Option<PathBuf> {
        self.audit_file.clone().filter(|path| !path.as_os_str().is_empty())
    }
}

/// The names that were given, unless one of them is none. An empty variable gives none.
fn names(given: &[String], is_name: impl Fn(&str) -> bool) -> Option<Vec<String>> {
    let given = given.iter().map(|name| name.trim()).filter(|name| !name.is_empty());
    given.map(|name| is_name(name).then(|| name.to_owned())).collect()
}

fn is_slug(text: &str) -> bool {
    let allowed = |character: char| character.is_alphanumeric() || matches!(character, '-' | '_' | '.');
    text.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> GuardArgs {
        GuardArgs::default()
    }

    #[test]
    fn nothing_is_guarded_unless_it_is_said() {
        assert_eq!(args().maintainer_revoke(), Ok(MaintainerRevoke::Remove));
        let Protected { teams, users } = args().protected().unwrap();
        assert!(teams.is_empty() && users.is_empty() && args().audit_file().is_none());
    }

    #[test]
    fn names_are_trimmed_and_empty_ones_left_out() {
        let given = GuardArgs {
            protect_team: vec![" admins".into(), String::new(), "on-call ".into()],
            ..args()
        };
        assert_eq!(given.protected().unwrap().teams, ["admins", "on-call"]);
    }

    #[test]
    fn what_is_no_name_is_refused_by_flag_and_variable() {
        let team = GuardArgs {
            protect_team: vec!["a/b".into()],
            ..args()
        };
        let user = GuardArgs {
            protect_user: vec!["ada".into()],
            ..args()
        };
        let revoke = GuardArgs {
            maintainer_revoke: Some("eject".into()),
            ..args()
        };
        for (error, named) in [
            (
                team.protected().unwrap_err(),
                "--protect-team (BUILDKITE_CONNECTOR_PROTECT_TEAM)",
            ),
            (
                user.protected().unwrap_err(),
                "--protect-user (BUILDKITE_CONNECTOR_PROTECT_USER)",
            ),
            (
                revoke.maintainer_revoke().unwrap_err(),
                "--maintainer-revoke (BUILDKITE_CONNECTOR_MAINTAINER_REVOKE)",
            ),
        ] {
            assert!(error.to_string().starts_with(named), "{error}");
        }
    }
}
