//! The resource types of a provider: what the ids in a request are parsed against.

use std::str::FromStr;

use uuid::Uuid;

use super::ids::{EntitlementId, Principal, ResourceId};
use super::resource_type::{ResourceKind, ResourceTypeInfo};
use crate::telemetry::redact::redact;

/// The resource types of a provider, in the order in which they are listed.
#[derive(Debug, Clone)]
pub struct Catalog {
    types: Vec<&'static ResourceTypeInfo>,
}

impl Catalog {
    /// A catalog of these types.
    #[must_use]
    pub fn new(types: Vec<&'static ResourceTypeInfo>) -> Self {
        Self { types }
    }

    /// Every type, in order.
    #[must_use]
    pub fn types(&self) -> &[&'static ResourceTypeInfo] {
        &self.types
    }

    /// The types whose resources can hold a level of `resource_type`.
    pub fn principals_of(&self, resource_type: &ResourceTypeInfo) -> impl Iterator<Item = &'static ResourceTypeInfo> {
        let kinds = resource_type.principal_kinds;
        let types = self.types.iter().copied();
        types.filter(move |known| kinds.contains(&known.kind))
    }

    /// The types of a kind.
    pub fn of_kind(&self, kind: ResourceKind) -> impl Iterator<Item = &'static ResourceTypeInfo> {
        let types = self.types.iter().copied();
        types.filter(move |known| known.kind == kind)
    }

    /// The type with this id.
    ///
    /// # Errors
    /// One sentence that names the types that exist.
    pub fn resource_type(&self, id: &str) -> Result<&'static ResourceTypeInfo, String> {
        self.find(id)
            .ok_or_else(|| format!("a resource type is {}", self.type_names()))
    }

    /// Parses a resource's type and id.
    ///
    /// # Errors
    /// One sentence about the part that is wrong.
    pub fn resource(&self, resource_type: &str, id: &str) -> Result<ResourceId, String> {
        let resource_type = self.find(resource_type).ok_or_else(|| {
            format!(
                "a resource type is {}, not `{}`",
                self.type_names(),
                redact(resource_type)
            )
        })?;
        let id = hyphenated(id).ok_or_else(|| {
            format!("a {resource_type} id must be a UUID such as `01234567-89ab-cdef-0123-456789abcdef`")
        })?;
        Ok(ResourceId { resource_type, id })
    }

    /// Parses an entitlement id such as `team:<uuid>:member`.
    ///
    /// # Errors
    /// One sentence that shows the forms that are accepted.
    pub fn entitlement(&self, text: &str) -> Result<EntitlementId, String> {
        let parse = || {
            let (resource_type, rest) = text.split_once(':')?;
            let (id, slug) = rest.split_once(':')?;
            let resource = self.resource(resource_type, id).ok()?;
            let level = resource.resource_type.level(slug)?;
            Some(EntitlementId { resource, level })
        };
        parse().ok_or_else(|| {
            format!(
                "an entitlement id is {}, not `{}`",
                self.entitlement_forms(),
                redact(text)
            )
        })
    }

    /// Parses a principal: the id of a user, or an e-mail address.
    ///
    /// # Errors
    /// One sentence that shows the forms that are accepted.
    pub fn principal(&self, text: &str) -> Result<Principal, String> {
        if let (Some(resource_type), Some(id)) = (self.of_kind(ResourceKind::User).next(), hyphenated(text)) {
            return Ok(Principal::Resource(ResourceId { resource_type, id }));
        }
        if email_address::EmailAddress::is_valid(text) {
            return Ok(Principal::Email(text.to_owned()));
        }
        Err(format!(
            "a principal is a Buildkite user's UUID or e-mail address, not `{}`",
            redact(text)
        ))
    }

    fn find(&self, id: &str) -> Option<&'static ResourceTypeInfo> {
        self.types.iter().copied().find(|known| known.id == id)
    }

    fn type_names(&self) -> String {
        alternatives(self.types.iter().map(|known| format!("`{known}`")))
    }

    fn entitlement_forms(&self) -> String {
        alternatives(self.types.iter().flat_map(|known| {
            let form = move |level| format!("`{known}:<{known} uuid>:{level}`");
            known.levels.iter().map(form)
        }))
    }
}

/// `a`, `a or b`, `a, b or c`.
fn alternatives(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    match items.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// Accepts only the hyphenated form: a platform stores ids as text, so two spellings would be two ids.
fn hyphenated(text: &str) -> Option<Uuid> {
    let parsed = Uuid::from_str(text).ok()?;
    (text.len() == uuid::fmt::Hyphenated::LENGTH).then_some(parsed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::governance::model::examples::{self, MAINTAINER, MEMBER};
    use crate::governance::model::{GrantId, Level};

    const TEAM: &str = "0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d";
    const USER: &str = "0298c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d";

    fn catalog() -> Catalog {
        Catalog::new(vec![&examples::USER, &examples::GROUP])
    }

    fn user() -> ResourceId {
        catalog().resource("user", USER).unwrap()
    }

    #[rstest]
    #[case(MEMBER, "member")]
    #[case(MAINTAINER, "maintainer")]
    fn entitlement_and_grant_ids_are_the_conventional_strings(#[case] level: &'static Level, #[case] slug: &str) {
        let entitlement = EntitlementId {
            resource: catalog().resource("team", TEAM).unwrap(),
            level,
        };
        assert_eq!(entitlement.to_string(), format!("team:{TEAM}:{slug}"));
        assert_eq!(catalog().entitlement(&entitlement.to_string()), Ok(entitlement));
        let grant = GrantId {
            entitlement,
            principal: user(),
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
        assert!(catalog().entitlement(text).is_err());
    }

    #[rstest]
    #[case("user", TEAM, true)]
    #[case("team", TEAM, true)]
    #[case("pipeline", TEAM, false)]
    #[case("team", "../../access-token", false)]
    #[case("user", "", false)]
    #[case("", TEAM, false)]
    fn a_resource_is_a_user_or_a_team_with_a_uuid(#[case] kind: &str, #[case] id: &str, #[case] accepted: bool) {
        assert_eq!(catalog().resource(kind, id).is_ok(), accepted);
    }

    #[test]
    fn a_principal_is_a_uuid_or_an_address() {
        assert_eq!(catalog().principal(USER), Ok(Principal::Resource(user())));
        assert_eq!(
            catalog().principal("Ada@Example.com"),
            Ok(Principal::Email("Ada@Example.com".into()))
        );
        for wrong in ["", "ada", "ada@", "../x", "ada@example.com\n"] {
            assert!(catalog().principal(wrong).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parsers_panic_and_what_parses_prints_the_same(text in "\\PC{0,90}") {
            if let Ok(id) = catalog().entitlement(&text) {
                prop_assert_eq!(id.to_string(), text.to_ascii_lowercase());
            }
            let _ = catalog().principal(&text);
            let _ = catalog().resource("team", &text);
        }
    }
}
