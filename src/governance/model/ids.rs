//! Ids as platforms store them: parsed once, printed always the same way.
//!
//! A platform keeps its configuration keyed on these strings, so they are byte-stable: `team:<uuid>:member` for an
//! entitlement and `<entitlement id>:user:<uuid>` for a grant (protocol reference, section 3).

use std::fmt;
use std::str::FromStr;

use crate::governance::ResourceKind;
use crate::providers::buildkite::{IdError, Role, TeamId, UserId};

/// A resource that we list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResourceId {
    /// A person.
    User(UserId),
    /// A team.
    Team(TeamId),
}

impl ResourceId {
    /// Reads a resource's type and id.
    ///
    /// # Errors
    /// One sentence about the part that is wrong.
    pub fn parse(kind: &str, id: &str) -> Result<Self, String> {
        match ResourceKind::from_id(kind) {
            Some(ResourceKind::User) => id.parse().map(Self::User).map_err(|error: IdError| error.to_string()),
            Some(ResourceKind::Team) => id.parse().map(Self::Team).map_err(|error: IdError| error.to_string()),
            None => Err(format!("a resource type is `user` or `team`, not `{}`", shown(kind))),
        }
    }
}

/// A role in a team, as something that can be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EntitlementId {
    /// The team.
    pub team: TeamId,
    /// The role in it.
    pub role: Role,
}

impl FromStr for EntitlementId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "an entitlement id is `team:<team uuid>:member` or `team:<team uuid>:maintainer`, not `{}`",
                shown(text)
            )
        };
        let rest = text.strip_prefix("team:").ok_or_else(wrong)?;
        let (team, role) = rest.split_once(':').ok_or_else(wrong)?;
        match (team.parse(), role.parse()) {
            (Ok(team), Ok(role)) => Ok(Self { team, role }),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for EntitlementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "team:{}:{}", self.team, self.role)
    }
}

/// Somebody's role in a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GrantId {
    /// What is held.
    pub entitlement: EntitlementId,
    /// Who holds it.
    pub user: UserId,
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:user:{}", self.entitlement, self.user)
    }
}

/// Whom a request is about: the user's UUID, or an e-mail address that is still to be resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A user.
    User(UserId),
    /// Whoever has this address.
    Email(String),
}

impl FromStr for Principal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(user) = text.parse() {
            return Ok(Self::User(user));
        }
        if email_address::EmailAddress::is_valid(text) {
            return Ok(Self::Email(text.to_owned()));
        }
        Err(format!(
            "a principal is a Buildkite user's UUID or e-mail address, not `{}`",
            shown(text)
        ))
    }
}

/// A caller's text as an error may repeat it: bounded and redacted.
fn shown(text: &str) -> String {
    crate::telemetry::redact::redact(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const TEAM: &str = "0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d";
    const USER: &str = "0298c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d";

    #[rstest]
    #[case(Role::Member, "member")]
    #[case(Role::Maintainer, "maintainer")]
    fn entitlement_and_grant_ids_are_the_conventional_strings(#[case] role: Role, #[case] slug: &str) {
        let entitlement = EntitlementId {
            team: TEAM.parse().unwrap(),
            role,
        };
        assert_eq!(entitlement.to_string(), format!("team:{TEAM}:{slug}"));
        assert_eq!(entitlement.to_string().parse(), Ok(entitlement));
        let grant = GrantId {
            entitlement,
            user: USER.parse().unwrap(),
        };
        assert_eq!(grant.to_string(), format!("team:{TEAM}:{slug}:user:{USER}"));
    }

    #[rstest]
    #[case("")]
    #[case("team")]
    #[case("team:")]
    #[case("team::member")]
    #[case("team:../../access-token:member")]
    #[case("team:0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d")]
    #[case("team:0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d:")]
    #[case("team:0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d:owner")]
    #[case("team:0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d:Member")]
    #[case("team:0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d:member:user:x")]
    #[case("user:0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d:member")]
    #[case(" team:0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d:member")]
    fn any_other_entitlement_id_is_refused(#[case] text: &str) {
        assert!(text.parse::<EntitlementId>().is_err());
    }

    #[rstest]
    #[case("user", TEAM, true)]
    #[case("team", TEAM, true)]
    #[case("pipeline", TEAM, false)]
    #[case("team", "../../access-token", false)]
    #[case("user", "", false)]
    #[case("", TEAM, false)]
    fn a_resource_is_a_user_or_a_team_with_a_uuid(#[case] kind: &str, #[case] id: &str, #[case] accepted: bool) {
        assert_eq!(ResourceId::parse(kind, id).is_ok(), accepted);
    }

    #[test]
    fn a_principal_is_a_uuid_or_an_address() {
        assert_eq!(USER.parse(), Ok(Principal::User(USER.parse().unwrap())));
        assert_eq!(
            "Ada@Example.com".parse(),
            Ok(Principal::Email("Ada@Example.com".into()))
        );
        for wrong in ["", "ada", "ada@", "../x", "ada@example.com\n"] {
            assert!(wrong.parse::<Principal>().is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parsers_panic_and_what_parses_prints_the_same(text in "\\PC{0,90}") {
            if let Ok(id) = text.parse::<EntitlementId>() {
                prop_assert_eq!(id.to_string(), text.to_ascii_lowercase());
            }
            let _ = text.parse::<Principal>();
            let _ = ResourceId::parse("team", &text);
        }
    }
}
