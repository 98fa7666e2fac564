//! Settings. Each one is declared once, as an argument: flag, variable, default, parser and help. A key of a configuration file can
//! be derived from the same declaration, by its long name. Clap parses the values; what is here builds the typed settings.

mod budget;
mod coverage;
mod credential;
mod drain;
mod error;
pub(super) mod file;
mod health;
mod listener;
mod provisioning;
mod service;
mod value;

use std::str::FromStr;
use std::time::Duration;

pub(super) use drain::DrainArgs;
pub use error::SettingError;
pub(super) use error::{name, name_of};
pub(super) use listener::{ListenerArgs, listen_error, metrics_listen_error};
pub(super) use service::{PlatformArgs, health_listen_error};
pub(super) use value::{PathParser, PositiveDuration, parse_bool, parsed_by};

use crate::governance::{Change, GovernanceSettings, PartialVisibility};
use crate::providers::buildkite::budget::CredentialUse;
use crate::providers::buildkite::{ApiOrigin, ClientOptions, Coverage, CredentialSpec, OrganizationSlug, Shared};
use file::FileCredential;

/// Ten years: longer than any job, and short enough to be added to an instant.
const UNLIMITED_WAIT: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// The highest value of `--read-ahead`.
const MAX_READ_AHEAD: usize = 64;

/// How Buildkite is reached, and what is governed there.
#[derive(Debug, Clone, clap::Args)]
pub struct ConnectionArgs {
    /// The organization's slug; its case matters
    #[arg(
        long,
        env = "BUILDKITE_ORGANIZATION_SLUG",
        value_name = "SLUG",
        value_parser = parsed_by(organization)
    )]
    organization: Option<OrganizationSlug>,
    #[command(flatten)]
    credential: credential::CredentialArgs,
    /// Origin of Buildkite's REST API, without /v2
    #[arg(
        long,
        env = "BUILDKITE_REST_URL",
        value_name = "URL",
        default_value = ApiOrigin::DEFAULT,
        value_parser = parsed_by(ApiOrigin::from_str)
    )]
    api_url: ApiOrigin,
    #[command(flatten)]
    coverage: coverage::CoverageArgs,
    #[command(flatten)]
    guards: provisioning::GuardArgs,
    /// What to do when the token's owner sees only some of the teams: `refuse` or `allow`
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_PARTIAL_VISIBILITY",
        value_name = "WHAT",
        default_value = visibility_name(PartialVisibility::default()),
        value_parser = parsed_by(partial_visibility)
    )]
    partial_visibility: PartialVisibility,
    /// How long transient failures of a read are retried
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_RETRY_FOR",
        value_name = "TIME",
        default_value_t = PositiveDuration(ClientOptions::default().retry_for),
        value_parser = parsed_by(PositiveDuration::from_str)
    )]
    retry_for: PositiveDuration,
    /// Timeout of one request to Buildkite
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_REQUEST_TIMEOUT",
        value_name = "TIME",
        default_value_t = PositiveDuration(ClientOptions::default().attempt_timeout),
        value_parser = parsed_by(PositiveDuration::from_str)
    )]
    request_timeout: PositiveDuration,
    /// Number of concurrent requests that read ahead within a sync; 0 disables read-ahead
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_READ_AHEAD",
        value_name = "N",
        default_value_t = GovernanceSettings::default().read_ahead,
        value_parser = parsed_by(read_ahead)
    )]
    read_ahead: usize,
    /// Maximum age of the lists in which e-mail addresses and protected names are looked up; an address that is not
    /// found is looked up in a new list
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_DIRECTORY_MAX_AGE",
        value_name = "TIME",
        default_value_t = PositiveDuration(GovernanceSettings::default().directory_max_age),
        value_parser = parsed_by(PositiveDuration::from_str)
    )]
    directory_max_age: PositiveDuration,
    #[command(flatten)]
    budget: budget::BudgetArgs,
    #[command(flatten)]
    pub(super) health: health::HealthArgs,
}

/// Everything that is needed to reach Buildkite and govern an organization.
#[derive(Debug)]
pub struct Settings {
    /// The origin of Buildkite's API.
    pub origin: ApiOrigin,
    /// The organization that is governed.
    pub organization: OrganizationSlug,
    /// The credentials of the API.
    pub credentials: Vec<CredentialSpec>,
    /// Timeouts and rate limits of the API client.
    pub client: ClientOptions,
    /// What is governed, and which changes are made.
    pub coverage: Coverage,
    /// How it is governed.
    pub governance: GovernanceSettings,
}

