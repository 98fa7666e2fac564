//! Replies that are lost, reads that fail or lag, and callers that hang up: no mail is sent twice, and nothing is claimed that was
//! not seen.

use std::time::Duration;

use buildkite_connector::sandbox::{BodyStyle, Edit, Endpoint, Fault, FaultKind, Gate, InviteAgain, WriteLag};
use http::StatusCode;
use rstest::rstest;
use tonic::Code;

use super::{ADA, Account, World, request};
use crate::support::{reason, until};

#[rstest]
#[case::reset(FaultKind::ResetAfter)]
#[case::server_error(FaultKind::AppliedThenStatus(StatusCode::BAD_GATEWAY))]
#[case::truncated(FaultKind::Truncated)]
#[case::no_row(FaultKind::EmptyBody)]
#[case::other_shape(FaultKind::WrongShape(serde_json::json!({"sent": true})))]
#[tokio::test]
async fn an_invitation_whose_reply_is_lost_is_found_and_not_sent_again(
    #[case] kind: FaultKind,
    #[values(InviteAgain::Unprocessable, InviteAgain::Created)] again: InviteAgain,
    #[values(false, true)] lags: bool,
) {
    let world = World::new().await;
    world.sandbox.change_behaviors(|behaviors| {
        behaviors.invite_again = again;
        if lags {
            behaviors.write_lag = WriteLag::For(Duration::from_millis(15));
        }
    });
    world
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::CreateInvitations, kind).once());
    let account = world.invite(ADA).await.unwrap();
    assert!(
        matches!(&account, Account::ActionRequired { message, .. } if message.contains("was invited and has to accept"))
    );
    assert_eq!(
        (world.count(Endpoint::CreateInvitations), world.pending().len()),
        (1, 1)
    );
    assert_eq!(world.last_outcome()["outcome"], "invited");
}

#[tokio::test]
async fn an_invitation_that_was_not_applied_is_sent_again() {
    let world = World::new().await;
    let refused = FaultKind::Status(StatusCode::SERVICE_UNAVAILABLE, BodyStyle::Empty);
    world
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::CreateInvitations, refused).once());
    world.invite(ADA).await.unwrap();
    assert_eq!(
        (world.count(Endpoint::CreateInvitations), world.pending().len()),
        (2, 1)
    );
}

#[rstest]
#[case::invitations(Endpoint::Invitations)]
#[case::members(Endpoint::OrganizationMembers)]
#[tokio::test]
async fn without_the_reads_nothing_is_sent(#[case] endpoint: Endpoint) {
    let world = World::new().await;
    world.sandbox.faults().add(Fault::new(
        endpoint,
        FaultKind::Status(StatusCode::FORBIDDEN, BodyStyle::Message),
    ));
    let status = world.invite(ADA).await.unwrap_err();
    assert_eq!(reason(&status), (Code::PermissionDenied, "FORBIDDEN".to_owned()));
    assert_eq!(world.count(Endpoint::CreateInvitations), 0);
}

#[tokio::test]
async fn if_the_reads_after_a_lost_reply_fail_nothing_is_sent_again() {
    let world = World::new().await;
    let faults = world.sandbox.faults();
    faults.add(Fault::new(Endpoint::CreateInvitations, FaultKind::ResetAfter).once());
    // The lists before the write are read in two steps, because an empty list is read twice.
    let forbidden = FaultKind::Status(StatusCode::FORBIDDEN, BodyStyle::Message);
    faults.add(Fault::new(Endpoint::Invitations, forbidden).after(2).times(50));
    let status = world.invite(ADA).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(world.count(Endpoint::CreateInvitations), 1);
    faults.clear();
    world.invite(ADA).await.unwrap();
    assert_eq!(world.count(Endpoint::CreateInvitations), 1);
}

#[tokio::test]
async fn concurrent_requests_for_one_person_send_one_mail() {
    let world = World::new().await;
    let requests = (0..8).map(|number| {
        let email = if number % 2 == 0 {
            ADA.to_owned()
        } else {
            ADA.to_uppercase()
        };
        tokio::spawn(super::create(world.channel.clone(), request(&email, &[])))
    });
    let requests: Vec<_> = requests.collect();
    for account in requests {
        assert!(matches!(
            account.await.unwrap().unwrap(),
            Account::ActionRequired { .. }
        ));
    }
    assert_eq!(world.count(Endpoint::CreateInvitations), 1);
}

#[tokio::test]
async fn an_invitation_that_was_begun_is_finished_although_its_caller_is_gone() {
    let world = World::new().await;
    let gate = Gate::default();
    let faults = world.sandbox.faults();
    let held = faults.add(Fault::new(Endpoint::CreateInvitations, FaultKind::Held(gate.clone())).once());
    let caller = tokio::spawn(super::create(world.channel.clone(), request(ADA, &[])));
    until(|| held.fired() == 1).await;
    caller.abort();
    gate.open();
    until(|| !world.outcomes().is_empty()).await;
    assert_eq!(world.last_outcome()["outcome"], "invited");
    assert_eq!(world.pending(), [ADA]);
}

#[tokio::test]
async fn a_caller_that_is_gone_before_the_write_invites_nobody() {
    let world = World::new().await;
    let gate = Gate::default();
    let held = Fault::new(Endpoint::Invitations, FaultKind::Held(gate.clone())).once();
    let held = world.sandbox.faults().add(held);
    let caller = tokio::spawn(super::create(world.channel.clone(), request(ADA, &[])));
    until(|| held.fired() == 1).await;
    caller.abort();
    until(|| !world.outcomes().is_empty()).await;
    gate.open();
    assert_eq!(world.last_outcome()["reason"], "ABANDONED");
    assert_eq!(world.count(Endpoint::CreateInvitations), 0);
}

#[tokio::test]
async fn an_invitation_of_another_process_that_shows_late_is_found_after_the_rejection() {
    let mut world = World::new().await;
    // An empty list is read twice: before the request, and at once after the rejection.
    world.sandbox.change_behaviors(|behaviors| {
        behaviors.invite_again = InviteAgain::Unprocessable;
        behaviors.write_lag = WriteLag::Reads(5);
    });
    let first = world.invite(ADA).await.unwrap();
    world.restart(|_| {}).await;
    let second = world.invite(ADA).await.unwrap();
    let id = |account: &Account| match account {
        Account::ActionRequired { id, .. } => id.clone(),
        Account::AlreadyExists(_) => panic!("{account:?}"),
    };
    assert_eq!(id(&first), id(&second));
    assert_eq!(world.count(Endpoint::CreateInvitations), 2);
    assert_eq!(world.last_outcome()["outcome"], "already_invited");
}

#[tokio::test]
async fn a_person_whom_the_list_shows_late_is_found_after_the_rejection() {
    let world = World::new().await;
    // The rejection, and a list of people that shows the person from its third read on.
    world.edit(|organization| organization.invitation_quota = 0);
    let join = Edit::with(|organization| {
        organization.join_by_single_sign_on(ADA);
    });
    let late = Fault::new(Endpoint::OrganizationMembers, FaultKind::MoveRows(join)).after(2);
    world.sandbox.faults().add(late.once());
    let found = world.invite(ADA).await.unwrap();
    let joined = world
        .sandbox
        .with_organization(|organization| organization.person_by_email(ADA).unwrap().id);
    assert_eq!(found, Account::AlreadyExists(joined.to_string()));
    assert_eq!(world.last_outcome()["outcome"], "already_exists");
}
