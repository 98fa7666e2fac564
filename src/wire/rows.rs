//! The model's resources, entitlements and grants as messages. Texts are cut to the protocol's limits here; ids never exceed them.

use std::fmt::{Display, Write};

use prost::Name;
use prost_types::{Any, Struct, Timestamp, Value, value::Kind};

use super::email;
use crate::governance::model::{
    EntitlementId, Grant, GrantId, ProfileValue, Resource, ResourceId, ResourceKind, ResourceTypeInfo,
};
use crate::proto::c1::connector::v2 as proto;
use crate::proto::c1::connector::v2::{
    EntitlementExclusionGroup, EntitlementImmutable, ExternalLink, GrantExpandable, GrantImmutable, GroupTrait,
    SkipEntitlementsAndGrants, SkipSyncAnomalyDetection, UserTrait, entitlement, resource_type, status, user_trait,
};

/// The maximum bytes of a display name and of a description (protocol reference, section 6).
const MAX_NAME: usize = 1024;
const MAX_DESCRIPTION: usize = 2048;

/// Bytes that the id of an entitlement or of a grant usually fits in, for strings that are written piece by piece.
const ENTITLEMENT_ID: usize = 64;
const GRANT_ID: usize = 112;

pub(crate) fn annotation<M: Name>(message: &M) -> Any {
    Any {
        type_url: M::type_url(),
        value: message.encode_to_vec(),
    }
}

pub(crate) fn resource_type(info: &ResourceTypeInfo) -> proto::ResourceType {
    let (r#trait, annotations) = match info.kind {
        ResourceKind::User => (
            Some(resource_type::Trait::User),
            vec![annotation(&SkipEntitlementsAndGrants {})],
        ),
        ResourceKind::Group => (Some(resource_type::Trait::Group), vec![]),
        ResourceKind::Object => (None, vec![]),
        // An invitation that is accepted disappears, so that their number may fall to nothing.
        ResourceKind::PendingUser => (
            Some(resource_type::Trait::User),
            vec![
                annotation(&SkipEntitlementsAndGrants {}),
                annotation(&SkipSyncAnomalyDetection {}),
            ],
        ),
    };
    proto::ResourceType {
        id: info.id.to_owned(),
        display_name: info.display_name.to_owned(),
        traits: r#trait.into_iter().map(Into::into).collect(),
        annotations,
        description: info.description.to_owned(),
        sourced_externally: false,
    }
}

pub(crate) fn resource(mut resource: Resource) -> proto::Resource {
    match resource.id.resource_type.kind {
        ResourceKind::User | ResourceKind::PendingUser => user(resource),
        ResourceKind::Group => group(resource),
        ResourceKind::Object => {
            let profile = profile(std::mem::take(&mut resource.profile).into_iter());
            object(resource, Some(profile), vec![])
        }
    }
}

fn user(user: Resource) -> proto::Resource {
    // Of a person who is not a user yet, the protocol has no status.
    let is_user = user.id.resource_type.kind == ResourceKind::User;
    let email = user.handle.as_deref();
    let address = email.filter(|address| email::is_accepted(address));
    // An address that the protocol rejects is kept in the profile, which is not validated.
    let rejected = email.filter(|_| address.is_none());
    let rejected = rejected.map(|email| ("email", ProfileValue::Text(truncated(email, MAX_NAME))));
    let profile = profile(user.profile.into_iter().chain(rejected));
    let (user_trait, profile) = user_trait(address, email, is_user, profile);
    proto::Resource {
        id: Some(resource_id(user.id)),
        display_name: display_name([user.name.as_deref(), email], user.id.id),
        annotations: vec![user_trait, annotation(&SkipEntitlementsAndGrants {})],
        profile,
        status: Some(proto::Status {
            status: if is_user {
                status::ResourceStatus::Enabled.into()
            } else {
                status::ResourceStatus::Unspecified.into()
            },
            details: String::new(),
        }),
        created_at: user.created_at.map(wire_time),
        ..Default::default()
    }
}

