//! Encodings spelled out by hand, and type URLs.

use buildkite_connector::proto::c1::connector::v2::{
    Entitlement, EntitlementExclusionGroup, Grant, GrantReplaced, GrantSources, RateLimitDescription, Resource,
    ResourceId, ResourceType, SkipEntitlementsAndGrants, UserTrait, grant_sources::GrantSource, rate_limit_description,
    resource_type::Trait, user_trait,
};
use buildkite_connector::proto::c1::ratelimit::v1 as ratelimit;
use buildkite_connector::proto::connector::health::v1::{ScopeCheck, ScopeState};
use prost::{Message, Name};
use prost_types::{Any, Timestamp};
use rstest::rstest;

#[rstest]
#[case(GrantReplaced::type_url(), "type.googleapis.com/c1.connector.v2.GrantReplaced")]
#[case(
    RateLimitDescription::type_url(),
    "type.googleapis.com/c1.connector.v2.RateLimitDescription"
)]
#[case(
    ratelimit::RateLimitDescription::type_url(),
    "type.googleapis.com/c1.ratelimit.v1.RateLimitDescription"
)]
#[case(
    user_trait::Status::type_url(),
    "type.googleapis.com/c1.connector.v2.UserTrait.Status"
)]
#[case(ScopeCheck::type_url(), "type.googleapis.com/connector.health.v1.ScopeCheck")]
fn a_message_names_itself_as_clients_look_it_up(#[case] url: String, #[case] expected: &str) {
    assert_eq!(url, expected);
}

#[test]
fn a_packed_annotation_is_identified_by_its_type_url_and_read_back() {
    let replaced = GrantReplaced {
        replaced_grant_id: "g".into(),
    };
    let packed = Any::from_msg(&replaced).unwrap();
    assert_eq!(packed.type_url, "type.googleapis.com/c1.connector.v2.GrantReplaced");
    assert_eq!(packed.value, b"\x0a\x01g");
    assert_eq!(packed.to_msg::<GrantReplaced>().unwrap(), replaced);
}

#[test]
fn a_marker_annotation_is_its_type_url_and_nothing_else() {
    let packed = Any::from_msg(&SkipEntitlementsAndGrants {}).unwrap();
    let mut expected = vec![0x0a, 61];
    expected.extend(b"type.googleapis.com/c1.connector.v2.SkipEntitlementsAndGrants");
    assert_eq!(packed.encode_to_vec(), expected);
}

#[test]
fn a_grant_encodes_to_the_bytes_of_the_protocol() {
    let grant = Grant {
        entitlement: Some(Entitlement {
            resource: Some(resource("team", "t")),
            id: "e".into(),
            ..Entitlement::default()
        }),
        principal: Some(resource("user", "u")),
        id: "g".into(),
        ..Grant::default()
    };
    let expected = [
        b"\x0a\x10".as_slice(),                   // 1: the entitlement
        b"\x0a\x0b\x0a\x09\x0a\x04team\x12\x01t", // 1.1: its resource, 1.1.1: the id
        b"\x12\x01e",                             // 1.2: the entitlement's id
        b"\x12\x0b\x0a\x09\x0a\x04user\x12\x01u", // 2: the principal
        b"\x1a\x01g",                             // 3: the grant's id
    ]
    .concat();
    assert_eq!(grant.encode_to_vec(), expected);
}

#[test]
fn the_sources_of_a_grant_encode_as_a_map() {
    let sources = GrantSources {
        sources: [("e".to_owned(), GrantSource { is_direct: true })].into(),
    };
    assert_eq!(sources.encode_to_vec(), b"\x0a\x07\x0a\x01e\x12\x02\x08\x01");
}

#[test]
fn traits_of_a_type_encode_as_one_packed_run() {
    let kind = ResourceType {
        id: "team".into(),
        traits: vec![Trait::Group.into(), Trait::ManagedDevice.into()],
        sourced_externally: true,
        ..ResourceType::default()
    };
    assert_eq!(kind.encode_to_vec(), b"\x0a\x04team\x1a\x02\x02\x0c\x30\x01");
}

#[test]
fn a_user_encodes_to_the_bytes_of_the_protocol() {
    let user = UserTrait {
        emails: vec![user_trait::Email {
            address: "a@b".into(),
            is_primary: true,
        }],
        account_type: user_trait::AccountType::Human.into(),
        login: "l".into(),
        employee_ids: vec!["7".into()],
        ..UserTrait::default()
    };
    assert_eq!(
        user.encode_to_vec(),
        b"\x0a\x07\x0a\x03a@b\x10\x01\x28\x01\x32\x01l\x6a\x017"
    );
}

#[test]
fn an_exclusion_group_encodes_to_the_bytes_of_the_protocol() {
    let group = EntitlementExclusionGroup {
        exclusion_group_id: "x".into(),
        order: 300,
        is_default: true,
        scope_to_resource: true,
    };
    assert_eq!(group.encode_to_vec(), b"\x0a\x01x\x10\xac\x02\x18\x01\x20\x01");
}

#[test]
fn a_rate_limit_encodes_to_the_bytes_of_the_protocol() {
    let limit = RateLimitDescription {
        status: rate_limit_description::Status::Overlimit.into(),
        limit: 200,
        remaining: 0,
        reset_at: Some(Timestamp { seconds: 5, nanos: 0 }),
    };
    assert_eq!(limit.encode_to_vec(), b"\x08\x02\x10\xc8\x01\x22\x02\x08\x05");
}

#[test]
fn the_gate_lets_a_call_through_with_the_bytes_of_the_protocol() {
    let answer = ratelimit::DoResponse {
        request_token: "r".into(),
        description: Some(ratelimit::RateLimitDescription {
            status: ratelimit::rate_limit_description::Status::Empty.into(),
            count: 1,
            ..ratelimit::RateLimitDescription::default()
        }),
    };
    assert_eq!(answer.encode_to_vec(), b"\x0a\x01r\x12\x04\x08\x04\x28\x01");
}

#[test]
fn a_scope_check_encodes_to_the_bytes_of_the_protocol() {
    let check = ScopeCheck {
        id: "i".into(),
        scope: "read_teams".into(),
        state: ScopeState::NotRequired.into(),
        ..ScopeCheck::default()
    };
    assert_eq!(check.encode_to_vec(), b"\x0a\x01i\x12\x0aread_teams\x18\x05");
}

fn resource(kind: &str, id: &str) -> Resource {
    Resource {
        id: Some(ResourceId {
            resource_type: kind.into(),
            resource: id.into(),
            baton_resource: false,
        }),
        ..Resource::default()
    }
}
