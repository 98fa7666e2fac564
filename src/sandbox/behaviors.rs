//! What Buildkite does where its documentation is silent. Every such question is a habit with named answers, so that a
//! test, or somebody who builds against the sandbox, can try each of them. The first answer named is the default.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A habit's answer that does not exist.
#[derive(Debug, thiserror::Error)]
#[error("`{given}` is none of {known}")]
pub struct UnknownBehavior {
    given: String,
    known: String,
}

/// A habit: a closed set of named answers.
pub trait Behavior: Copy + FromStr<Err = UnknownBehavior> + fmt::Display + Send + Sync + 'static {
    /// The names of all answers, the default first.
    const NAMES: &'static [&'static str];
}

macro_rules! behavior {
    (
        $(#[$about:meta])*
        $name:ident {
            $(#[$first_about:meta])* $first:ident = $first_name:literal,
            $( $(#[$variant_about:meta])* $variant:ident = $variant_name:literal, )*
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub enum $name {
            $(#[$first_about])* #[default] $first,
            $( $(#[$variant_about])* $variant, )*
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
                    _ => Err(UnknownBehavior { given: text.to_owned(), known: Self::NAMES.join(", ") }),
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
    /// How a list takes `page` and `per_page`.
    Paging {
        /// As documented.
        Paged = "paged",
        /// Both are ignored: every answer is the complete list.
        Complete = "complete",
        /// Pages of 30, whatever `per_page` says.
        PerPageIgnored = "per-page-ignored",
        /// The first page, whatever `page` says.
        PageIgnored = "page-ignored",
    }
}

behavior! {
    /// When a list carries a `Link` header, and what it says.
    Link {
        /// Where the list is longer than a page.
        OnlyWhenMore = "only-when-more",
        /// On every list, also of one page.
        Always = "always",
        /// Never.
        Never = "never",
        /// Also the last page names a next one.
        WrongNext = "wrong-next",
        /// The URLs lead to another host.
        ForeignHost = "foreign-host",
    }
}

behavior! {
    /// The order of lists.
    Order {
        /// In the order of creation.
        OldestFirst = "oldest-first",
        /// The latest at the top.
        NewestFirst = "newest-first",
    }
}

behavior! {
    /// `POST members` for somebody who is in the team already.
    PostExisting {
        /// 422, saying that they have already been added.
        Unprocessable = "422",
        /// 409.
        Conflict = "409",
        /// 200 with the row as it was.
        Unchanged = "200-unchanged",
        /// 201 with the row in the role asked for.
        Upsert = "201-upsert",
    }
}

behavior! {
    /// `POST members` for somebody who is not in the organization.
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
    /// `DELETE` of somebody who is not in the team.
    DeleteAbsent {
        /// 404.
        NotFound = "404",
        /// 204, as if they had been.
        NoContent = "204",
        /// 422.
        Unprocessable = "422",
    }
}

behavior! {
    /// `PATCH` of somebody who is not in the team.
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
        /// Is done.
        Allowed = "allowed",
        /// Is refused with 422.
        Refused = "422",
    }
}

behavior! {
    /// What a `POST` or `PATCH` of a team member answers with.
    Echo {
        /// The row as it is now.
        Full = "full",
        /// No body at all.
        Empty = "empty",
        /// The row without its role.
        WithoutRole = "without-role",
        /// The row as it was before; as a plain member where there was none.
        Lagging = "lagging",
    }
}

behavior! {
    /// Whether organization members show their `role`: answers of some years ago did not.
    MemberRoleField {
        /// Shown.
        Present = "present",
        /// Left out.
        Absent = "absent",
    }
}

behavior! {
    /// Whether the organization has the teams feature off, and what that looks like.
    TeamsDisabled {
        /// Teams are on.
        No = "no",
        /// The list is empty.
        Empty = "empty",
        /// Everything about teams is 403.
        Forbidden = "403",
        /// Everything about teams is 404.
        NotFound = "404",
    }
}

behavior! {
    /// Whether endpoints outside an organization carry its rate-limit headers, and count against it.
    OrganizationHeaders {
        /// They do not.
        Absent = "absent",
        /// They do.
        Present = "present",
    }
}

behavior! {
    /// How the seconds until a rate-limit window's reset are made whole.
    ResetRounding {
        /// Up.
        Ceil = "ceil",
        /// Down, so that the last second of a window says 0.
        Floor = "floor",
        /// To the nearest.
        Round = "round",
    }
}

behavior! {
    /// How a token's `expires_at` is written.
    ExpiresAt {
        /// `2025-07-16 06:07:42 UTC`, as the documentation prints it.
        SpaceUtc = "space-utc",
        /// `2025-07-16T06:07:42.000Z`.
        Iso = "iso",
        /// Null, also where it does expire.
        Null = "null",
        /// The field is missing.
        Absent = "absent",
    }
}

behavior! {
    /// Which callers may read `rate_limit`: the documentation names a scope that no token can have.
    RateLimitAccess {
        /// Those who may read the organization.
        ReadOrganizations = "read-organizations",
        /// Nobody: 403 names `read_accounts`.
        Refused = "403",
    }
}

/// How long a write stays hidden from reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriteLag {
    /// Not at all.
    #[default]
    None,
    /// For this many reads of that member, alone or in the team's list.
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
                given: text.to_owned(),
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

/// The sandbox's answer to every open question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behaviors {
    /// Paging of `teams`.
    pub team_paging: Paging,
    /// Paging of a team's `members`.
    pub team_member_paging: Paging,
    /// Paging of the organization's `members`.
    pub organization_member_paging: Paging,
    /// The most rows a page holds, however many are asked for.
    pub per_page_cap: u32,
    /// `Link` headers.
    pub link: Link,
    /// Order of lists.
    pub order: Order,
    /// Adding somebody who is there.
    pub post_existing: PostExisting,
    /// Adding somebody from outside.
    pub post_outsider: PostOutsider,
    /// Removing somebody who is not there.
    pub delete_absent: DeleteAbsent,
    /// Changing somebody who is not there.
    pub patch_absent: PatchAbsent,
    /// The last maintainer.
    pub last_maintainer: LastMaintainer,
    /// Bodies of successful writes.
    pub echo: Echo,
    /// `role` of organization members.
    pub member_role_field: MemberRoleField,
    /// The teams feature.
    pub teams_disabled: TeamsDisabled,
    /// Rate-limit headers outside the organization.
    pub organization_headers: OrganizationHeaders,
    /// Whole seconds of a reset.
    pub reset_rounding: ResetRounding,
    /// `expires_at` of tokens.
    pub expires_at: ExpiresAt,
    /// Who may read `rate_limit`.
    pub rate_limit_access: RateLimitAccess,
    /// When a write begins to show.
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