impl Settings {
    /// Builds the settings from parsed arguments. `several` are the credentials if there are more than one, which replace that of
    /// `args`. `shared` is what connections share; `variable` reads the environment, of which only the token is used here.
    ///
    /// # Errors
    /// When the organization or the credential is missing, a credential cannot be used, a change is allowed whose type is not included, or
    /// changes are allowed and no credential makes any.
    pub(super) fn read(
        args: &ConnectionArgs,
        several: &[FileCredential],
        shared: &Shared,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingError> {
        let organization = args.organization.clone();
        let organization = organization.ok_or_else(|| error("organization", GIVE_ORGANIZATION))?;
        let coverage = args.coverage()?;
        let credentials = match several {
            [] => vec![CredentialSpec::only(args.credential.credential(
                &organization,
                shared,
                variable,
            )?)],
            several => file::credentials_of(several, &organization, shared)?,
        };
        let is_sync = |spec: &CredentialSpec| spec.usage == CredentialUse::Sync;
        if !coverage.allowed().is_empty() && credentials.iter().all(is_sync) {
            return Err(error("allow", GIVE_CHANGING_CREDENTIAL));
        }
        Ok(Self {
            origin: args.api_url.clone(),
            credentials,
            organization,
            client: args.client(shared),
            coverage,
            governance: args.governance(),
        })
    }
}

impl ConnectionArgs {
    pub(super) fn client(&self, shared: &Shared) -> ClientOptions {
        ClientOptions {
            retry_for: self.retry_for.0,
            attempt_timeout: self.request_timeout.0,
            budget: self.budget.options(),
            tls: shared.tls.clone(),
            ..ClientOptions::default()
        }
    }

    /// The settings of a job. It waits for a rate limit without a bound, unless `--max-wait` sets one, which then holds for
    /// grants and revokes too.
    pub(super) fn waiting_for_rate_limits(&self, mut settings: Settings) -> Settings {
        let budget = &mut settings.client.budget;
        if !self.has_max_wait() {
            budget.max_wait = UNLIMITED_WAIT;
        }
        budget.provisioning_max_wait = budget.max_wait;
        settings
    }

    /// Whether `--max-wait` is set.
    pub(super) fn has_max_wait(&self) -> bool {
        self.budget.has_max_wait()
    }

    /// Refuses a credential in the environment, where the configuration file names connections.
    ///
    /// # Errors
    /// Names the variable.
    pub(super) fn refuse_variables(variable: impl Fn(&str) -> Option<String>) -> Result<(), SettingError> {
        if variable(credential::TOKEN).is_some_and(|token| !token.is_empty()) {
            let problem = "the configuration file names connections, which have their own credentials: leave it out";
            return Err(SettingError::of_variable(credential::TOKEN, problem));
        }
        Ok(())
    }

    /// What is governed, and which changes are made.
    ///
    /// # Errors
    /// When a change is allowed and none of the types that it changes is included, or off-boarding without an audit file.
    pub(super) fn coverage(&self) -> Result<Coverage, SettingError> {
        let coverage = self.coverage.coverage()?;
        self.guards.check_coverage(&coverage)?;
        self.check_audit_file(&coverage)?;
        Ok(coverage)
    }

    /// Rejects off-boarding without an audit file.
    ///
    /// # Errors
    /// Names the setting.
    pub(super) fn check_audit_file(&self, coverage: &Coverage) -> Result<(), SettingError> {
        if coverage.allowed().allows(Change::OffBoarding) && self.guards.audit_file().is_none() {
            return Err(error("audit-file", GIVE_AUDIT_FILE));
        }
        Ok(())
    }

    pub(super) fn governance(&self) -> GovernanceSettings {
        GovernanceSettings {
            maintainer_revoke: self.guards.maintainer_revoke(),
            protected: self.guards.protected(),
            audit_file: self.guards.audit_file(),
            off_boarding_limit: self.guards.off_boarding_limit(),
            build_pipelines: self.guards.build_pipelines(),
            directory_max_age: self.directory_max_age.0,
            partial_visibility: self.partial_visibility,
            health: self.health.settings(),
            read_ahead: self.read_ahead,
            ..GovernanceSettings::default()
        }
    }
}

const GIVE_CHANGING_CREDENTIAL: &str =
    "changes are allowed, but every credential has the use `sync`: set the `use` of one to `any` or `provisioning`";

const GIVE_ORGANIZATION: &str = "give the slug of your organization, as in `https://buildkite.com/<slug>`";

const GIVE_AUDIT_FILE: &str = "off-boarding needs a file in which every removal is recorded, and from which the removals of the last hour are counted";

fn organization(text: &str) -> Result<OrganizationSlug, String> {
    if text.is_empty() {
        return Err(GIVE_ORGANIZATION.to_owned());
    }
    text.parse()
        .map_err(|error: <OrganizationSlug as FromStr>::Err| error.to_string())
}

fn visibility_name(visibility: PartialVisibility) -> &'static str {
    match visibility {
        PartialVisibility::Refuse => "refuse",
        PartialVisibility::Allow => "allow",
    }
}

