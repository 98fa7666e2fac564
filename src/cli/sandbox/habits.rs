//! One flag for each behaviour of the sandbox that can be chosen.

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::sandbox::{
    DeleteAbsent, Echo, ExpiresAt, Habit, Habits, LastMaintainer, Link, MemberRoleField, Order, OrganizationHeaders,
    Paging, PatchAbsent, PostExisting, PostOutsider, RateLimitAccess, ResetRounding, TeamsDisabled, WriteLag,
};

/// The behaviours that Buildkite's documentation leaves open.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Behaviour that the documentation leaves open")]
pub struct HabitArgs {
    /// How the list of teams handles `page` and `per_page`
    #[arg(long, default_value_t, value_parser = answers::<Paging>())]
    pub team_paging: Paging,
    /// The same for a team's members
    #[arg(long, default_value_t, value_parser = answers::<Paging>())]
    pub team_member_paging: Paging,
    /// The same for the organization's members
    #[arg(long, default_value_t, value_parser = answers::<Paging>())]
    pub organization_member_paging: Paging,
    /// Maximum number of rows on a page
    #[arg(long, default_value_t = Habits::default().per_page_cap, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub per_page_cap: u32,
    /// Which lists carry `Link` headers, and which headers
    #[arg(long, default_value_t, value_parser = answers::<Link>())]
    pub link: Link,
    /// The order of lists
    #[arg(long, default_value_t, value_parser = answers::<Order>())]
    pub order: Order,
    /// Response to adding a user who is in the team
    #[arg(long, default_value_t, value_parser = answers::<PostExisting>())]
    pub post_existing: PostExisting,
    /// Response to adding a user who is not in the organization
    #[arg(long, default_value_t, value_parser = answers::<PostOutsider>())]
    pub post_outsider: PostOutsider,
    /// Response to removing a user who is not in the team
    #[arg(long, default_value_t, value_parser = answers::<DeleteAbsent>())]
    pub delete_absent: DeleteAbsent,
    /// Response to changing a user who is not in the team
    #[arg(long, default_value_t, value_parser = answers::<PatchAbsent>())]
    pub patch_absent: PatchAbsent,
    /// Response to removing or demoting the only maintainer
    #[arg(long, default_value_t, value_parser = answers::<LastMaintainer>())]
    pub last_maintainer: LastMaintainer,
    /// Body of the response to a write
    #[arg(long, default_value_t, value_parser = answers::<Echo>())]
    pub echo: Echo,
    /// Whether organization members show their role
    #[arg(long, default_value_t, value_parser = answers::<MemberRoleField>())]
    pub member_role_field: MemberRoleField,
    /// Whether teams are disabled, and what that looks like
    #[arg(long, default_value_t, value_parser = answers::<TeamsDisabled>())]
    pub teams_disabled: TeamsDisabled,
    /// Whether requests outside the organization count against it and carry its headers
    #[arg(long, default_value_t, value_parser = answers::<OrganizationHeaders>())]
    pub organization_headers: OrganizationHeaders,
    /// How the seconds until a reset are rounded
    #[arg(long, default_value_t, value_parser = answers::<ResetRounding>())]
    pub reset_rounding: ResetRounding,
    /// How a token's expiry is written
    #[arg(long, default_value_t, value_parser = answers::<ExpiresAt>())]
    pub expires_at: ExpiresAt,
    /// Which permission `rate_limit` needs
    #[arg(long, default_value_t, value_parser = answers::<RateLimitAccess>())]
    pub rate_limit_access: RateLimitAccess,
    /// How long writes stay hidden from reads: none, a number such as 2-reads, a time such as 500ms
    #[arg(long, default_value_t, value_name = "LAG")]
    pub write_lag: WriteLag,
}

impl HabitArgs {
    /// The behaviour that these arguments select.
    #[must_use]
    pub fn habits(&self) -> Habits {
        Habits {
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

/// Parses a behaviour by its name, so that the help lists the names.
fn answers<H: Habit>() -> impl TypedValueParser<Value = H> {
    PossibleValuesParser::new(H::NAMES).try_map(|name| name.parse::<H>())
}
