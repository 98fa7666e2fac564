//! Settings: flags over environment, every value parsed here, every refusal one sentence that names both.

mod budget;
mod health;
mod listener;
pub(crate) mod provisioning;
mod service;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

pub(super) use listener::{ListenerArgs, metrics_problem};
pub(super) use service::{PlatformArgs, health_problem};

use super::settings::provisioning::GuardArgs;
use crate::governance::{GovernanceSettings, PartialVisibility};
use crate::providers::buildkite::{ApiOrigin, ApiToken, ClientOptions, Credential, OrganizationSlug};

/// The environment variable of the token; there is no flag, since a secret is never an argument.
const TOKEN: &str = "BUILDKITE_API_TOKEN";

/// Ten years: longer than any job, and short enough to be added to a moment.
const AS_LONG_AS_IT_TAKES: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// How Buildkite is reached, and what is governed there.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ConnectionArgs {
    /// The organization's slug, in its own case
    #[arg(long, env = "BUILDKITE_ORGANIZATION_SLUG", value_name = "SLUG")]
    organization: Option<String>,
    /// A file that holds the API token (or set `BUILDKITE_API_TOKEN`: a secret is never an argument)
    #[arg(long, env = "BUILDKITE_API_TOKEN_FILE", value_name = "PATH")]
    api_token_file: Option<PathBuf>,
    /// Where Buildkite's REST API is, without /v2
    #[arg(long, env = "BUILDKITE_REST_URL", value_name = "URL", default_value = ApiOrigin::DEFAULT)]
    api_url: String,
    /// Carry out grants and revokes
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_PROVISIONING",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        default_value = "false",
        hide_default_value = true
    )]
    provisioning: String,
    #[command(flatten)]
    guards: GuardArgs,
    /// What to do where the token's owner is shown only part of the teams: `refuse` or `allow`
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_PARTIAL_VISIBILITY",
        value_name = "WHAT",
        default_value = "refuse"
    )]
    partial_visibility: String,
    /// For how long trouble that may pass is ridden out before a read fails
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_RETRY_FOR",
        value_name = "TIME",
        default_value = "30s"
    )]
    retry_for: String,
    /// Time for one request to Buildkite
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_REQUEST_TIMEOUT",
        value_name = "TIME",
        default_value = "15s"
    )]
    request_timeout: String,
    /// Requests that read ahead at once within a sync; 0 reads nothing ahead
    #[arg(long, env = "BUILDKITE_CONNECTOR_READ_AHEAD", value_name = "N", default_value = "16")]
    read_ahead: String,
    /// How old the lists may be in which e-mails and protected names are looked up; whoever is not found is looked for again
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_DIRECTORY_MAX_AGE",
        value_name = "TIME",
        default_value = "10m"
    )]
    directory_max_age: String,
    #[command(flatten)]
    budget: budget::BudgetArgs,
    #[command(flatten)]
    pub(super) health: health::HealthArgs,
}

/// What is wrong with a setting, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingError {
    flag: Option<&'static str>,
    variable: Option<&'static str>,
    problem: String,
}

impl SettingError {
    pub(super) fn new(flag: &'static str, variable: &'static str, problem: impl fmt::Display) -> Self {
        Self {
            flag: Some(flag),
            variable: Some(variable),
            problem: problem.to_string(),
        }
    }

    /// What is wrong with a flag that has no variable.
    pub(super) fn flag(flag: &'static str, problem: impl fmt::Display) -> Self {
        Self {
            flag: Some(flag),
            variable: None,
            problem: problem.to_string(),
        }
    }

    /// What is wrong with a variable that has no flag.
    fn variable(name: &'static str, problem: impl fmt::Display) -> Self {
        Self {
            flag: None,
            variable: Some(name),
            problem: problem.to_string(),
        }
    }

    fn token(problem: impl fmt::Display) -> Self {
        Self::variable(TOKEN, problem)
    }
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.flag, self.variable) {
            (Some(flag), Some(variable)) => write!(f, "{flag} ({variable}): {}", self.problem),
            (Some(name), None) | (None, Some(name)) => write!(f, "{name}: {}", self.problem),
            (None, None) => f.write_str(&self.problem),
        }
    }
}

impl std::error::Error for SettingError {}

/// Everything that is needed to reach Buildkite and govern an organization.
#[derive(Debug)]
pub struct Settings {
    /// Where Buildkite answers.
    pub origin: ApiOrigin,
    /// The organization that is governed.
    pub organization: OrganizationSlug,
    /// With what it is asked.
    pub credential: Credential,
    /// How it is asked.
    pub client: ClientOptions,
    /// What is allowed.
    pub access: GovernanceSettings,
}

