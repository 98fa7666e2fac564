//! `sandbox`: the Buildkite stand-in on its own, to develop a platform or the connector against it.

mod behaviors;
mod credentials;
mod platform;

use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::SocketAddr;

use secrecy::{ExposeSecret, SecretString};

use super::{CommandError, SettingError, signals};
use crate::sandbox::{
    Endpoint, FAULT_KINDS, Fault, LimitOptions, Options, Organization, OrganizationRole, Sandbox, Seed, Size, TokenSpec,
};

pub use behaviors::BehaviorArgs;
pub use platform::{PlatformArgs, PlatformTask};

/// The size of a generated organization.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct SizeArgs {
    /// Generate an organization with this many teams, instead of the small example
    #[arg(long, value_name = "N")]
    pub teams: Option<usize>,
    /// Members of each generated team
    #[arg(long, value_name = "N")]
    pub members_per_team: Option<usize>,
    /// People in the generated organization
    #[arg(long, value_name = "N")]
    pub people: Option<usize>,
}

impl SizeArgs {
    /// The name of the first size that is given.
    pub(super) fn first_given(&self) -> Option<&'static str> {
        let given = [
            ("teams", self.teams),
            ("members-per-team", self.members_per_team),
            ("people", self.people),
        ];
        given.into_iter().find_map(|(name, size)| size.map(|_| name))
    }

    /// The organization: a generated one if any size is given, otherwise the example.
    pub(super) fn seed(&self) -> Seed {
        match self.first_given() {
            None => Seed::Example,
            Some(_) => Seed::Sized(self.size()),
        }
    }

    fn size(&self) -> Size {
        let default = Size::default();
        Size {
            teams: self.teams.unwrap_or(default.teams),
            members_per_team: self.members_per_team.unwrap_or(default.members_per_team),
            people: self.people.unwrap_or(default.people),
            ..default
        }
    }
}

/// The arguments of `sandbox`.
#[derive(Clone, Debug, clap::Args)]
pub struct SandboxArgs {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value_t = Options::default().listen, value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// The size of the organization.
    #[command(flatten)]
    pub size: SizeArgs,
    /// Pipelines in the generated organization
    #[arg(long, value_name = "N")]
    pub pipelines: Option<usize>,
    /// Test suites in the generated organization
    #[arg(long, value_name = "N")]
    pub suites: Option<usize>,
    /// Package registries in the generated organization
    #[arg(long, value_name = "N")]
    pub registries: Option<usize>,
    /// Teams with access to each generated pipeline, suite and registry
    #[arg(long, value_name = "N")]
    pub teams_per_object: Option<usize>,
    /// Clusters in the generated organization
    #[arg(long, value_name = "N")]
    pub clusters: Option<usize>,
    /// Pending invitations in the generated organization
    #[arg(long, value_name = "N")]
    pub invitations: Option<usize>,
    /// Number from which the ids are generated
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Requests per window for the organization; 0 for no limit
    #[arg(long, default_value_t = LimitOptions::default().organization.unwrap_or(0), value_name = "N")]
    pub organization_limit: u32,
    /// Requests per window for each user; 0 for no limit
    #[arg(long, default_value_t = LimitOptions::default().user.unwrap_or(0), value_name = "N")]
    pub user_limit: u32,
    /// Length of a rate-limit window
    #[arg(long, default_value_t = LimitOptions::default().window.into(), value_name = "TIME")]
    pub window: humantime::Duration,
    /// Minimum duration of every request
    #[arg(long, default_value_t = Options::default().latency.into(), value_name = "TIME")]
    pub latency: humantime::Duration,
    /// How far the sandbox's clock is ahead of this machine's; negative if it is behind
    #[arg(long, default_value_t = Options::default().clock_offset, value_name = "SECONDS", allow_negative_numbers = true)]
    pub clock_offset: i64,
    /// A fault, such as team-members:status=502:times=3, any:delay=200ms or teams:move=remove:page=2. May be repeated; `--help`
    /// lists the form, the endpoints and the kinds
    #[arg(long = "fault", value_name = "SPEC", long_help = fault_help())]
    pub faults: Vec<Fault>,
    /// Behavior that Buildkite's documentation leaves open.
    #[command(flatten)]
    pub behaviors: BehaviorArgs,
    /// The access platform beside it.
    #[command(flatten)]
    pub platform: PlatformArgs,
}

impl SandboxArgs {
    /// The sandbox options for these arguments.
    #[must_use]
    pub fn options(&self) -> Options {
        Options {
            listen: self.listen,
            seed: self.seed(),
            limits: LimitOptions {
                organization: (self.organization_limit > 0).then_some(self.organization_limit),
                user: (self.user_limit > 0).then_some(self.user_limit),
                window: self.window.into(),
                ..LimitOptions::default()
            },
            behaviors: self.behaviors.behaviors(),
            latency: self.latency.into(),
            clock_offset: self.clock_offset,
            faults: self.faults.clone(),
        }
    }

    /// Any size, or a seed, selects a generated organization.
    fn seed(&self) -> Seed {
        let sizes = [
            self.pipelines,
            self.suites,
            self.registries,
            self.teams_per_object,
            self.clusters,
            self.invitations,
        ];
        if sizes.iter().all(Option::is_none) && self.seed.is_none() {
            return self.size.seed();
        }
        let default = self.size.size();
        Seed::Sized(Size {
            pipelines: self.pipelines.unwrap_or(default.pipelines),
            suites: self.suites.unwrap_or(default.suites),
            registries: self.registries.unwrap_or(default.registries),
            teams_per_object: self.teams_per_object.unwrap_or(default.teams_per_object),
            clusters: self.clusters.unwrap_or(default.clusters),
            invitations: self.invitations.unwrap_or(default.invitations),
            seed: self.seed.unwrap_or(default.seed),
            ..default
        })
    }
}

