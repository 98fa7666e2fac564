//! Cases that a real network cannot produce on demand, with a Buildkite whose every response the test chooses.

use std::sync::Arc;

use mockall::Sequence;
use tokio::time::Instant;
use uuid::Uuid;

use super::resources::{MEMBER, TEAM, USER};
use super::upstream::MockUpstream;
use super::{ApiError, ApiErrorKind, Endpoint, ListedRole, Role, TeamId, TeamMember, Unavailability, UserId, govern};
use crate::governance::model::{EntitlementId, Principal, ResourceId};
use crate::governance::provisioning::{Outcome, ProvisioningResult, RequestContext, WriteTimeouts};
use crate::governance::{Governance, GovernanceError, GovernanceSettings};

fn entitlement() -> EntitlementId {
    EntitlementId {
        resource: ResourceId {
            resource_type: &TEAM,
            id: Uuid::from_u128(1),
        },
        level: MEMBER,
    }
}

fn user() -> UserId {
    Uuid::from_u128(2).into()
}

fn principal() -> Principal {
    Principal::Resource(ResourceId {
        resource_type: &USER,
        id: user().uuid(),
    })
}

fn context() -> RequestContext {
    RequestContext {
        caller: "platform".into(),
        request_id: "1".to_owned(),
        deadline: None,
        answer_by: None,
    }
}

fn member(user: UserId, role: Role) -> TeamMember {
    TeamMember {
        user_id: user,
        user_name: None,
        role: ListedRole::Known(role),
        created_at: None,
    }
}

fn trouble(trouble: ApiErrorKind) -> ApiError {
    ApiError {
        endpoint: Endpoint::AddMember,
        kind: trouble,
        message: None,
    }
}

fn governance(upstream: MockUpstream) -> Arc<Governance> {
    let settings = GovernanceSettings {
        provisioning: true,
        ..GovernanceSettings::default()
    };
    Arc::new(govern(Arc::new(upstream), settings))
}

/// Grants a level on this Buildkite, and returns the result.
async fn grant(upstream: MockUpstream) -> Result<ProvisioningResult, GovernanceError> {
    governance(upstream)
        .provisioning()
        .grant(entitlement(), principal(), context())
        .await
}

/// Makes consecutive reads return these results.
fn reads(upstream: &mut MockUpstream, answers: impl IntoIterator<Item = Result<TeamMember, ApiErrorKind>>) {
    let mut order = Sequence::new();
    for answer in answers {
        upstream
            .expect_member()
            .times(1)
            .in_sequence(&mut order)
            .return_once(move |_: TeamId, _, _| answer.map_err(trouble));
    }
}

#[tokio::test(start_paused = true)]
async fn what_shows_after_a_write_that_was_never_sent_is_somebody_elses() {
    let mut upstream = MockUpstream::new();
    reads(
        &mut upstream,
        [Err(ApiErrorKind::NotFound), Ok(member(user(), Role::Member))],
    );
    let refused = Unavailability::Connect("refused".to_owned());
    upstream
        .expect_add_member()
        .times(1)
        .return_once(|_, _, _, _| Err(trouble(ApiErrorKind::Unavailable(refused))));
    let receipt = grant(upstream).await;
    assert_eq!(receipt.unwrap().outcome, Outcome::AlreadyExists);
}

#[tokio::test(start_paused = true)]
async fn what_shows_after_a_write_whose_reply_was_lost_is_ours() {
    let mut upstream = MockUpstream::new();
    reads(
        &mut upstream,
        [Err(ApiErrorKind::NotFound), Ok(member(user(), Role::Member))],
    );
    upstream
        .expect_add_member()
        .times(1)
        .return_once(|_, _, _, _| Err(trouble(ApiErrorKind::Unavailable(Unavailability::ConnectionReset))));
    let receipt = grant(upstream).await;
    assert_eq!(receipt.unwrap().outcome, Outcome::Granted);
}

#[tokio::test(start_paused = true)]
async fn the_echo_of_another_person_confirms_nothing() {
    let mut upstream = MockUpstream::new();
    reads(
        &mut upstream,
        [Err(ApiErrorKind::NotFound), Ok(member(user(), Role::Member))],
    );
    upstream
        .expect_add_member()
        .times(1)
        .return_once(|_, _, role, _| Ok(Some(member(Uuid::from_u128(9).into(), role))));
    let receipt = grant(upstream).await;
    assert_eq!(receipt.unwrap().outcome, Outcome::Granted);
}

#[tokio::test(start_paused = true)]
async fn the_record_of_another_person_decides_nothing() {
    let mut upstream = MockUpstream::new();
    reads(&mut upstream, [Ok(member(Uuid::from_u128(9).into(), Role::Member))]);
    let receipt = grant(upstream).await;
    assert_eq!(receipt.unwrap_err().reason(), "UNEXPECTED_RESPONSE");
}

#[tokio::test(start_paused = true)]
async fn what_somebody_undid_is_believed_ten_seconds_after_our_write_and_not_before() {
    let mut upstream = MockUpstream::new();
    let undone = std::iter::repeat_with(|| Err(ApiErrorKind::NotFound)).take(6);
    let first = [Err(ApiErrorKind::NotFound)];
    reads(
        &mut upstream,
        first
            .into_iter()
            .chain(undone)
            .chain([Ok(member(user(), Role::Member))]),
    );
    upstream
        .expect_add_member()
        .times(1)
        .returning(|_, user, role, _| Ok(Some(member(user, role))));
    let governance = governance(upstream);
    let grant = || governance.provisioning().grant(entitlement(), principal(), context());
    assert_eq!(grant().await.unwrap().outcome, Outcome::Granted);
    let begun = Instant::now();
    // The write of this request becomes visible at the sixth read.
    assert_eq!(grant().await.unwrap().outcome, Outcome::AlreadyExists);
    assert!(begun.elapsed() <= WriteTimeouts::default().own_write_window);
}

#[tokio::test(start_paused = true)]
async fn a_role_that_is_unknown_here_is_left_alone() {
    let mut upstream = MockUpstream::new();
    let owner = TeamMember {
        role: ListedRole::Unknown("owner".into()),
        ..member(user(), Role::Member)
    };
    reads(&mut upstream, [Ok(owner)]);
    let receipt = governance(upstream)
        .provisioning()
        .revoke(entitlement(), principal(), context())
        .await;
    assert_eq!(receipt.unwrap_err().reason(), "UNEXPECTED_RESPONSE");
}

#[tokio::test(start_paused = true)]
async fn a_row_from_long_ago_in_the_echo_of_a_post_was_there_already() {
    let mut upstream = MockUpstream::new();
    reads(&mut upstream, [Err(ApiErrorKind::NotFound)]);
    upstream.expect_add_member().times(1).return_once(|_, user, role, _| {
        Ok(Some(TeamMember {
            created_at: Some("2023-03-14T00:45:16.215Z".to_owned()),
            ..member(user, role)
        }))
    });
    let receipt = grant(upstream).await;
    assert_eq!(receipt.unwrap().outcome, Outcome::AlreadyExists);
}
