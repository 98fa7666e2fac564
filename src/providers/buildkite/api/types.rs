//! The rows and records that Buildkite answers with (reference, section 2).
//!
//! Only an id is insisted on: without it a row cannot be told from another, and leaving it out would lie. Everything else
//! may be absent, null or of an unknown value, and unknown fields are skipped. Times stay the text that Buildkite wrote,
//! because what they are compared for is identity; whoever shows one parses it.

use serde::{Deserialize, Deserializer};

use super::endpoint::Scope;
use super::ids::{Role, TeamId, UserId};

/// `GET /v2/access-token`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AccessToken {
    /// What the token may do. Kept as text: Buildkite adds scopes, and prints some that are in no catalogue.
    pub scopes: Vec<String>,
    /// What its owner wrote about it.
    #[serde(default, deserialize_with = "text")]
    pub description: Option<String>,
    /// When it ends; none means never.
    #[serde(default, deserialize_with = "text")]
    pub expires_at: Option<String>,
    /// Whose it is, without an id.
    #[serde(default, deserialize_with = "tolerant")]
    pub user: Option<TokenUser>,
}

impl AccessToken {
    /// Whether the token's own record leaves the scope out.
    #[must_use]
    pub fn lacks(&self, scope: Scope) -> bool {
        !self.scopes.iter().any(|granted| granted == scope.as_str())
    }
}

/// The owner as the token's record names them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TokenUser {
    /// Display name.
    #[serde(default, deserialize_with = "text")]
    pub name: Option<String>,
    /// E-mail address.
    #[serde(default, deserialize_with = "text")]
    pub email: Option<String>,
}

/// `GET /v2/user`: the token's owner, with the id.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CurrentUser {
    /// The user.
    pub id: UserId,
    /// Display name.
    #[serde(default, deserialize_with = "text")]
    pub name: Option<String>,
    /// E-mail address.
    #[serde(default, deserialize_with = "text")]
    pub email: Option<String>,
}

/// `GET /v2/organizations/{slug}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Organization {
    /// The slug, as Buildkite writes it.
    pub slug: String,
    /// Display name.
    #[serde(default, deserialize_with = "text")]
    pub name: Option<String>,
}

/// A person of the organization.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OrganizationMember {
    /// The user.
    pub id: UserId,
    /// Display name; not unique, may be missing.
    #[serde(default, deserialize_with = "text")]
    pub name: Option<String>,
    /// E-mail address in the case that was typed.
    #[serde(default, deserialize_with = "text")]
    pub email: Option<String>,
    /// `admin` or `member`; older answers lack it, which says nothing.
    #[serde(default, deserialize_with = "text")]
    pub role: Option<String>,
    /// `required` or `optional`; shown to admins only.
    #[serde(default, deserialize_with = "text")]
    pub sso_mode: Option<String>,
}

/// A team.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Team {
    /// The team.
    pub id: TeamId,
    /// Display name.
    #[serde(default, deserialize_with = "text")]
    pub name: Option<String>,
    /// The last part of its page's address; no address in REST.
    #[serde(default, deserialize_with = "text")]
    pub slug: Option<String>,
    /// What it is for.
    #[serde(default, deserialize_with = "text")]
    pub description: Option<String>,
    /// `visible` or `secret`.
    #[serde(default, deserialize_with = "text")]
    pub privacy: Option<String>,
    /// Whether whoever joins the organization is put into it.
    #[serde(default, rename = "default", deserialize_with = "tolerant")]
    pub is_default: Option<bool>,
    /// When it was made, as Buildkite wrote it.
    #[serde(default, deserialize_with = "text")]
    pub created_at: Option<String>,
}

/// A member of a team.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TeamMember {
    /// The user.
    pub user_id: UserId,
    /// Display name; not unique, may be missing.
    #[serde(default, deserialize_with = "text")]
    pub user_name: Option<String>,
    /// The role that is held.
    #[serde(default)]
    pub role: ListedRole,
    /// When this membership began, as Buildkite wrote it: removed and added again is another time.
    #[serde(default, deserialize_with = "text")]
    pub created_at: Option<String>,
}

/// A role as a member row gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListedRole {
    /// One of the two that we govern.
    Known(Role),
    /// One that Buildkite may have added since, or none at all (empty).
    Unknown(Box<str>),
}

impl ListedRole {
    /// The role, where it is one that we govern.
    #[must_use]
    pub fn known(&self) -> Option<Role> {
        match self {
            Self::Known(role) => Some(*role),
            Self::Unknown(_) => None,
        }
    }
}

