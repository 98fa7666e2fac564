//! What a write is taken for by what is read after it, with a provider of which every response is chosen.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::*;
use crate::governance::model::examples::{GROUP, MEMBER, group, user};
use crate::governance::provider::{
    Failure, FailureClass, MockAssignable, MockProvider, MockResourceType, WriteReply, examples,
};
use crate::governance::{AllowedChanges, Change, Governance, GovernanceSettings};

/// The levels that the reads show, in turn.
type Reads = Arc<Mutex<VecDeque<Option<&'static Level>>>>;

/// A provider whose reads show `reads` and that responds to the only write with `reply`.
struct Scripted {
    governance: Governance,
    reads: Reads,
}

impl Scripted {
    fn new(reads: impl IntoIterator<Item = Option<&'static Level>>, reply: Result<WriteReply, Failure>) -> Self {
        let reads: Reads = Arc::new(Mutex::new(reads.into_iter().collect()));
        let settings = GovernanceSettings {
            allowed: AllowedChanges::from_iter([Change::Membership]),
            ..GovernanceSettings::default()
        };
        Self {
            governance: Governance::new(Arc::new(provider(Arc::clone(&reads), reply)), settings),
            reads,
        }
    }

    async fn grant(&self) -> Outcome {
        let entitlement = EntitlementId {
            resource: group(1),
            level: MEMBER,
        };
        let context = RequestContext {
            caller: "platform".into(),
            request_id: "1".to_owned(),
            deadline: None,
            answer_by: None,
        };
        let provisioning = self.governance.provisioning();
        let granted = provisioning.grant(entitlement, Principal::Resource(user(2)), context);
        granted.await.unwrap().outcome
    }

    fn unread(&self) -> usize {
        self.reads.lock().unwrap().len()
    }
}

fn provider(reads: Reads, reply: Result<WriteReply, Failure>) -> MockProvider {
    let mut levels = MockAssignable::new();
    levels.expect_read_level().returning(move |_, _| {
        let next = reads.lock().unwrap().pop_front();
        Ok(next.expect("one read too many"))
    });
    levels.expect_write().times(1).return_once(|_, _, _| reply);
    levels.expect_guard().returning(|_, _, _, _, _| Ok(()));
    let levels: &'static MockAssignable = Box::leak(Box::new(levels));
    let mut groups = MockResourceType::new();
    groups.expect_info().return_const(&GROUP);
    groups.expect_assignable().returning(move || Some(levels));
    groups.expect_invalidate().return_const(());
    examples::acme(vec![Arc::new(groups)])
}

fn failure(class: FailureClass) -> Failure {
    Failure {
        class,
        scope: None,
        error: GovernanceError::Unavailable {
            endpoint: "add team member",
            why: "the connection failed".to_owned(),
        },
    }
}

#[tokio::test(start_paused = true)]
async fn what_shows_after_a_write_that_was_never_sent_is_somebody_elses() {
    let provider = Scripted::new([None, Some(MEMBER)], Err(failure(FailureClass::NotSent)));
    assert_eq!(provider.grant().await, Outcome::AlreadyExists);
    assert_eq!(provider.unread(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_shows_after_a_write_whose_reply_was_lost_is_ours() {
    let provider = Scripted::new([None, Some(MEMBER)], Err(failure(FailureClass::Unavailable)));
    assert_eq!(provider.grant().await, Outcome::Granted);
    assert_eq!(provider.unread(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_undid_is_believed_ten_seconds_after_our_write_and_not_before() {
    let undone = [None; 6];
    let reads = [None].into_iter().chain(undone).chain([Some(MEMBER)]);
    let provider = Scripted::new(reads, Ok(WriteReply::Confirmed));
    assert_eq!(provider.grant().await, Outcome::Granted);
    let begun = Instant::now();
    // The level shows in the last read within the time that a write of ours may take to show.
    assert_eq!(provider.grant().await, Outcome::AlreadyExists);
    assert_eq!(provider.unread(), 0);
    assert!(begun.elapsed() <= WriteTimeouts::default().own_write_window);
}