fn partial_visibility(text: &str) -> Result<PartialVisibility, &'static str> {
    [PartialVisibility::Refuse, PartialVisibility::Allow]
        .into_iter()
        .find(|visibility| visibility_name(*visibility) == text)
        .ok_or("give `refuse` or `allow`")
}

fn read_ahead(text: &str) -> Result<usize, String> {
    let requests = text.parse().ok().filter(|requests| *requests <= MAX_READ_AHEAD);
    requests.ok_or_else(|| format!("give a whole number from 0 to {MAX_READ_AHEAD}"))
}

fn error(long: &str, problem: impl std::fmt::Display) -> SettingError {
    SettingError::of::<ConnectionArgs>(long, problem)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::credential::TOKEN;
    use super::value::parse;
    use super::*;

    const ACME: [&str; 2] = ["--organization", "Acme"];

    fn read(arguments: &[&str], token: Option<&str>) -> Result<Settings, String> {
        let args = parse(arguments).map_err(|error| error.to_string())?;
        Settings::read(&args, &[], &Shared::default(), |name| {
            token.filter(|_| name == TOKEN).map(str::to_owned)
        })
        .map_err(|error| error.to_string())
    }

    #[test]
    fn without_flags_the_settings_are_the_defaults() {
        let settings = read(&ACME, Some("bkua_0123456789abcdef")).unwrap();
        assert_eq!(settings.organization.as_str(), "Acme");
        assert_eq!(settings.origin.to_string(), ApiOrigin::DEFAULT);
        let (client, defaults) = (settings.client, ClientOptions::default());
        assert_eq!(format!("{client:?}"), format!("{defaults:?}"));
        let (governance, defaults) = (settings.governance, GovernanceSettings::default());
        assert_eq!(format!("{governance:?}"), format!("{defaults:?}"));
    }

    #[rstest]
    #[case(&["--organization="], "organization")]
    #[case(&["--organization=a/b"], "organization")]
    #[case(&["--api-url=http://api.buildkite.com"], "api-url")]
    #[case(&["--api-url=https://x/y"], "api-url")]
    #[case(&["--partial-visibility=maybe"], "partial-visibility")]
    #[case(&["--provisioning=perhaps"], "provisioning")]
    #[case(&["--retry-for=soon"], "retry-for")]
    #[case(&["--request-timeout=0s"], "request-timeout")]
    #[case(&["--read-ahead=65"], "read-ahead")]
    #[case(&["--off-boarding-limit=0"], "off-boarding-limit")]
    fn a_wrong_value_is_rejected_in_one_line_that_names_the_flag(#[case] arguments: &[&str], #[case] long: &str) {
        let error = read(arguments, None).unwrap_err();
        assert!(error.starts_with(&format!("error: --{long}: ")), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }

    #[rstest]
    #[case(&[], "--organization (BUILDKITE_ORGANIZATION_SLUG): ")]
    #[case(
        &["--organization=acme", "--api-token-file=/tmp/x"],
        "--api-token-file (BUILDKITE_API_TOKEN_FILE): "
    )]
    fn a_missing_or_contradictory_setting_is_named_with_its_variable(#[case] arguments: &[&str], #[case] named: &str) {
        let error = read(arguments, Some("bkua_0123456789abcdef")).unwrap_err();
        assert!(error.starts_with(named) && !error.contains('\n'), "{error}");
        assert!(!error.contains("0123456789abcdef"), "{error}");
    }

    #[test]
    fn off_boarding_without_an_audit_file_is_refused() {
        let arguments = [&ACME[..], &["--allow", "off-boarding"]].concat();
        let error = read(&arguments, Some("bkua_0123456789abcdef")).unwrap_err();
        assert!(
            error.starts_with("--audit-file (BUILDKITE_CONNECTOR_AUDIT_FILE): off-boarding needs"),
            "{error}"
        );
        let with_file = [
            &arguments[..],
            &["--audit-file", "audit.jsonl", "--off-boarding-limit", "3"],
        ]
        .concat();
        let settings = read(&with_file, Some("bkua_0123456789abcdef")).unwrap();
        assert_eq!(settings.governance.off_boarding_limit, 3);
    }

    #[test]
    fn a_token_is_required_and_its_error_never_shows_it() {
        assert!(read(&ACME, None).unwrap_err().starts_with(TOKEN));
        assert!(
            read(&ACME, Some(""))
                .unwrap_err()
                .contains("--api-token-file (BUILDKITE_API_TOKEN_FILE)")
        );
        let error = read(&ACME, Some("bkct_0123456789abcdef")).unwrap_err();
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
        let path = file.to_str().unwrap();
        let arguments = [&ACME[..], &["--api-token-file", path]].concat();
        assert!(read(&arguments, None).is_ok());
        std::fs::remove_file(&file).unwrap();
        let error = read(&arguments, None).unwrap_err();
        assert!(error.contains(path), "{error}");
    }
}