/// The encoded trait of a user, and its profile again for the resource. Older readers look for status and profile here, and not in
/// the resource.
#[allow(deprecated)]
fn user_trait(address: Option<&str>, login: Option<&str>, is_user: bool, profile: Struct) -> (Any, Option<Struct>) {
    let address = address.map(|address| user_trait::Email {
        address: address.to_owned(),
        is_primary: true,
    });
    let user = UserTrait {
        emails: address.into_iter().collect(),
        status: Some(user_trait::Status {
            status: if is_user {
                user_trait::status::Status::Enabled.into()
            } else {
                user_trait::status::Status::Unspecified.into()
            },
            details: String::new(),
        }),
        profile: Some(profile),
        account_type: user_trait::AccountType::Human.into(),
        login: truncated(login.unwrap_or_default(), MAX_NAME),
        ..Default::default()
    };
    (annotation(&user), user.profile)
}

fn group(mut group: Resource) -> proto::Resource {
    let profile = profile(std::mem::take(&mut group.profile).into_iter());
    let (group_trait, profile) = group_trait(profile);
    object(group, profile, vec![group_trait])
}

/// A resource with its profile and the annotations of its trait.
fn object(object: Resource, profile: Option<Struct>, mut annotations: Vec<Any>) -> proto::Resource {
    annotations.extend(object.page.map(|url| annotation(&ExternalLink { url })));
    proto::Resource {
        id: Some(resource_id(object.id)),
        display_name: display_name([object.name.as_deref(), object.handle.as_deref()], object.id.id),
        annotations,
        description: truncated(object.description.as_deref().unwrap_or_default(), MAX_DESCRIPTION),
        profile,
        created_at: object.created_at.map(wire_time),
        ..Default::default()
    }
}

fn wire_time(at: jiff::Timestamp) -> Timestamp {
    Timestamp {
        seconds: at.as_second(),
        nanos: at.subsec_nanosecond(),
    }
}

/// The encoded trait of a group, and its profile again for the resource. Older readers look for the profile here, and not in the
/// resource.
#[allow(deprecated)]
fn group_trait(profile: Struct) -> (Any, Option<Struct>) {
    let group = GroupTrait {
        profile: Some(profile),
        ..Default::default()
    };
    (annotation(&group), group.profile)
}

/// An entitlement of `resource`, whose display name becomes part of its texts. It is grantable to the `principals`.
pub(crate) fn entitlement(
    resource: &proto::Resource,
    id: EntitlementId,
    principals: impl IntoIterator<Item = &'static ResourceTypeInfo>,
) -> proto::Entitlement {
    let EntitlementId { resource: of, level } = id;
    let named = display_name([Some(resource.display_name.as_str())], of.id);
    let group = EntitlementExclusionGroup {
        exclusion_group_id: of.to_string(),
        order: level.order,
        is_default: false,
        scope_to_resource: false,
    };
    // A single level excludes nothing.
    let group = (of.resource_type.levels.len() > 1).then(|| annotation(&group));
    let is_immutable = of.resource_type.is_immutable();
    let immutable = is_immutable.then(|| annotation(&EntitlementImmutable::default()));
    proto::Entitlement {
        resource: Some(proto::Resource {
            id: Some(resource_id(of)),
            display_name: resource.display_name.clone(),
            ..Default::default()
        }),
        id: text(id, ENTITLEMENT_ID),
        display_name: truncated(&format!("{named} · {}", level.display_name), MAX_NAME),
        description: truncated(&(level.describe)(&named), MAX_DESCRIPTION),
        grantable_to: principals.into_iter().map(resource_type).collect(),
        annotations: group.into_iter().chain(immutable).collect(),
        purpose: entitlement::PurposeValue::Assignment.into(),
        slug: level.slug.to_owned(),
    }
}

pub(crate) fn grant(grant: &Grant) -> proto::Grant {
    let principal = grant.id.principal.id;
    grant_with_name(grant.id, display_name([grant.principal_name.as_deref()], principal))
}

