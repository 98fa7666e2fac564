//! What Buildkite does where its documentation is silent. Each open question is a behavior with named choices, so that
//! a test or a client can try all of them. The first choice is the default.

use std::fmt;
use std::str::FromStr;

/// The name of a choice that does not exist.
#[derive(Debug, thiserror::Error)]
#[error("`{value}` is not one of {known}")]
pub struct UnknownBehavior {
    value: String,
    known: String,
}

/// A behavior: a closed set of named choices.
pub trait Behavior: Copy + FromStr<Err = UnknownBehavior> + fmt::Display + Send + Sync + 'static {
    /// The names of all choices, the default first.
    const NAMES: &'static [&'static str];
}

macro_rules! behavior {
    (
        $(#[$doc:meta])*
        $name:ident {
            $(#[$first_doc:meta])* $first:ident = $first_name:literal,
            $( $(#[$variant_doc:meta])* $variant:ident = $variant_name:literal, )*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub enum $name {
            $(#[$first_doc])* #[default] $first,
            $( $(#[$variant_doc])* $variant, )*
        }

        impl Behavior for $name {
            const NAMES: &'static [&'static str] = &[$first_name, $($variant_name),*];
        }

        impl FromStr for $name {
            type Err = UnknownBehavior;

            fn from_str(text: &str) -> Result<Self, UnknownBehavior> {
                match text {
                    $first_name => Ok(Self::$first),
                    $($variant_name => Ok(Self::$variant),)*
                    _ => Err(UnknownBehavior { value: text.to_owned(), known: Self::NAMES.join(", ") }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(match self {
                    Self::$first => $first_name,
                    $(Self::$variant => $variant_name,)*
                })
            }
        }
    };
}

mod choices;
mod objects;
mod write_lag;

pub use choices::{
    DeleteAbsent, Echo, ExpiresAt, LastMaintainer, Link, MemberRoleField, Order, OrganizationHeaders, Paging,
    PatchAbsent, PostExisting, PostOutsider, RateLimitAccess, ResetRounding, TeamsDisabled,
};
pub use objects::{
    BuildErrorBody, CreatedLevel, CursorBody, FeatureAccess, InviteAgain, MetaDataFilter, SingleSignOn, SuiteLevels,
    SuitePostPath, TeamEcho,
};
pub use write_lag::WriteLag;

/// The sandbox's choice for every open question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behaviors {
    /// Paging of `teams`.
    pub team_paging: Paging,
    /// Paging of a team's `members`.
    pub team_member_paging: Paging,
    /// Paging of the organization's `members`.
    pub organization_member_paging: Paging,
    /// Paging of `pipelines`.
    pub pipeline_paging: Paging,
    /// Paging of a team's `pipelines`.
    pub team_pipeline_paging: Paging,
    /// Paging of `suites`.
    pub suite_paging: Paging,
    /// Paging of a team's `suites`.
    pub team_suite_paging: Paging,
    /// Paging of `registries`.
    pub registry_paging: Paging,
    /// Paging of `clusters`.
    pub cluster_paging: Paging,
    /// Paging of a cluster's `maintainers`.
    pub cluster_maintainer_paging: Paging,
    /// Maximum number of rows on a page, even if `per_page` is larger.
    pub per_page_cap: u32,
    /// `Link` headers.
    pub link: Link,
    /// Order of lists.
    pub order: Order,
    /// Adding a user who is already in the team.
    pub post_existing: PostExisting,
    /// Adding a user who is not in the organization.
    pub post_outsider: PostOutsider,
    /// Removing a user who is not in the team.
    pub delete_absent: DeleteAbsent,
    /// Changing a user who is not in the team.
    pub patch_absent: PatchAbsent,
    /// Removing or demoting the last maintainer.
    pub last_maintainer: LastMaintainer,
    /// Bodies of successful writes.
    pub echo: Echo,
    /// The `role` of organization members.
    pub member_role_field: MemberRoleField,
    /// The teams feature.
    pub teams_disabled: TeamsDisabled,
    /// Rate-limit headers outside the organization.
    pub organization_headers: OrganizationHeaders,
    /// Rounding of the seconds until a reset.
    pub reset_rounding: ResetRounding,
    /// The format of `expires_at` of tokens.
    pub expires_at: ExpiresAt,
    /// Which tokens may read `rate_limit`.
    pub rate_limit_access: RateLimitAccess,
    /// The path of `POST` of a team's suite.
    pub suite_post_path: SuitePostPath,
    /// The form of a suite's level.
    pub suite_levels: SuiteLevels,
    /// The level in the response to a new access of a team.
    pub created_level: CreatedLevel,
    /// The body of the response to creating or changing a team.
    pub team_echo: TeamEcho,
    /// The body of lists with cursors.
    pub cursor_body: CursorBody,
    /// Single sign-on of the organization.
    pub single_sign_on: SingleSignOn,
    /// Inviting an address with a pending invitation.
    pub invite_again: InviteAgain,
    /// The body of the 422 for a build.
    pub build_error_body: BuildErrorBody,
    /// The `meta_data` filter of lists of builds.
    pub meta_data_filter: MetaDataFilter,
    /// The number of rows that a list of builds gives access to: the response to a deeper page is 400.
    pub build_depth: u32,
    /// Whether the organization has Test Engine, which has the suites.
    pub test_engine: FeatureAccess,
    /// Whether the organization has package registries.
    pub package_registries: FeatureAccess,
    /// Whether the organization's plan has the audit log.
    pub audit_log: FeatureAccess,
    /// When reads show a write.
    pub write_lag: WriteLag,
}

impl Default for Behaviors {
    fn default() -> Self {
        Self {
            team_paging: Paging::default(),
            team_member_paging: Paging::default(),
            organization_member_paging: Paging::default(),
            pipeline_paging: Paging::default(),
            team_pipeline_paging: Paging::default(),
            suite_paging: Paging::default(),
            team_suite_paging: Paging::default(),
            registry_paging: Paging::default(),
            cluster_paging: Paging::default(),
            cluster_maintainer_paging: Paging::default(),
            per_page_cap: 100,
            link: Link::default(),
            order: Order::default(),
            post_existing: PostExisting::default(),
            post_outsider: PostOutsider::default(),
            delete_absent: DeleteAbsent::default(),
            patch_absent: PatchAbsent::default(),
            last_maintainer: LastMaintainer::default(),
            echo: Echo::default(),
            member_role_field: MemberRoleField::default(),
            teams_disabled: TeamsDisabled::default(),
            organization_headers: OrganizationHeaders::default(),
            reset_rounding: ResetRounding::default(),
            expires_at: ExpiresAt::default(),
            rate_limit_access: RateLimitAccess::default(),
            suite_post_path: SuitePostPath::default(),
            suite_levels: SuiteLevels::default(),
            created_level: CreatedLevel::default(),
            team_echo: TeamEcho::default(),
            cursor_body: CursorBody::default(),
            single_sign_on: SingleSignOn::default(),
            invite_again: InviteAgain::default(),
            build_error_body: BuildErrorBody::default(),
            meta_data_filter: MetaDataFilter::default(),
            build_depth: 10_000,
            test_engine: FeatureAccess::default(),
            package_registries: FeatureAccess::default(),
            audit_log: FeatureAccess::default(),
            write_lag: WriteLag::default(),
        }
    }
}