impl Default for ListedRole {
    fn default() -> Self {
        Self::Unknown("".into())
    }
}

impl<'de> Deserialize<'de> for ListedRole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = text(deserializer)?.unwrap_or_default();
        Ok(text.parse().map_or_else(|_| Self::Unknown(text.into()), Self::Known))
    }
}

/// A value of the expected type, or none for anything else, null included.
fn tolerant<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either<T> {
        Expected(T),
        Other(serde::de::IgnoredAny),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::Expected(value) => Some(value),
        Either::Other(_) => None,
    })
}

/// A text that says something: null, another type and the empty text are none.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(tolerant::<D, String>(deserializer)?.filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    const ID: &str = "0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d";

    #[rstest]
    #[case(json!({"id": ID}))]
    #[case(json!({"id": ID, "name": null, "slug": null, "description": null, "privacy": null, "default": null, "created_at": null}))]
    #[case(json!({"id": ID, "name": 1, "slug": [], "description": {}, "privacy": true, "default": "yes", "created_at": 5}))]
    #[case(json!({"id": ID, "name": "", "description": "", "created_by": {}, "x": [[{}]]}))]
    fn a_team_needs_nothing_but_its_id(#[case] row: serde_json::Value) {
        let team: Team = serde_json::from_value(row).unwrap();
        assert_eq!(team.id.to_string(), ID);
        assert_eq!((team.name, team.is_default, team.created_at), (None, None, None));
    }

    #[rstest]
    #[case(json!({}))]
    #[case(json!({"id": null}))]
    #[case(json!({"id": 5}))]
    #[case(json!({"id": "../../access-token"}))]
    fn a_row_without_a_proper_id_is_refused(#[case] row: serde_json::Value) {
        assert!(serde_json::from_value::<Team>(row.clone()).is_err());
        assert!(serde_json::from_value::<OrganizationMember>(row).is_err());
    }

    #[rstest]
    #[case(json!("member"), ListedRole::Known(Role::Member))]
    #[case(json!("maintainer"), ListedRole::Known(Role::Maintainer))]
    #[case(json!("owner"), ListedRole::Unknown("owner".into()))]
    #[case(json!(null), ListedRole::Unknown("".into()))]
    #[case(json!(7), ListedRole::Unknown("".into()))]
    fn a_role_of_tomorrow_survives_as_text(#[case] role: serde_json::Value, #[case] expected: ListedRole) {
        let row: TeamMember = serde_json::from_value(json!({"user_id": ID, "role": role})).unwrap();
        assert_eq!(row.role, expected);
    }

    #[test]
    fn older_tokens_have_scopes_alone() {
        let token: AccessToken =
            serde_json::from_value(json!({"uuid": ID, "scopes": ["read_teams", "read_build"]})).unwrap();
        assert_eq!(token.scopes, ["read_teams", "read_build"]);
        assert_eq!((token.user, token.expires_at), (None, None));
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(|value| json!(value)),
            any::<f64>().prop_map(|value| json!(value)),
            "\\PC{0,12}".prop_map(|value| json!(value)),
            Just(json!(ID)),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(|values| json!(values)),
                proptest::collection::hash_map("[a-z_]{1,8}", inner, 0..4).prop_map(|fields| json!(fields)),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_row_with_an_id_is_read_whatever_its_other_fields_hold(
            fields in proptest::collection::hash_map(
                prop_oneof![
                    Just("name"), Just("email"), Just("role"), Just("sso_mode"), Just("slug"), Just("description"),
                    Just("privacy"), Just("default"), Just("created_at"), Just("user_name"), Just("created_by"), Just("x"),
                ],
                any_json(),
                0..12,
            ),
        ) {
            let mut row = json!(fields);
            row["id"] = json!(ID);
            row["user_id"] = json!(ID);
            let body = row.to_string();
            prop_assert!(serde_json::from_str::<Team>(&body).is_ok());
            prop_assert!(serde_json::from_str::<TeamMember>(&body).is_ok());
            prop_assert!(serde_json::from_str::<OrganizationMember>(&body).is_ok());
            prop_assert!(serde_json::from_str::<CurrentUser>(&body).is_ok());
        }

        #[test]
        fn no_body_makes_its_reader_panic(body in any_json()) {
            let body = body.to_string();
            let _ = serde_json::from_str::<Vec<Team>>(&body);
            let _ = serde_json::from_str::<Vec<TeamMember>>(&body);
            let _ = serde_json::from_str::<Vec<OrganizationMember>>(&body);
            let _ = serde_json::from_str::<Organization>(&body);
            let _ = serde_json::from_str::<AccessToken>(&body);
        }
    }
}
