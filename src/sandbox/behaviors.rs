//! What Buildkite does where its documentation is silent. Each open question is a behavior with named choices, so that
//! a test or a client can try all of them. The first choice is the default.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

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

behavior! {
    /// How a list handles `page` and `per_page`.
    Paging {
        /// As documented.
        Paged = "paged",
        /// Both are ignored: every response is the complete list.
        Complete = "complete",
        /// `per_page` is ignored: every page has 30 rows.
        PerPageIgnored = "per-page-ignored",
        /// `page` is ignored: every response is the first page.
        PageIgnored = "page-ignored",
    }
}

behavior! {
    /// When a list has a `Link` header, and what the header says.
    Link {
        /// If the list is longer than one page.
        OnlyWhenMore = "only-when-more",
        /// On every list, including one of a single page.
        Always = "always",
        /// Never.
        Never = "never",
        /// Also the last page names a next page.
        WrongNext = "wrong-next",
        /// The URLs point to another host.
        ForeignHost = "foreign-host",
    }
}

behavior! {
    /// The order of lists.
    Order {
        /// By creation time, ascending.
        OldestFirst = "oldest-first",
        /// By creation time, descending.
        NewestFirst = "newest-first",
    }
}

behavior! {
    /// `POST members` for a user who is already in the team.
    PostExisting {
        /// 422: the user has already been added.
        Unprocessable = "422",
        /// 409.
        Conflict = "409",
        /// 200 with the unchanged row.
        Unchanged = "200-unchanged",
        /// 201 with the row in the requested role.
        Upsert = "201-upsert",
    }
}

behavior! {
    /// `POST members` for a user who is not in the organization.
    PostOutsider {
        /// 404.
        NotFound = "404",
        /// 422.
        Unprocessable = "422",
        /// 403.
        Forbidden = "403",
    }
}

behavior! {
    /// `DELETE` of a user who is not in the team.
    DeleteAbsent {
        /// 404.
        NotFound = "404",
        /// 204, as for a member.
        NoContent = "204",
        /// 422.
        Unprocessable = "422",
    }
}

behavior! {
    /// `PATCH` of a user who is not in the team.
    PatchAbsent {
        /// 404.
        NotFound = "404",
        /// 422.
        Unprocessable = "422",
    }
}

behavior! {
    /// Removing or demoting a team's only maintainer.
    LastMaintainer {
        /// The request succeeds.
        Allowed = "allowed",
        /// The request is rejected with 422.
        Refused = "422",
    }
}

behavior! {
    /// The response body of a `POST` or `PATCH` of a team member.
    Echo {
        /// The row after the write.
        Full = "full",
        /// No body.
        Empty = "empty",
        /// The row without its role.
        WithoutRole = "without-role",
        /// The row before the write; if there was none, the row of a plain member.
        Lagging = "lagging",
    }
}

behavior! {
    /// Whether organization members have a `role` field. Buildkite's API did not always return it.
    MemberRoleField {
        /// The field is present.
        Present = "present",
        /// The field is missing.
        Absent = "absent",
    }
}

behavior! {
    /// Whether the teams feature is disabled, and how that shows.
    TeamsDisabled {
        /// Teams are enabled.
        No = "no",
        /// The list is empty.
        Empty = "empty",
        /// Every team endpoint returns 403.
        Forbidden = "403",
        /// Every team endpoint returns 404.
        NotFound = "404",
    }
}

behavior! {
    /// Whether endpoints outside an organization have its rate-limit headers and count against its limit.
    OrganizationHeaders {
        /// No.
        Absent = "absent",
        /// Yes.
        Present = "present",
    }
}

behavior! {
    /// How the seconds until the reset of a rate-limit window are rounded.
    ResetRounding {
        /// Up.
        Ceil = "ceil",
        /// Down, so that the last second of a window is 0.
        Floor = "floor",
        /// To the nearest second.
        Round = "round",
    }
}

behavior! {
    /// The format of a token's `expires_at`.
    ExpiresAt {
        /// `2025-07-16 06:07:42 UTC`, as the documentation prints it.
        SpaceUtc = "space-utc",
        /// `2025-07-16T06:07:42.000Z`.
        Iso = "iso",
        /// Null, even if the token expires.
        Null = "null",
        /// The field is missing.
        Absent = "absent",
    }
}

behavior! {
    /// Which tokens may read `rate_limit`: the documentation names a scope that no token can have.
    RateLimitAccess {
        /// Tokens that may read the organization.
        ReadOrganizations = "read-organizations",
        /// No token: the response is a 403 that names `read_accounts`.
        Refused = "403",
    }
}

/// How long a write stays hidden from reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriteLag {
    /// It is visible at once.
    #[default]
    None,
    /// For this many reads of the member, alone or in the team's list.
    Reads(u32),
    /// For this long.
    For(Duration),
}

impl FromStr for WriteLag {
    type Err = UnknownBehavior;

    fn from_str(text: &str) -> Result<Self, UnknownBehavior> {
        if text == "none" {
            return Ok(Self::None);
        }
        if let Some(reads) = text.strip_suffix("-reads").and_then(|count| count.parse().ok()) {
            return Ok(Self::Reads(reads));
        }
        humantime::parse_duration(text)
            .map(Self::For)
            .map_err(|_| UnknownBehavior {
                value: text.to_owned(),
                known: "none, a number of reads such as 2-reads, a duration such as 500ms".to_owned(),
            })
    }
}

impl fmt::Display for WriteLag {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => out.write_str("none"),
            Self::Reads(reads) => write!(out, "{reads}-reads"),
            Self::For(time) => humantime::format_duration(*time).fmt(out),
        }
    }
}

/// The sandbox's choice for every open question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behaviors {
    /// Paging of `teams`.
    pub team_paging: Paging,
    /// Paging of a team's `members`.
    pub team_member_paging: Paging,
    /// Paging of the organization's `members`.
    pub organization_member_paging: Paging,
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
    /// When reads show a write.
    pub write_lag: WriteLag,
}

impl Default for Behaviors {
    fn default() -> Self {
        Self {
            team_paging: Paging::default(),
            team_member_paging: Paging::default(),
            organization_member_paging: Paging::default(),
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
            write_lag: WriteLag::default(),
        }
    }
}
