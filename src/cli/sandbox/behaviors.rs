//! One flag for each behavior of the sandbox that can be chosen.

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::sandbox::{
    Behavior, Behaviors, BuildErrorBody, CreatedLevel, CursorBody, DeleteAbsent, Echo, ExpiresAt, FeatureAccess,
    InviteAgain, LastMaintainer, Link, MemberRoleField, MetaDataFilter, Order, OrganizationHeaders, Paging,
    PatchAbsent, PostExisting, PostOutsider, RateLimitAccess, ResetRounding, SingleSignOn, SuiteLevels, SuitePostPath,
    TeamEcho, TeamsDisabled, WriteLag,
};

/// The behaviors that Buildkite's documentation leaves open.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Behavior that the documentation leaves open")]
pub struct BehaviorArgs {
    /// How the list of teams handles `page` and `per_page`
    #[arg(long, default_value_t, value_parser = choices::<Paging>())]
    pub team_paging: Paging,
    /// The same for a team's members
    #[arg(long, default_value_t, value_parser = choices::<Paging>())]
    pub team_member_paging: Paging,
    /// The same for the organization's members
    #[arg(long, default_value_t, value_parser = choices::<Paging>())]
    pub organization_member_paging: Paging,
    /// The same for pipelines
    #[arg(long, default_value_t, value_parser = choices::<Paging>())]
    pub pipeline_paging: Paging,
    /// The same for a team's pipelines
    #[arg(long, default_value_t, value_parser = choices::<Paging>())]
    pub team_pipeline_paging: Paging,
    /// The same for suites
    #[arg(long, default_value_t, value_parser = choices::<Paging>())]
    pub suite_paging: Paging,
    /// The same for a team's suites
    #[arg(long, default_value_t, value_parser = choices::<Paging>())]
    pub team_suite_paging: Paging,
    /// The same for registries
    #[arg(long, default_value_t, value_parser = choices::<Paging>())]
    pub registry_paging: Paging,
    /// The same for clusters
    #[arg(long, default_value_t, value_parser = choices::<Paging>())]
    pub cluster_paging: Paging,
    /// The same for a cluster's maintainers
    #[arg(long, default_value_t, value_parser = choices::<Paging>())]
    pub cluster_maintainer_paging: Paging,
    /// Maximum number of rows on a page
    #[arg(long, default_value_t = Behaviors::default().per_page_cap, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub per_page_cap: u32,
    /// Which lists carry `Link` headers, and which headers
    #[arg(long, default_value_t, value_parser = choices::<Link>())]
    pub link: Link,
    /// The order of lists
    #[arg(long, default_value_t, value_parser = choices::<Order>())]
    pub order: Order,
    /// Response to adding a user who is in the team
    #[arg(long, default_value_t, value_parser = choices::<PostExisting>())]
    pub post_existing: PostExisting,
    /// Response to adding a user who is not in the organization
    #[arg(long, default_value_t, value_parser = choices::<PostOutsider>())]
    pub post_outsider: PostOutsider,
    /// Response to removing a user who is not in the team
    #[arg(long, default_value_t, value_parser = choices::<DeleteAbsent>())]
    pub delete_absent: DeleteAbsent,
    /// Response to changing a user who is not in the team
    #[arg(long, default_value_t, value_parser = choices::<PatchAbsent>())]
    pub patch_absent: PatchAbsent,
    /// Response to removing or demoting the only maintainer
    #[arg(long, default_value_t, value_parser = choices::<LastMaintainer>())]
    pub last_maintainer: LastMaintainer,
    /// Body of the response to a write
    #[arg(long, default_value_t, value_parser = choices::<Echo>())]
    pub echo: Echo,
    /// Whether organization members show their role
    #[arg(long, default_value_t, value_parser = choices::<MemberRoleField>())]
    pub member_role_field: MemberRoleField,
    /// Whether teams are disabled, and what that looks like
    #[arg(long, default_value_t, value_parser = choices::<TeamsDisabled>())]
    pub teams_disabled: TeamsDisabled,
    /// Whether requests outside the organization count against it and carry its headers
    #[arg(long, default_value_t, value_parser = choices::<OrganizationHeaders>())]
    pub organization_headers: OrganizationHeaders,
    /// How the seconds until a reset are rounded
    #[arg(long, default_value_t, value_parser = choices::<ResetRounding>())]
    pub reset_rounding: ResetRounding,
    /// How a token's expiry is written
    #[arg(long, default_value_t, value_parser = choices::<ExpiresAt>())]
    pub expires_at: ExpiresAt,
    /// Which permission `rate_limit` needs
    #[arg(long, default_value_t, value_parser = choices::<RateLimitAccess>())]
    pub rate_limit_access: RateLimitAccess,
    /// The path that adds a suite to a team: `suites` or `suite`
    #[arg(long, default_value_t, value_parser = choices::<SuitePostPath>())]
    pub suite_post_path: SuitePostPath,
    /// Form of a suite's level of access
    #[arg(long, default_value_t, value_parser = choices::<SuiteLevels>())]
    pub suite_levels: SuiteLevels,
    /// Level in the response to giving a team access to a pipeline
    #[arg(long, default_value_t, value_parser = choices::<CreatedLevel>())]
    pub created_level: CreatedLevel,
    /// Body of the response to creating or changing a team
    #[arg(long, default_value_t, value_parser = choices::<TeamEcho>())]
    pub team_echo: TeamEcho,
    /// Body of the lists of invitations and audit events
    #[arg(long, default_value_t, value_parser = choices::<CursorBody>())]
    pub cursor_body: CursorBody,
    /// Whether the organization uses single sign-on
    #[arg(long, default_value_t, value_parser = choices::<SingleSignOn>())]
    pub single_sign_on: SingleSignOn,
    /// Response to inviting an address with a pending invitation
    #[arg(long, default_value_t, value_parser = choices::<InviteAgain>())]
    pub invite_again: InviteAgain,
    /// Body of the 422 response to starting a build
    #[arg(long, default_value_t, value_parser = choices::<BuildErrorBody>())]
    pub build_error_body: BuildErrorBody,
    /// Whether lists of builds apply the `meta_data` filter
    #[arg(long, default_value_t, value_parser = choices::<MetaDataFilter>())]
    pub meta_data_filter: MetaDataFilter,
    /// Rows that a list of builds gives access to
    #[arg(long, default_value_t = Behaviors::default().build_depth, value_name = "N")]
    pub build_depth: u32,
    /// Whether the organization has test suites, and how their absence shows
    #[arg(long, default_value_t, value_parser = choices::<FeatureAccess>())]
    pub test_engine: FeatureAccess,
    /// The same for package registries
    #[arg(long, default_value_t, value_parser = choices::<FeatureAccess>())]
    pub package_registries: FeatureAccess,
    /// The same for the audit log
    #[arg(long, default_value_t, value_parser = choices::<FeatureAccess>())]
    pub audit_log: FeatureAccess,
    /// How long writes stay hidden from reads: none, a number such as 2-reads, a time such as 500ms
    #[arg(long, default_value_t, value_name = "LAG")]
    pub write_lag: WriteLag,
}