/// A grant by its id; the principal's name may be empty if it is not known.
pub(crate) fn grant_with_name(id: GrantId, principal_name: String) -> proto::Grant {
    proto::Grant {
        entitlement: Some(proto::Entitlement {
            resource: Some(proto::Resource {
                id: Some(resource_id(id.entitlement.resource)),
                ..Default::default()
            }),
            id: text(id.entitlement, ENTITLEMENT_ID),
            slug: id.entitlement.level.slug.to_owned(),
            ..Default::default()
        }),
        principal: Some(proto::Resource {
            id: Some(resource_id(id.principal)),
            display_name: principal_name,
            ..Default::default()
        }),
        id: text(id, GRANT_ID),
        annotations: grant_annotations(id),
        ..Default::default()
    }
}

/// What a group holds, its members have: each level of the group is named, so that the platform shows the people as well.
fn grant_annotations(id: GrantId) -> Vec<Any> {
    let group = id.principal;
    let expandable = (group.resource_type.kind == ResourceKind::Group).then(|| {
        let levels = group.resource_type.levels.iter();
        let entitlement = |level| EntitlementId { resource: group, level }.to_string();
        annotation(&GrantExpandable {
            entitlement_ids: levels.map(entitlement).collect(),
            shallow: true,
            resource_type_ids: vec![],
        })
    });
    let is_immutable = id.entitlement.resource.resource_type.is_immutable();
    let immutable = is_immutable.then(|| annotation(&GrantImmutable::default()));
    expandable.into_iter().chain(immutable).collect()
}

/// The text of an id of about `length` bytes.
fn text(id: impl Display, length: usize) -> String {
    let mut text = String::with_capacity(length);
    // Writing to a string does not fail.
    let _ = write!(text, "{id}");
    text
}

fn resource_id(ResourceId { resource_type, id }: ResourceId) -> proto::ResourceId {
    proto::ResourceId {
        resource_type: resource_type.id.to_owned(),
        resource: id.to_string(),
        baton_resource: false,
    }
}

fn profile(fields: impl Iterator<Item = (&'static str, ProfileValue)>) -> Struct {
    let fields = fields.map(|(key, value)| {
        let kind = match value {
            ProfileValue::Text(text) => Kind::StringValue(text),
            ProfileValue::Bool(value) => Kind::BoolValue(value),
        };
        (key.to_owned(), Value { kind: Some(kind) })
    });
    Struct {
        fields: fields.collect(),
    }
}

/// The first name that is not blank, cut to the protocol's limit; else the id.
fn display_name<'a>(names: impl IntoIterator<Item = Option<&'a str>>, id: impl Display) -> String {
    names
        .into_iter()
        .flatten()
        .map(|name| truncated(name, MAX_NAME))
        .find(|name| !name.trim().is_empty())
        .unwrap_or_else(|| id.to_string())
}

/// The text without control characters, cut at a character boundary to at most `max` bytes.
fn truncated(text: &str, max: usize) -> String {
    if text.len() <= max && !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    let mut bytes = 0;
    let within = |c: &char| {
        bytes += c.len_utf8();
        bytes <= max
    };
    text.chars().filter(|c| !c.is_control()).take_while(within).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::governance::model::examples;

    fn person(name: Option<&str>, email: Option<&str>) -> Resource {
        Resource {
            handle: email.map(str::to_owned),
            ..Resource::named(examples::user(1), name.map(str::to_owned))
        }
    }

    fn trait_of(row: &proto::Resource) -> UserTrait {
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
    fn every_resource_has_a_name(#[case] name: Option<&str>, #[case] email: Option<&str>, #[case] shown: &str) {
        assert_eq!(user(person(name, email)).display_name, shown);
    }

    proptest! {
        #[test]
        fn every_name_stays_within_the_protocols_limit(name in "\\PC{0,600}") {
            let long = name.repeat(4);
            let row = user(person(Some(&long), None));
            prop_assert!(row.display_name.len() <= MAX_NAME && !row.display_name.is_empty());
        }
    }
}
