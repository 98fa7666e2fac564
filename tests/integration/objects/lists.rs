//! Lists of the included types that would mislead: empty, hidden, shortened, or with a role that nobody knows.

use std::collections::BTreeSet;

use buildkite_connector::governance::PartialVisibility;
use buildkite_connector::sandbox::{BodyStyle, Endpoint, Fault, FaultKind, Person, Sandbox, TokenSpec};
use http::StatusCode;
use rstest::rstest;
use secrecy::SecretString;
use serde_json::{Value, json};
use tonic::Code::{FailedPrecondition, PermissionDenied};
use tracing::Level;

use crate::support::log::Log;
use crate::support::{
    ObjectList, TestServer, all_scopes, covering_all, including_all, reason, resource, sandbox, sized,
};

/// A body that lists nothing.
fn nothing(list: ObjectList) -> Value {
    match list {
        ObjectList::Invitations => json!({"items": [], "links": {}}),
        _ => json!([]),
    }
}

/// A token of a person who is not an admin, with every scope.
fn token_of_member(sandbox: &Sandbox) -> SecretString {
    let member = sandbox.edit(|organization| organization.add_person(Person::new("Ada", "ada@sized.example")));
    sandbox.mint(TokenSpec::owned_by(member).with_all_scopes())
}

#[tokio::test]
async fn an_empty_list_is_an_error_while_what_was_listed_before_exists() {
    for list in ObjectList::OF_RESOURCES {
        let sandbox = sandbox(sized(1, 1, 2)).await;
        let id = sandbox.edit(|organization| list.add(organization, "one"));
        let (_server, platform) = covering_all(&sandbox).await;
        assert_eq!(list.read(&platform, &sandbox).await.unwrap(), BTreeSet::from([id]));
        let empty = Fault::new(list.endpoint(), FaultKind::WrongShape(nothing(list)));
        let empty = sandbox.faults().add(empty);
        let contradicted = platform.resources_in("2another", list.kind()).await.unwrap_err();
        assert_eq!(
            reason(&contradicted),
            (FailedPrecondition, "UNEXPECTED_RESPONSE".to_owned()),
            "{list:?}"
        );
        assert_eq!(empty.fired(), 2, "{list:?}");
        sandbox.edit(|organization| list.remove(organization, id));
        let rows = platform.resources_in("2a-third", list.kind()).await.unwrap();
        assert_eq!(rows, [], "{list:?}");
    }
}

#[tokio::test]
async fn an_organization_without_any_of_a_type_has_an_empty_list() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let (_server, platform) = covering_all(&sandbox).await;
    for list in ObjectList::OF_RESOURCES {
        assert_eq!(
            list.read(&platform, &sandbox).await.unwrap(),
            BTreeSet::new(),
            "{list:?}"
        );
    }
}

#[rstest]
#[case(404, FailedPrecondition, "RESOURCES_UNAVAILABLE")]
#[case(403, PermissionDenied, "FORBIDDEN")]
#[tokio::test]
async fn a_list_that_cannot_be_read_is_explained_by_its_type(
    #[case] status: u16,
    #[case] code: tonic::Code,
    #[case] expected: &str,
) {
    for list in ObjectList::OF_RESOURCES {
        let sandbox = sandbox(sized(1, 1, 2)).await;
        let (_server, platform) = covering_all(&sandbox).await;
        let status = FaultKind::Status(StatusCode::from_u16(status).unwrap(), BodyStyle::Message);
        sandbox.faults().add(Fault::new(list.endpoint(), status));
        let error = list.read(&platform, &sandbox).await.unwrap_err();
        assert_eq!(reason(&error), (code, expected.to_owned()), "{list:?}");
        let names_the_type = error.message().contains(list.kind()) || code == PermissionDenied;
        assert!(
            names_the_type && !error.message().contains("enable teams"),
            "{}",
            error.message()
        );
    }
}

#[tokio::test]
async fn a_missing_scope_is_named() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let server = TestServer::with(&sandbox, sandbox.token(), including_all()).await;
    let platform = server.platform().await;
    for list in ObjectList::OF_RESOURCES {
        let error = list.read(&platform, &sandbox).await.unwrap_err();
        assert_eq!(
            reason(&error),
            (PermissionDenied, "MISSING_SCOPE".to_owned()),
            "{list:?}"
        );
        let scope = match list {
            ObjectList::Invitations => "read_organization_invitations",
            _ => list.kind(),
        };
        assert!(
            error.message().contains(&scope.replace("registry", "registries")),
            "{}",
            error.message()
        );
    }
}

#[tokio::test]
async fn a_list_that_may_be_shortened_for_its_reader_is_refused_unless_that_is_allowed() {
    let shortened = [ObjectList::Pipelines, ObjectList::Suites, ObjectList::Registries];
    for partial_visibility in [PartialVisibility::Refuse, PartialVisibility::Allow] {
        let sandbox = sandbox(sized(1, 1, 2)).await;
        let mut setup = including_all();
        setup.access.partial_visibility = partial_visibility;
        let server = TestServer::with(&sandbox, &token_of_member(&sandbox), setup).await;
        let platform = server.platform().await;
        for list in shortened {
            let read = list.read(&platform, &sandbox).await;
            match partial_visibility {
                PartialVisibility::Refuse => {
                    let refused = read.unwrap_err();
                    let expected = (FailedPrecondition, "PARTIAL_VISIBILITY".to_owned());
                    assert_eq!(reason(&refused), expected, "{list:?}");
                    let rows = match list {
                        ObjectList::Registries => "registries".to_owned(),
                        _ => format!("{}s", list.kind()),
                    };
                    let named = format!("is shown only the {rows} that their teams reach");
                    assert!(refused.message().contains(&named), "{}", refused.message());
                }
                PartialVisibility::Allow => assert_eq!(read.unwrap(), BTreeSet::new(), "{list:?}"),
            }
        }
        assert!(ObjectList::Clusters.read(&platform, &sandbox).await.is_ok());
    }
}

#[tokio::test]
async fn a_role_that_is_not_known_is_left_out_and_counted() {
    let (log, _guard) = Log::capture(Level::WARN);
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let server = TestServer::with(&sandbox, &all_scopes(&sandbox), including_all()).await;
    let platform = server.platform().await;
    let (organization, owner) = (
        sandbox.with_organization(|organization| organization.id),
        sandbox.owner(),
    );
    let other = uuid::Uuid::new_v4();
    let rows = json!([{"id": owner, "role": "admin"}, {"id": other, "role": "billing"}]);
    let fault = Fault::new(Endpoint::OrganizationMembers, FaultKind::WrongShape(rows));
    let fault = sandbox.faults().add(fault);
    let users = platform.resources("user").await.unwrap();
    assert_eq!(users.len(), 2);
    let holder = resource("organization", &organization.to_string());
    let grants = platform.grants(&holder).await.unwrap();
    let ids: Vec<&str> = grants.iter().map(|grant| grant.id.as_str()).collect();
    assert_eq!(ids, [format!("organization:{organization}:admin:user:{owner}")]);
    assert!(log.text().contains("unknown_levels=1"), "{}", log.text());
    assert_eq!(fault.fired(), 1);
}
