//! The response types of the REST API (reference, section 2).
//!
//! Only the id is required: without it a row cannot be identified, and omitting the row would misreport access. Every
//! other field may be absent, null or of an unknown value, and unknown fields are ignored. Times keep the text that
//! Buildkite wrote, because they are compared for identity; code that displays a time parses it.

use serde::{Deserialize, Deserializer};

use super::ids::{OrganizationId, Role, TeamId, UserId};

/// `GET /v2/access-token`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AccessToken {
    /// The scopes of the token, as text: Buildkite adds scopes, and returns some that are not documented.
    pub scopes: Vec<String>,
    /// The description by the owner.
    #[serde(default, deserialize_with = "text")]
    pub description: Option<String>,
    /// When the token expires; `None` means never.
    #[serde(default, deserialize_with = "text")]
    pub expires_at: Option<String>,
    /// The owner, without an id.
    #[serde(default, deserialize_with = "tolerant")]
    pub user: Option<TokenUser>,
}

impl AccessToken {
    /// Whether the token lacks the scope.
    #[must_use]
    pub fn lacks(&self, scope: impl AsRef<str>) -> bool {
        !self.scopes.iter().any(|granted| granted == scope.as_ref())
    }
}

/// The owner as named by `GET /v2/access-token`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TokenUser {
    /// Display name.
    #[serde(default, deserialize_with = "text")]
    pub name: Option<String>,
    /// E-mail address.
    #[serde(default, deserialize_with = "text")]
    pub email: Option<String>,
}

/// `GET /v2/user`: the owner of the token, with the id.
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
    /// The organization; a response without an id is enough for everything but the list of organizations.
    #[serde(default, deserialize_with = "tolerant")]
    pub id: Option<OrganizationId>,
    /// The slug as spelled by Buildkite.
    pub slug: String,
    /// Display name.
    #[serde(default, deserialize_with = "text")]
    pub name: Option<String>,
}

/// A member of the organization.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OrganizationMember {
    /// The user.
    pub id: UserId,
    /// Display name; not unique, may be missing.
    #[serde(default, deserialize_with = "text")]
    pub name: Option<String>,
    /// E-mail address in its original case.
    #[serde(default, deserialize_with = "text")]
    pub email: Option<String>,
    /// `admin` or `member`; absent in older responses, which implies neither.
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
    /// The last segment of the URL of its web page; not used in REST paths.
    #[serde(default, deserialize_with = "text")]
    pub slug: Option<String>,
    /// Description.
    #[serde(default, deserialize_with = "text")]
    pub description: Option<String>,
    /// `visible` or `secret`.
    #[serde(default, deserialize_with = "text")]
    pub privacy: Option<String>,
    /// Whether new members of the organization are added to it.
    #[serde(default, rename = "default", deserialize_with = "tolerant")]
    pub is_default: Option<bool>,
    /// The role of people who are added without one.
    #[serde(default, deserialize_with = "text")]
    pub default_member_role: Option<String>,
    /// Creation time as Buildkite wrote it.
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
    /// The role.
    #[serde(default)]
    pub role: ListedRole,
    /// Start of the membership as Buildkite wrote it; it changes when a member is removed and added again.
    #[serde(default, deserialize_with = "text")]
    pub created_at: Option<String>,
}

/// The role of a member row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListedRole {
    /// A known role.
    Known(Role),
    /// A role that this release does not know, or an absent role (empty).
    Unknown(Box<str>),
}

impl ListedRole {
    /// The role, if it is known.
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

/// A value of the expected type; `None` for any other value, including null.
pub(super) fn tolerant<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
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

/// A non-empty text; `None` for null, another type or an empty text.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
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
    fn a_team_requires_only_its_id(#[case] row: serde_json::Value) {
        let team: Team = serde_json::from_value(row).unwrap();
        assert_eq!(team.id.to_string(), ID);
        assert_eq!((team.name, team.is_default, team.created_at), (None, None, None));
    }

    #[rstest]
    #[case(json!({}))]
    #[case(json!({"id": null}))]
    #[case(json!({"id": 5}))]
    #[case(json!({"id": "../../access-token"}))]
    fn a_row_without_a_valid_id_is_rejected(#[case] row: serde_json::Value) {
        assert!(serde_json::from_value::<Team>(row.clone()).is_err());
        assert!(serde_json::from_value::<OrganizationMember>(row).is_err());
    }

    #[rstest]
    #[case(json!("member"), ListedRole::Known(Role::Member))]
    #[case(json!("maintainer"), ListedRole::Known(Role::Maintainer))]
    #[case(json!("owner"), ListedRole::Unknown("owner".into()))]
    #[case(json!(null), ListedRole::Unknown("".into()))]
    #[case(json!(7), ListedRole::Unknown("".into()))]
    fn an_unknown_role_is_kept_as_text(#[case] role: serde_json::Value, #[case] expected: ListedRole) {
        let row: TeamMember = serde_json::from_value(json!({"user_id": ID, "role": role})).unwrap();
        assert_eq!(row.role, expected);
    }

    #[test]
    fn older_tokens_have_only_scopes() {
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
        fn a_row_with_an_id_is_parsed_for_any_other_fields(
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
        fn no_body_makes_the_parser_panic(body in any_json()) {
            let body = body.to_string();
            let _ = serde_json::from_str::<Vec<Team>>(&body);
            let _ = serde_json::from_str::<Vec<TeamMember>>(&body);
            let _ = serde_json::from_str::<Vec<OrganizationMember>>(&body);
            let _ = serde_json::from_str::<Organization>(&body);
            let _ = serde_json::from_str::<AccessToken>(&body);
        }
    }
}
