//! The open questions about identity, members, teams and their members, and about all lists and limits.

use std::fmt;
use std::str::FromStr;

use super::{Behavior, UnknownBehavior};

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
