//! One flag for each behavior of the sandbox that can be chosen.

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::sandbox::{
    Behavior, Behaviors, DeleteAbsent, Echo, ExpiresAt, LastMaintainer, Link, MemberRoleField, Order,
    OrganizationHeaders, Paging, PatchAbsent, PostExisting, PostOutsider, RateLimitAccess, ResetRounding,
    TeamsDisabled, WriteLag,
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
            write_lag: self.write_lag,
        }
    }
}

/// Parses a behavior by its name, so that the help lists the names.
fn choices<H: Behavior>() -> impl TypedValueParser<Value = H> {
    PossibleValuesParser::new(H::NAMES).try_map(|name| name.parse::<H>())
}