impl Settings {
    /// Reads the settings; `variable` is the environment, of which only the token is read here.
    ///
    /// # Errors
    /// The first setting that is wrong or missing.
    pub fn read(args: &ConnectionArgs, variable: impl Fn(&str) -> Option<String>) -> Result<Self, SettingError> {
        let organization = args
            .organization
            .as_deref()
            .filter(|slug| !slug.is_empty())
            .ok_or_else(|| organization("give the slug of your organization, as in `https://buildkite.com/<slug>`"))?;
        Ok(Self {
            origin: args
                .api_url
                .parse()
                .map_err(|error| SettingError::new("--api-url", "BUILDKITE_REST_URL", error))?,
            organization: organization.parse().map_err(|error| self::organization(&error))?,
            credential: credential(args.api_token_file.as_deref(), &variable)?,
            client: args.client()?,
            access: args.access()?,
        })
    }
}

impl ConnectionArgs {
    pub(super) fn client(&self) -> Result<ClientOptions, SettingError> {
        Ok(ClientOptions {
            retry_for: duration("--retry-for", "BUILDKITE_CONNECTOR_RETRY_FOR", &self.retry_for)?,
            attempt_timeout: duration(
                "--request-timeout",
                "BUILDKITE_CONNECTOR_REQUEST_TIMEOUT",
                &self.request_timeout,
            )?,
            budget: self.budget.read()?,
        })
    }

    /// The same for a job that ends: a rate limit is waited for as long as it takes, unless a longest wait is given. Either
    /// holds for grants and revokes too.
    pub(super) fn client_of_a_job(&self, mut client: ClientOptions) -> ClientOptions {
        if !self.has_max_wait() {
            client.budget.max_wait = AS_LONG_AS_IT_TAKES;
        }
        client.budget.provisioning_max_wait = client.budget.max_wait;
        client
    }

    /// Whether a longest wait for a rate limit is given.
    pub(super) fn has_max_wait(&self) -> bool {
        self.budget.max_wait().is_some()
    }

    fn read_ahead(&self) -> Result<usize, SettingError> {
        let wrong = || {
            let problem = "give a whole number from 0 to 64";
            SettingError::new("--read-ahead", "BUILDKITE_CONNECTOR_READ_AHEAD", problem)
        };
        self.read_ahead
            .parse()
            .ok()
            .filter(|teams| *teams <= 64)
            .ok_or_else(wrong)
    }

    pub(super) fn access(&self) -> Result<GovernanceSettings, SettingError> {
        let partial_visibility = match self.partial_visibility.as_str() {
            "refuse" => PartialVisibility::Refuse,
            "allow" => PartialVisibility::Allow,
            _ => {
                return Err(SettingError::new(
                    "--partial-visibility",
                    "BUILDKITE_CONNECTOR_PARTIAL_VISIBILITY",
                    "say `refuse` or `allow`",
                ));
            }
        };
        Ok(GovernanceSettings {
            provisioning: switch("--provisioning", "BUILDKITE_CONNECTOR_PROVISIONING", &self.provisioning)?,
            maintainer_revoke: self.guards.maintainer_revoke()?,
            protected: self.guards.protected()?,
            audit_file: self.guards.audit_file(),
            directory_max_age: duration(
                "--directory-max-age",
                "BUILDKITE_CONNECTOR_DIRECTORY_MAX_AGE",
                &self.directory_max_age,
            )?,
            partial_visibility,
            health: self.health.read()?,
            read_ahead: self.read_ahead()?,
            ..GovernanceSettings::default()
        })
    }
}

fn organization(problem: impl fmt::Display) -> SettingError {
    SettingError::new("--organization", "BUILDKITE_ORGANIZATION_SLUG", problem)
}

fn duration(flag: &'static str, name: &'static str, text: &str) -> Result<Duration, SettingError> {
    humantime::parse_duration(text)
        .ok()
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| SettingError::new(flag, name, "give a time such as `30s` or `2m`, longer than none"))
}

fn switch(flag: &'static str, name: &'static str, text: &str) -> Result<bool, SettingError> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" | "" => Ok(false),
        _ => Err(SettingError::new(flag, name, "say `true` or `false`")),
    }
}

