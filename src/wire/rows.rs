//! What is listed, as rows of the wire. Texts are brought within the contract's limits here; ids never need it.

use std::fmt::Display;

use prost::Name;
use prost_types::{Any, Struct, Timestamp, Value, value::Kind};
use url::Url;

use super::email;
use crate::governance::{EntitlementId, EntitlementTexts, GrantId, ResourceKind, TeamGrant};
use crate::proto::c1::connector::v2::{
    Entitlement, EntitlementExclusionGroup, ExternalLink, Grant, GroupTrait, Resource, ResourceId, ResourceType,
    SkipEntitlementsAndGrants, Status, UserTrait, entitlement, resource_type, status, user_trait,
};
use crate::providers::buildkite::{OrganizationMember, Team, TeamId, UserId, timestamp};

/// Bytes of a display name, and of a description (protocol reference, section 6).
const LONGEST_NAME: usize = 1024;
const LONGEST_DESCRIPTION: usize = 2048;

pub(crate) fn annotation<M: Name>(message: &M) -> Any {
    Any {
        type_url: M::type_url(),
        value: message.encode_to_vec(),
    }
}

pub(crate) fn resource_type(kind: ResourceKind) -> ResourceType {
    let (r#trait, annotations) = match kind {
        ResourceKind::User => (
            resource_type::Trait::User,
            vec![annotation(&SkipEntitlementsAndGrants {})],
        ),
        ResourceKind::Team => (resource_type::Trait::Group, vec![]),
    };
    ResourceType {
        id: kind.id().to_owned(),
        display_name: kind.display_name().to_owned(),
        traits: vec![r#trait.into()],
        annotations,
        description: kind.description().to_owned(),
        sourced_externally: false,
    }
}

pub(crate) fn user(person: OrganizationMember) -> Resource {
    let OrganizationMember {
        id,
        name,
        email,
        role,
        sso_mode,
    } = person;
    let address = email.as_deref().filter(|address| email::is_accepted(address));
    // An address that the protocol refuses is still known: it is kept where nothing is checked.
    let refused = email.as_deref().filter(|_| address.is_none());
    let refused = refused.map(|email| shortened(email, LONGEST_NAME));
    let known = [("organization_role", role), ("sso_mode", sso_mode), ("email", refused)];
    let profile = profile(
        known
            .into_iter()
            .filter_map(|(key, value)| Some((key, Kind::StringValue(value?)))),
    );
    Resource {
        id: Some(user_id(id)),
        display_name: name_of([name.as_deref(), email.as_deref()], id),
        annotations: vec![
            annotation(&user_trait(address, email.as_deref(), profile.clone())),
            annotation(&SkipEntitlementsAndGrants {}),
        ],
        profile: Some(profile),
        status: Some(Status {
            status: status::ResourceStatus::Enabled.into(),
            details: String::new(),
        }),
        ..Default::default()
    }
}

/// The trait of a user. Older readers look for status and profile here, and not in the resource.
#[allow(deprecated)]
fn user_trait(address: Option<&str>, login: Option<&str>, profile: Struct) -> UserTrait {
    let address = address.map(|address| user_trait::Email {
        address: address.to_owned(),
        is_primary: true,
    });
    UserTrait {
        emails: address.into_iter().collect(),
        status: Some(user_trait::Status {
            status: user_trait::status::Status::Enabled.into(),
            details: String::new(),
        }),
        profile: Some(profile),
        account_type: user_trait::AccountType::Human.into(),
        login: shortened(login.unwrap_or_default(), LONGEST_NAME),
        ..Default::default()
    }
}

pub(crate) fn team(team: Team, organization: &str) -> Resource {
    let Team {
        id,
        name,
        slug,
        description,
        privacy,
        is_default,
        created_at,
    } = team;
    let texts = [
        ("slug", slug.clone()),
        ("privacy", privacy),
        ("description", description.clone()),
    ];
    let known = texts
        .into_iter()
        .filter_map(|(key, value)| Some((key, Kind::StringValue(value?))));
    let profile = profile(known.chain(is_default.map(|is_default| ("default", Kind::BoolValue(is_default)))));
    let mut annotations = vec![annotation(&group_trait(profile.clone()))];
    annotations.extend(
        slug.as_deref()
            .and_then(|slug| page(organization, slug))
            .map(|url| annotation(&ExternalLink { url })),
    );
    Resource {
        id: Some(team_id(id)),
        display_name: name_of([name.as_deref(), slug.as_deref()], id),
        annotations,
        description: shortened(description.as_deref().unwrap_or_default(), LONGEST_DESCRIPTION),
        profile: Some(profile),
        created_at: created_at.as_deref().and_then(timestamp).map(|at| Timestamp {
            seconds: at.as_second(),
            nanos: at.subsec_nanosecond(),
        }),
        ..Default::default()
    }
}

/// The trait of a team. Older readers look for the profile here, and not in the resource.
#[allow(deprecated)]
fn group_trait(profile: Struct) -> GroupTrait {
    GroupTrait {
        profile: Some(profile),
        ..Default::default()
    }
}

pub(crate) fn entitlement(team: &Resource, id: EntitlementId) -> Entitlement {
    let named = name_of([Some(team.display_name.as_str())], id.team);
    let texts = EntitlementTexts::of(id.role, &named);
    let group = EntitlementExclusionGroup {
        exclusion_group_id: format!("team:{}", id.team),
        order: texts.order,
        is_default: false,
        scope_to_resource: false,
    };
    Entitlement {
        resource: Some(Resource {
            id: Some(team_id(id.team)),
            display_name: team.display_name.clone(),
            ..Default::default()
        }),
        id: id.to_string(),
        display_name: shortened(&texts.display_name, LONGEST_NAME),
        description: shortened(&texts.description, LONGEST_DESCRIPTION),
        grantable_to: vec![resource_type(ResourceKind::User)],
        annotations: vec![annotation(&group)],
        purpose: entitlement::PurposeValue::Assignment.into(),
        slug: id.role.to_string(),
    }
}

pub(crate) fn grant(team: TeamId, holder: &TeamGrant) -> Grant {
    let id = GrantId {
        entitlement: EntitlementId {
            team,
            role: holder.role,
        },
        user: holder.user,
    };
    grant_of(id, name_of([holder.name.as_deref()], holder.user))
}

/// A grant by its id; the principal's name may be empty where nothing tells it.
pub(crate) fn grant_of(id: GrantId, principal_name: String) -> Grant {
    Grant {
        entitlement: Some(Entitlement {
            resource: Some(Resource {
                id: Some(team_id(id.entitlement.team)),
                ..Default::default()
            }),
            id: id.entitlement.to_string(),
            slug: id.entitlement.role.to_string(),
            ..Default::default()
        }),
        principal: Some(Resource {
            id: Some(user_id(id.user)),
            display_name: principal_name,
            ..Default::default()
        }),
        id: id.to_string(),
        ..Default::default()
    }
}

/// Both entitlements of a team.
fn user_id(id: UserId) -> ResourceId {
    resource_id(ResourceKind::User, id.to_string())
}

fn team_id(id: TeamId) -> ResourceId {
    resource_id(ResourceKind::Team, id.to_string())
}

fn resource_id(kind: ResourceKind, resource: String) -> ResourceId {
    ResourceId {
        resource_type: kind.id().to_owned(),
        resource,
        baton_resource: false,
    }
}

fn profile(fields: impl Iterator<Item = (&'static str, Kind)>) -> Struct {
    let fields = fields
        .map(|(key, kind)| (key.to_owned(), Value { kind: Some(kind) }))
        .collect();
    Struct { fields }
}

/// The first name that says something, within the wire's limit; else the id.
fn name_of<'a>(names: impl IntoIterator<Item = Option<&'a str>>, id: impl Display) -> String {
    names
        .into_iter()
        .flatten()
        .map(|name| shortened(name, LONGEST_NAME))
        .find(|name| !name.trim().is_empty())
        .unwrap_or_else(|| id.to_string())
}

/// The text without control characters, cut at a character's boundary where it is longer than `longest` bytes.
fn shortened(text: &str, longest: usize) -> String {
    if text.len() <= longest && !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    let mut bytes = 0;
    let within = |c: &char| {
        bytes += c.len_utf8();
        bytes <= longest
    };
    text.chars().filter(|c| !c.is_control()).take_while(within).collect()
}

/// The team's page for people.
fn page(organization: &str, slug: &str) -> Option<String> {
    let mut url = Url::parse("https://buildkite.com").ok()?;
    url.path_segments_mut()
        .ok()?
        .extend(["organizations", organization, "teams", slug]);
    Some(url.to_string()).filter(|url| url.len() <= LONGEST_NAME)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn person(name: Option<&str>, email: Option<&str>) -> OrganizationMember {
        OrganizationMember {
            id: uuid::Uuid::from_u128(1).into(),
            name: name.map(str::to_owned),
            email: email.map(str::to_owned),
            role: None,
            sso_mode: None,
        }
    }

    fn trait_of(row: &Resource) -> UserTrait {
        row.annotations.first().unwrap().to_msg().unwrap()
    }

    #[rstest]
    #[case("ada@example.com", true)]
    #[case("user@exämple.com", false)]
    #[case("a@exam_ple.com", false)]
    #[case("ada", false)]
    fn an_address_that_the_protocol_refuses_stands_in_the_profile_only(#[case] text: &str, #[case] accepted: bool) {
        let row = user(person(None, Some(text)));
        let user = trait_of(&row);
        let addresses: Vec<_> = user.emails.iter().map(|email| email.address.as_str()).collect();
        let kept = row.profile.unwrap().fields.remove("email").and_then(|value| value.kind);
        assert_eq!(user.login, text);
        if accepted {
            assert_eq!((addresses, kept), (vec![text], None));
        } else {
            assert_eq!((addresses, kept), (vec![], Some(Kind::StringValue(text.to_owned()))));
        }
    }

    #[rstest]
    #[case(Some("Ada"), Some("a@example.com"), "Ada")]
    #[case(None, Some("a@example.com"), "a@example.com")]
    #[case(Some(" \n"), None, "00000000-0000-0000-0000-000000000001")]
    #[case(Some("نادية\u{7}"), None, "نادية")]
    fn everybody_has_a_name(#[case] name: Option<&str>, #[case] email: Option<&str>, #[case] shown: &str) {
        assert_eq!(user(person(name, email)).display_name, shown);
    }

    proptest! {
        #[test]
        fn names_stay_within_the_wires_limit_whatever_they_are(name in "\\PC{0,600}") {
            let long = name.repeat(4);
            let row = user(person(Some(&long), None));
            prop_assert!(row.display_name.len() <= LONGEST_NAME && !row.display_name.is_empty());
        }
    }
}
