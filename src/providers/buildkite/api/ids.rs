//! The values that may appear in a URL path.
//!
//! They are parsed once, at the boundary, and cannot contain a slash, a dot segment or a query: a team id such as
//! `../../access-token` is rejected before any request is sent.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

/// Why a text is not an id, slug or role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is not a UUID in its 36-character form.
    #[error("{what} must be a UUID such as `01234567-89ab-cdef-0123-456789abcdef`")]
    NotUuid {
        /// What the text should have been, for instance `a team id`.
        what: &'static str,
    },
    /// The text is not an organization slug.
    #[error("an organization slug holds letters, digits, `-`, `_` and `.` only, as in `https://buildkite.com/<slug>`")]
    NotSlug,
    /// The text is not a pipeline slug.
    #[error(
        "a pipeline slug holds letters, digits, `-`, `_` and `.` only, as in `https://buildkite.com/<organization>/<slug>`"
    )]
    NotPipelineSlug,
    /// The text is not a team role.
    #[error("a team role is `member` or `maintainer`")]
    NotRole,
}

/// Parses the hyphenated form only: Buildkite never prints the other forms that the `uuid` crate accepts (braces,
/// URN, no hyphens), and a store would treat two spellings of one id as two ids.
fn hyphenated(text: &str, what: &'static str) -> Result<Uuid, IdError> {
    match Uuid::try_parse(text) {
        Ok(uuid) if text.len() == uuid::fmt::Hyphenated::LENGTH => Ok(uuid),
        _ => Err(IdError::NotUuid { what }),
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub struct $name(Uuid);

        impl $name {
            /// The id as a UUID.
            #[must_use]
            pub fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                hyphenated(text, $what).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

uuid_id!(
    /// A Buildkite team, by its UUID (REST addresses teams by nothing else).
    TeamId,
    "a team id"
);
uuid_id!(
    /// A Buildkite user, by the user's UUID: the same value in team members and organization members.
    UserId,
    "a user id"
);
uuid_id!(
    /// A Buildkite organization, by its UUID.
    OrganizationId,
    "an organization id"
);
uuid_id!(
    /// A pipeline, by its UUID.
    PipelineId,
    "a pipeline id"
);
uuid_id!(
    /// A test suite, by its UUID.
    SuiteId,
    "a suite id"
);
uuid_id!(
    /// A package registry, by its UUID.
    RegistryId,
    "a registry id"
);
uuid_id!(
    /// A cluster, by its UUID.
    ClusterId,
    "a cluster id"
);
uuid_id!(
    /// A maintainer's row of a cluster, by its UUID: neither that of the user nor that of the team.
    MaintainerId,
    "a maintainer id"
);
uuid_id!(
    /// An invitation to the organization, by its UUID.
    InvitationId,
    "an invitation id"
);

/// The slug of an organization. Case is preserved, because Buildkite slugs are case-sensitive.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OrganizationSlug(String);

/// Longer than any slug of Buildkite, and short enough for a URL.
const MAX_SLUG_BYTES: usize = 255;

impl OrganizationSlug {
    /// The slug as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OrganizationSlug {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        is_slug(text).then(|| Self(text.to_owned())).ok_or(IdError::NotSlug)
    }
}

/// Whether the text is one segment of a path that needs no encoding.
fn is_slug(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let only_dots = text.chars().all(|c| c == '.');
    text.len() <= MAX_SLUG_BYTES && !only_dots && text.chars().all(plain)
}

impl fmt::Display for OrganizationSlug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The slug of a pipeline, suite or registry in a row of Buildkite, by which REST addresses it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectSlug(String);

impl ObjectSlug {
    /// The slug, if it is one segment of a path.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        is_slug(text).then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for ObjectSlug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The slug of a pipeline, by which REST addresses it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PipelineSlug(String);

impl FromStr for PipelineSlug {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        is_slug(text)
            .then(|| Self(text.to_owned()))
            .ok_or(IdError::NotPipelineSlug)
    }
}

impl fmt::Display for PipelineSlug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The role of a team member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Has the access of the team.
    Member,
    /// Can also change the members of the team.
    Maintainer,
}

impl Role {
    /// Both roles, the weaker one first.
    pub const ALL: [Self; 2] = [Self::Member, Self::Maintainer];

    /// The role as spelled in the REST API and in entitlement slugs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Maintainer => "maintainer",
        }
    }
}

impl FromStr for Role {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(IdError::NotRole)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const UUID: &str = "0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d";

    #[test]
    fn a_hyphenated_uuid_is_an_id_and_prints_as_it_was() {
        assert_eq!(UUID.parse::<TeamId>().unwrap().to_string(), UUID);
        assert_eq!(UUID.parse::<UserId>().unwrap().to_string(), UUID);
    }

    #[rstest]
    #[case("")]
    #[case("../../access-token")]
    #[case("0198c3f27d5e4a1b8c9d0e1f2a3b4c5d")]
    #[case("{0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d}")]
    #[case("urn:uuid:0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d")]
    #[case("0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5g")]
    #[case("0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d/")]
    #[case(" 0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d")]
    fn any_other_text_is_rejected_as_an_id(#[case] text: &str) {
        assert_eq!(text.parse::<TeamId>(), Err(IdError::NotUuid { what: "a team id" }));
        assert_eq!(text.parse::<UserId>(), Err(IdError::NotUuid { what: "a user id" }));
    }

    #[rstest]
    #[case("acme")]
    #[case("Acme-Inc")]
    #[case("a.b_c-9")]
    fn a_slug_keeps_its_case(#[case] text: &str) {
        assert_eq!(text.parse::<OrganizationSlug>().unwrap().as_str(), text);
    }

    #[rstest]
    #[case("")]
    #[case(".")]
    #[case("..")]
    #[case("acme/teams")]
    #[case("acme?x=1")]
    #[case("acme%2f")]
    #[case("acme inc")]
    #[case("acmé")]
    fn a_slug_that_could_change_the_path_is_rejected(#[case] text: &str) {
        assert_eq!(text.parse::<OrganizationSlug>(), Err(IdError::NotSlug));
    }

    #[test]
    fn roles_are_spelt_in_lower_case_only() {
        assert_eq!("member".parse(), Ok(Role::Member));
        assert_eq!("maintainer".parse(), Ok(Role::Maintainer));
        assert_eq!("MEMBER".parse::<Role>(), Err(IdError::NotRole));
        assert_eq!("".parse::<Role>(), Err(IdError::NotRole));
    }

    proptest! {
        #[test]
        fn no_text_that_parses_can_leave_its_path_segment(text in "\\PC{0,60}") {
            let held = [
                text.parse::<TeamId>().ok().map(|id| id.to_string()),
                text.parse::<OrganizationSlug>().ok().map(|slug| slug.to_string()),
            ];
            for segment in held.into_iter().flatten() {
                prop_assert!(!segment.contains(['/', '?', '#', '%', '\\', ' ']));
                prop_assert!(segment != "." && segment != "..");
            }
        }

        #[test]
        fn every_uuid_survives_the_round_trip(bytes in any::<[u8; 16]>()) {
            let text = Uuid::from_bytes(bytes).to_string();
            prop_assert_eq!(text.parse::<TeamId>().unwrap().to_string(), text);
        }
    }
}