/// The text of `--fault` in `--help`.
fn fault_help() -> String {
    let mut help = "A fault: ENDPOINT:KIND[=VALUE][:page=N][:after=N][:times=N]. It may be \
                    repeated. `page` selects a page of a list, `after` skips that many requests first, `times` limits how often \
                    the fault occurs.\n\nKINDS:\n"
        .to_owned();
    for (kind, effect) in FAULT_KINDS {
        // Writing to a string does not fail.
        let _ = writeln!(help, "  {kind:<52}{effect}");
    }
    let endpoints = Endpoint::ALL.map(|(_, name)| name).join(", ");
    let _ = write!(
        help,
        "\nENDPOINTS:\n  {endpoints}\n\nEXAMPLES:\n  team-members:status=502:times=3\n  any:delay=200ms\n  teams:move=remove:page=2"
    );
    help
}

/// Prints how to use a sandbox, and runs it until a signal arrives.
///
/// # Errors
///
/// Fails if the address cannot be bound or standard output is closed.
pub(super) async fn run(args: &SandboxArgs) -> Result<(), CommandError> {
    let failed = |error: io::Error| CommandError::Failed(format!("the sandbox ended: {error}"));
    // Before anything is printed, so that a process that waits for the output can send a signal.
    let ending = signals::ending().map_err(failed)?;
    let sandbox = Sandbox::start(args.options()).await.map_err(|error| {
        SettingError::of::<SandboxArgs>("listen", format!("cannot listen on {}: {error}", args.listen))
    })?;
    let platform = args.platform.start().await.map_err(failed)?;
    print_usage(&sandbox, &mut io::stdout().lock()).map_err(failed)?;
    let _key_files = credentials::introduce(&sandbox, &mut io::stdout().lock()).map_err(failed)?;
    if let Some(platform) = &platform {
        let mut out = io::stdout();
        platform::introduce(platform, &mut out).map_err(failed)?;
        tokio::select! {
            () = ending => {}
            reported = platform::report(platform, &mut out) => reported.map_err(failed)?,
        }
    } else {
        ending.await;
    }
    if let Some(platform) = platform {
        platform.stop().await;
    }
    sandbox.stop().await;
    Ok(())
}

/// Prints the sandbox's address, content, tokens and examples. The tokens are generated, and valid for this sandbox only.
fn print_usage(sandbox: &Sandbox, out: &mut impl Write) -> io::Result<()> {
    let (url, slug) = (sandbox.url(), sandbox.slug());
    let token = sandbox.token().expose_secret();
    sandbox.with_organization(|organization| {
        let (teams, people) = (organization.teams().len(), organization.people().len());
        writeln!(out, "Buildkite sandbox  {url}")?;
        writeln!(
            out,
            "organization       {slug} ({teams} teams, {people} people)\n\ntokens"
        )
    })?;
    writeln!(out, "  {token}  admin, all scopes for people and teams")?;
    for (token, description) in other_tokens(sandbox) {
        writeln!(out, "  {}  {description}", token.expose_secret())?;
    }
    writeln!(out, "\ntry it")?;
    writeln!(
        out,
        "  curl -H 'Authorization: Bearer {token}' {url}/v2/organizations/{slug}/teams"
    )?;
    writeln!(out, "\nrun the connector against it")?;
    writeln!(out, "  export BUILDKITE_REST_URL={url}")?;
    writeln!(out, "  export BUILDKITE_ORGANIZATION_SLUG={slug}")?;
    writeln!(out, "  export BUILDKITE_API_TOKEN={token}")?;
    out.flush()
}

/// A token with every scope, and tokens with fewer permissions than the admin's.
fn other_tokens(sandbox: &Sandbox) -> Vec<(SecretString, &'static str)> {
    let owner = TokenSpec::owned_by(sandbox.owner());
    let read_only = owner
        .clone()
        .with_scopes(&["read_user", "read_organizations", "read_teams"]);
    let teams_only = owner.with_scopes(&["read_teams", "write_teams"]);
    let every_scope = TokenSpec::owned_by(sandbox.owner()).with_all_scopes();
    let mut tokens = vec![
        (
            sandbox.mint(every_scope.with_description("sandbox admin, every scope")),
            "admin, every scope",
        ),
        (
            sandbox.mint(read_only.with_description("sandbox read-only")),
            "admin, without write_teams: reads everything",
        ),
        (
            sandbox.mint(teams_only.with_description("sandbox teams only")),
            "admin, read_teams and write_teams only",
        ),
    ];
    if let Some(member) = sandbox.with_organization(non_admin) {
        let spec = TokenSpec::owned_by(member)
            .with_all_scopes()
            .with_description("sandbox member");
        tokens.push((
            sandbox.mint(spec),
            "not an admin, every scope: does not see secret teams",
        ));
    }
    tokens
}

fn non_admin(organization: &Organization) -> Option<uuid::Uuid> {
    let mut people = organization.people().iter();
    people
        .find(|person| person.role == OrganizationRole::Member)
        .map(|person| person.id)
}