impl BehaviorArgs {
    /// The behavior that these arguments select.
    #[must_use]
    pub fn behaviors(&self) -> Behaviors {
        Behaviors {
            team_paging: self.team_paging,
            team_member_paging: self.team_member_paging,
            organization_member_paging: self.organization_member_paging,
            pipeline_paging: self.pipeline_paging,
            team_pipeline_paging: self.team_pipeline_paging,
            suite_paging: self.suite_paging,
            team_suite_paging: self.team_suite_paging,
            registry_paging: self.registry_paging,
            cluster_paging: self.cluster_paging,
            cluster_maintainer_paging: self.cluster_maintainer_paging,
            per_page_cap: self.per_page_cap,
            link: self.link,
            order: self.order,
            post_existing: self.post_existing,
            post_outsider: self.post_outsider,
            delete_absent: self.delete_absent,
            patch_absent: self.patch_absent,
            last_maintainer: self.last_maintainer,
            echo: self.echo,
            member_role_field: self.member_role_field,
            teams_disabled: self.teams_disabled,
            organization_headers: self.organization_headers,
            reset_rounding: self.reset_rounding,
            expires_at: self.expires_at,
            rate_limit_access: self.rate_limit_access,
            suite_post_path: self.suite_post_path,
            suite_levels: self.suite_levels,
            created_level: self.created_level,
            team_echo: self.team_echo,
            cursor_body: self.cursor_body,
            single_sign_on: self.single_sign_on,
            invite_again: self.invite_again,
            build_error_body: self.build_error_body,
            meta_data_filter: self.meta_data_filter,
            build_depth: self.build_depth,
            test_engine: self.test_engine,
            package_registries: self.package_registries,
            audit_log: self.audit_log,
            write_lag: self.write_lag,
        }
    }
}

/// Parses a behavior by its name, so that the help lists the names.
fn choices<H: Behavior>() -> impl TypedValueParser<Value = H> {
    PossibleValuesParser::new(H::NAMES).try_map(|name| name.parse::<H>())
}
