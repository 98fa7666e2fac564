//! The open questions about pipelines, suites, invitations, builds and the audit log.

use std::fmt;
use std::str::FromStr;

use super::{Behavior, UnknownBehavior};

behavior! {
    /// The path that adds a suite to a team: the documentation and Buildkite's own client disagree.
    SuitePostPath {
        /// `POST …/suites`; the other path is not found.
        Plural = "suites",
        /// `POST …/suite`; the other path is not found.
        Singular = "suite",
    }
}

behavior! {
    /// The form of the `access_level` of a team's suite.
    SuiteLevels {
        /// An array, whose order differs from one response to the next.
        Array = "array",
        /// The highest level alone.
        Scalar = "scalar",
    }
}

behavior! {
    /// The `access_level` in the response to `POST` of a team's pipeline.
    CreatedLevel {
        /// The level that was written.
        Written = "written",
        /// `read`, as in an example of the documentation, although no such level exists.
        Read = "read",
    }
}

behavior! {
    /// The response body of a `POST` or `PATCH` of a team.
    TeamEcho {
        /// The team.
        Full = "full",
        /// The request, without the team's id, as the documentation prints it.
        Request = "request",
    }
}

behavior! {
    /// The body of invitations and audit events, whose pages have cursors.
    CursorBody {
        /// `items` and `links`.
        Envelope = "envelope",
        /// A bare array, as an older page of the documentation prints it.
        Array = "array",
    }
}

behavior! {
    /// Whether people sign in to the organization through its identity provider. An invitation must name an `sso_mode`
    /// exactly if they do.
    SingleSignOn {
        /// No.
        Off = "off",
        /// Yes.
        On = "on",
    }
}

behavior! {
    /// `POST invitations` for an address with a pending invitation.
    InviteAgain {
        /// 422.
        Unprocessable = "422",
        /// 201 with a second invitation.
        Created = "201",
    }
}

behavior! {
    /// The body of a 422 to `POST builds`.
    BuildErrorBody {
        /// `message` and `errors`, which name the fields.
        Errors = "errors",
        /// `message` only.
        Message = "message",
    }
}

behavior! {
    /// Whether a list of builds applies the `meta_data` filter.
    MetaDataFilter {
        /// Yes.
        Applied = "applied",
        /// No.
        Ignored = "ignored",
    }
}

behavior! {
    /// Whether a feature that depends on the plan is available, and how it shows if it is not.
    FeatureAccess {
        /// It is available.
        Available = "available",
        /// Its endpoints return 403.
        Forbidden = "403",
        /// Its endpoints return 404.
        NotFound = "404",
    }
}
