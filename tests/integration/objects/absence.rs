//! When a resource of an included type is said to be gone.

use std::time::Duration;

use buildkite_connector::governance::PartialVisibility;
use buildkite_connector::sandbox::{BodyStyle, Endpoint, Fault, FaultKind, Person, TokenSpec};
use http::StatusCode;
use tonic::Code::{FailedPrecondition, NotFound};
use uuid::Uuid;

use crate::support::{
    ObjectList, TestServer, all_scopes, covering_all, including_all, reason, resource, sandbox, sized,
};

#[tokio::test]
async fn what_a_fresh_complete_list_lacks_is_gone() {
    for list in ObjectList::OF_RESOURCES {
        let sandbox = sandbox(sized(1, 1, 2)).await;
        let (one, other) = sandbox.edit(|organization| (list.add(organization, "one"), list.add(organization, "two")));
        let mut setup = including_all();
        setup.access.directory_max_age = Duration::ZERO;
        let server = TestServer::with(&sandbox, &all_scopes(&sandbox), setup).await;
        let platform = server.platform().await;
        assert!(
            platform.resource(list.kind(), &one.to_string()).await.is_ok(),
            "{list:?}"
        );
        sandbox.edit(|organization| list.remove(organization, one));
        for gone in [one, Uuid::new_v4()] {
            let error = platform.resource(list.kind(), &gone.to_string()).await.unwrap_err();
            assert_eq!(reason(&error), (NotFound, "RESOURCE_NOT_FOUND".to_owned()), "{list:?}");
        }
        assert!(
            platform.resource(list.kind(), &other.to_string()).await.is_ok(),
            "{list:?}"
        );
    }
}

#[tokio::test]
async fn a_list_that_may_be_shortened_for_its_reader_proves_no_absence() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let member = sandbox.edit(|organization| organization.add_person(Person::new("Ada", "ada@sized.example")));
    let token = sandbox.mint(TokenSpec::owned_by(member).with_all_scopes());
    let mut setup = including_all();
    setup.access.partial_visibility = PartialVisibility::Allow;
    let server = TestServer::with(&sandbox, &token, setup).await;
    let platform = server.platform().await;
    for kind in ["pipeline", "suite", "registry"] {
        let error = platform.resource(kind, &Uuid::new_v4().to_string()).await.unwrap_err();
        assert_eq!(
            reason(&error),
            (FailedPrecondition, "RESOURCE_UNREACHABLE".to_owned()),
            "{kind}"
        );
    }
}

#[tokio::test]
async fn what_answers_404_and_is_listed_is_unreachable() {
    for (list, one) in [
        (ObjectList::Clusters, Endpoint::Cluster),
        (ObjectList::Invitations, Endpoint::Invitation),
    ] {
        let sandbox = sandbox(sized(1, 1, 2)).await;
        let id = sandbox.edit(|organization| list.add(organization, "one"));
        let (_server, platform) = covering_all(&sandbox).await;
        let hidden = FaultKind::Status(StatusCode::NOT_FOUND, BodyStyle::Message);
        sandbox.faults().add(Fault::new(one, hidden));
        let error = platform.resource(list.kind(), &id.to_string()).await.unwrap_err();
        assert_eq!(
            reason(&error),
            (FailedPrecondition, "RESOURCE_UNREACHABLE".to_owned()),
            "{list:?}"
        );
    }
}

#[tokio::test]
async fn the_grants_of_a_cluster_that_is_gone_are_not_found() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let (_server, platform) = covering_all(&sandbox).await;
    for kind in ["cluster", "registry", "organization"] {
        let gone = resource(kind, &Uuid::new_v4().to_string());
        let error = platform.grants(&gone).await.unwrap_err();
        assert_eq!(reason(&error), (NotFound, "RESOURCE_NOT_FOUND".to_owned()), "{kind}");
    }
}

#[tokio::test]
async fn an_invitation_that_was_accepted_is_gone_although_it_can_be_read() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let id = sandbox.edit(|organization| ObjectList::Invitations.add(organization, "grace"));
    let (_server, platform) = covering_all(&sandbox).await;
    assert!(platform.resource("invitation", &id.to_string()).await.is_ok());
    assert!(
        sandbox
            .edit(|organization| organization.accept_invitation(id))
            .is_some()
    );
    let error = platform.resource("invitation", &id.to_string()).await.unwrap_err();
    assert_eq!(reason(&error), (NotFound, "RESOURCE_NOT_FOUND".to_owned()));
}