fn credential(file: Option<&Path>, variable: impl Fn(&str) -> Option<String>) -> Result<Credential, SettingError> {
    let given = variable(TOKEN).filter(|token| !token.is_empty());
    let file = file.filter(|file| !file.as_os_str().is_empty());
    let from_file = |problem: String| SettingError::new("--api-token-file", "BUILDKITE_API_TOKEN_FILE", problem);
    match (given, file) {
        (Some(_), Some(_)) => Err(from_file(format!("set either this or {TOKEN}, not both"))),
        (Some(token), None) => {
            let token = ApiToken::from_str(&token).map_err(SettingError::token)?;
            Ok(token.into())
        }
        (None, Some(file)) => Credential::from_file(file.to_owned()).map_err(|error| from_file(error.to_string())),
        (None, None) => Err(SettingError::token(
            "set it to an API access token from https://buildkite.com/user/api-access-tokens, or give --api-token-file (BUILDKITE_API_TOKEN_FILE)",
        )),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn args() -> ConnectionArgs {
        ConnectionArgs {
            organization: Some("Acme".into()),
            api_url: ApiOrigin::DEFAULT.into(),
            partial_visibility: "refuse".into(),
            read_ahead: "16".into(),
            directory_max_age: "10m".into(),
            retry_for: "30s".into(),
            request_timeout: "15s".into(),
            ..ConnectionArgs::default()
        }
    }

    fn read(args: &ConnectionArgs, token: Option<&str>) -> Result<Settings, String> {
        Settings::read(args, |name| token.filter(|_| name == TOKEN).map(str::to_owned))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_are_the_designs() {
        let settings = read(&args(), Some("bkua_0123456789abcdef")).unwrap();
        assert_eq!(settings.organization.as_str(), "Acme");
        assert_eq!(settings.origin.to_string(), "https://api.buildkite.com");
        assert!(!settings.access.provisioning);
        assert_eq!(settings.access.partial_visibility, PartialVisibility::Refuse);
    }

    #[rstest]
    #[case(ConnectionArgs { organization: None, ..args() }, "--organization (BUILDKITE_ORGANIZATION_SLUG)")]
    #[case(ConnectionArgs { organization: Some(String::new()), ..args() }, "--organization (BUILDKITE_ORGANIZATION_SLUG)")]
    #[case(ConnectionArgs { organization: Some("a/b".into()), ..args() }, "--organization (BUILDKITE_ORGANIZATION_SLUG)")]
    #[case(ConnectionArgs { api_url: "http://api.buildkite.com".into(), ..args() }, "--api-url (BUILDKITE_REST_URL)")]
    #[case(ConnectionArgs { api_url: "https://x/y".into(), ..args() }, "--api-url (BUILDKITE_REST_URL)")]
    #[case(ConnectionArgs { partial_visibility: "maybe".into(), ..args() }, "--partial-visibility (BUILDKITE_CONNECTOR_PARTIAL_VISIBILITY)")]
    #[case(ConnectionArgs { provisioning: "perhaps".into(), ..args() }, "--provisioning (BUILDKITE_CONNECTOR_PROVISIONING)")]
    #[case(ConnectionArgs { retry_for: "soon".into(), ..args() }, "--retry-for (BUILDKITE_CONNECTOR_RETRY_FOR)")]
    #[case(ConnectionArgs { request_timeout: "0s".into(), ..args() }, "--request-timeout (BUILDKITE_CONNECTOR_REQUEST_TIMEOUT)")]
    #[case(ConnectionArgs { api_token_file: Some("/tmp/x".into()), ..args() }, "--api-token-file (BUILDKITE_API_TOKEN_FILE)")]
    fn each_refusal_names_the_flag_and_the_variable_in_one_line(#[case] args: ConnectionArgs, #[case] named: &str) {
        let error = read(&args, Some("bkua_0123456789abcdef")).unwrap_err();
        assert!(error.starts_with(named) && !error.contains('\n'), "{error}");
        assert!(!error.contains("0123456789abcdef"), "{error}");
    }

    #[test]
    fn a_token_is_required_and_its_trouble_never_shows_it() {
        assert!(read(&args(), None).unwrap_err().starts_with(TOKEN));
        assert!(
            read(&args(), Some(""))
                .unwrap_err()
                .contains("BUILDKITE_API_TOKEN_FILE")
        );
        let error = read(&args(), Some("bkct_0123456789abcdef")).unwrap_err();
        assert!(
            error.contains("bkct_") && !error.contains("0123456789abcdef"),
            "{error}"
        );
    }

    #[test]
    fn a_token_file_is_read_and_a_missing_one_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, "bkua_0123456789abcdef\n").unwrap();
        assert!(
            read(
                &ConnectionArgs {
                    api_token_file: Some(file.clone()),
                    ..args()
                },
                None
            )
            .is_ok()
        );
        std::fs::remove_file(&file).unwrap();
        let error = read(
            &ConnectionArgs {
                api_token_file: Some(file.clone()),
                ..args()
            },
            None,
        )
        .unwrap_err();
        assert!(error.contains(&file.display().to_string()), "{error}");
    }
}
