//! Service mode: what the platform sees of it, whatever goes wrong in between.

use std::sync::atomic::Ordering;
use std::time::Duration;

use buildkite_connector::governance::{AllowedChanges, Change};
use buildkite_connector::proto::c1::connector::v2::GrantManagerServiceGrantResponse;
use buildkite_connector::proto::c1::connectorapi::baton::v1::baton_service_finish_task_request::FinalState;
use buildkite_connector::proto::c1::connectorapi::baton::v1::task::{
    ActionGetSchemaTask, ActionInvokeTask, ActionListSchemasTask, ActionStatusTask, CompactSyncs, CreateAccountTask,
    CreateResourceTask, DeleteResourceTask, GetTicketTask, HelloTask, IssueCredentialTask, ListEventFeedsTask,
    ListEventsTask, NoneTask, RotateCredentialsTask, SyncFullTask, TaskType,
};
use buildkite_connector::sandbox::platform::{Fault, FaultKind, Method, PlatformOptions};
use buildkite_connector::sandbox::{Endpoint, Fault as BuildkiteFault, FaultKind as BuildkiteFaultKind};
use rstest::rstest;
use tonic::Code;

use super::harness::{Harness, HarnessOptions, failure, frequent_polls, is_success, short_timing, sync};
use crate::support::{Setup, resource, until};

#[tokio::test]
async fn a_hello_opens_the_session_and_says_what_the_connector_can_do() {
    let harness = Harness::start().await;
    harness.until("a hello", |ledger| !ledger.hellos.is_empty()).await;
    let hello = harness.platform.look(|ledger| ledger.hellos[0].clone());
    assert_eq!((&*hello.host_id, &*hello.task_id), ("host-1", ""));
    let metadata = hello.connector_metadata.unwrap();
    assert_eq!(metadata.display_name, "Buildkite");
    assert_eq!(metadata.capabilities.unwrap().resource_type_capabilities.len(), 2);
    until(|| harness.health.is_ready()).await;
}

#[tokio::test]
async fn a_hello_task_is_answered_by_a_hello_alone_and_a_task_of_kind_none_is_none() {
    let harness = Harness::start().await;
    let _ = harness.platform.add(TaskType::None(NoneTask::default()));
    let id = harness.platform.add(TaskType::Hello(HelloTask::default()));
    harness
        .until("the answer", |ledger| {
            ledger.hellos.iter().any(|hello| hello.task_id == id)
        })
        .await;
    let polls = harness.platform.look(|ledger| ledger.count(Method::GetTask));
    harness
        .until("more polls", |ledger| ledger.count(Method::GetTask) > polls + 2)
        .await;
    assert_eq!(harness.platform.look(|ledger| ledger.count(Method::Finish)), 0);
}

#[tokio::test]
async fn a_sync_is_read_once_and_uploaded_in_chunks_with_its_checksum() {
    let harness = Harness::start().await;
    harness.runner.padding.store(1_200_000, Ordering::SeqCst);
    let id = harness.platform.add(sync());
    assert!(is_success(&harness.finished(&id).await));
    let upload = harness.platform.look(|ledger| ledger.uploads[0].clone());
    assert_eq!(upload.task_id, id);
    assert!(upload.bytes == *harness.runner.written.lock().unwrap());
    assert_eq!(upload.chunks[..2], [512 * 1024; 2]);
    assert_eq!(upload.chunks.len(), 3);
    assert!(harness.platform.look(|ledger| ledger.heartbeats.contains(&id)));
    assert_eq!(harness.files_left(), 0);
}

#[rstest]
#[case::refused(FaultKind::Refuse(Code::Internal))]
#[case::closed(FaultKind::Close)]
#[case::answer_lost(FaultKind::Lost)]
#[tokio::test]
async fn an_upload_that_fails_is_repeated_without_reading_again(#[case] kind: FaultKind) {
    let harness = Harness::start().await;
    harness.platform.fail(Fault::new(Method::Upload, kind).times(2));
    let id = harness.platform.add(sync());
    assert!(is_success(&harness.finished(&id).await));
    assert_eq!(harness.runner.begun.load(Ordering::SeqCst), 1);
    assert_eq!(harness.platform.look(|ledger| ledger.count(Method::Upload)), 3);
}

#[tokio::test]
async fn an_upload_that_hangs_is_given_up_and_repeated() {
    let timing = short_timing();
    let timing = buildkite_connector::hosts::service::Timing {
        upload: Duration::from_secs(1),
        ..timing
    };
    let harness = Harness::start_with(HarnessOptions {
        timing,
        ..HarnessOptions::default()
    })
    .await;
    harness.platform.fail(Fault::new(Method::Upload, FaultKind::Hang));
    let id = harness.platform.add(sync());
    assert!(is_success(&harness.finished(&id).await));
    assert_eq!(harness.runner.begun.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_upload_that_keeps_failing_ends_the_sync_which_may_be_retried() {
    let harness = Harness::start().await;
    harness
        .platform
        .fail(Fault::new(Method::Upload, FaultKind::Refuse(Code::Unavailable)).times(9));
    let id = harness.platform.add(sync());
    let (code, _, again) = failure(&harness.finished(&id).await);
    assert_eq!((code, again), (Code::Unavailable, true));
    assert_eq!(harness.platform.look(|ledger| ledger.count(Method::Upload)), 3);
    assert_eq!(harness.files_left(), 0);
}

#[tokio::test]
async fn a_cancelled_sync_stops_at_once_uploads_nothing_and_may_be_retried() {
    let harness = Harness::start().await;
    harness.runner.blocks.store(true, Ordering::SeqCst);
    let id = harness.platform.add(sync());
    until(|| harness.runner.begun.load(Ordering::SeqCst) == 1).await;
    harness.platform.cancel(&id);
    let (code, _, again) = failure(&harness.finished(&id).await);
    assert_eq!((code, again), (Code::Cancelled, true));
    assert_eq!(harness.platform.look(|ledger| ledger.count(Method::Upload)), 0);
    assert_eq!(harness.runner.stopped.load(Ordering::SeqCst), 1);
    assert_eq!(harness.files_left(), 0);
}

#[tokio::test]
async fn a_sync_that_is_cancelled_at_its_first_heartbeat_is_dropped() {
    let harness = Harness::start().await;
    let first = harness.platform.add(sync());
    harness.platform.cancel(&first);
    let second = harness.platform.add(sync());
    assert!(is_success(&harness.finished(&second).await));
    assert_eq!(harness.runner.begun.load(Ordering::SeqCst), 1);
    assert!(harness.platform.look(|ledger| ledger.finished_task(&first).is_none()));
}

#[tokio::test]
async fn a_first_heartbeat_is_tried_three_times_and_then_the_task_may_be_retried() {
    let harness = Harness::start().await;
    harness
        .platform
        .fail(Fault::new(Method::Heartbeat, FaultKind::Refuse(Code::Internal)).times(3));
    let id = harness.platform.add(sync());
    let (code, _, again) = failure(&harness.finished(&id).await);
    assert_eq!((code, again), (Code::Unavailable, true));
    assert_eq!(harness.runner.begun.load(Ordering::SeqCst), 0);
    assert_eq!(harness.platform.look(|ledger| ledger.count(Method::Heartbeat)), 3);
}

#[rstest]
#[case::nine_are_ridden_out(9, true)]
#[case::ten_end_it(10, false)]
#[tokio::test]
async fn ten_heartbeats_that_fail_in_a_row_end_a_sync(#[case] failures: usize, #[case] lives: bool) {
    let harness = Harness::start().await;
    harness.runner.blocks.store(true, Ordering::SeqCst);
    let refused = FaultKind::Refuse(Code::Unavailable);
    harness
        .platform
        .fail(Fault::new(Method::Heartbeat, refused).after(1).times(failures));
    let id = harness.platform.add(sync());
    let heartbeats =
        |more: usize| move |ledger: &buildkite_connector::sandbox::platform::Ledger| ledger.heartbeats.len() > more;
    if lives {
        harness.until("heartbeats that are taken again", heartbeats(3)).await;
        assert!(harness.platform.look(|ledger| ledger.finished_task(&id).is_none()));
    } else {
        let (code, _, again) = failure(&harness.finished(&id).await);
        assert_eq!((code, again), (Code::Unavailable, true));
        assert_eq!(harness.runner.stopped.load(Ordering::SeqCst), 1);
    }
}

#[rstest]
#[case::all(SyncFullTask::default(), "Full")]
#[case::no_grants(SyncFullTask { skip_grants: true, ..Default::default() }, "WithoutGrants")]
#[case::resources(SyncFullTask { skip_entitlements_and_grants: true, ..Default::default() }, "ResourcesOnly")]
#[case::pebble(SyncFullTask { storage_engine: "pebble".into(), ..Default::default() }, "Full")]
#[tokio::test]
async fn a_sync_reads_as_much_as_the_task_says(#[case] task: SyncFullTask, #[case] depth: &str) {
    let harness = Harness::start().await;
    let id = harness.platform.add(TaskType::SyncFull(SyncFullTask {
        sync_resource_type_ids: vec!["team".into()],
        ..task
    }));
    assert!(is_success(&harness.finished(&id).await));
    let request = harness.runner.requests.lock().unwrap()[0].clone();
    assert_eq!(
        (format!("{:?}", request.depth), request.types),
        (depth.to_owned(), vec!["team".to_owned()])
    );
    assert!(
        harness
            .platform
            .look(|ledger| ledger.uploads[0].bytes.starts_with(b"C1ZF\0"))
    );
}

#[tokio::test]
async fn an_unknown_type_in_the_filter_is_an_error_that_names_it() {
    let harness = Harness::start().await;
    let id = harness.platform.add(TaskType::SyncFull(SyncFullTask {
        sync_resource_type_ids: vec!["team".into(), "starship".into()],
        ..Default::default()
    }));
    let (code, status, again) = failure(&harness.finished(&id).await);
    assert_eq!((code, again), (Code::InvalidArgument, false));
    assert!(status.message.contains("`starship`"), "{status:?}");
}

#[tokio::test]
async fn trouble_at_buildkite_ends_a_sync_with_its_details_and_no_upload() {
    let mut setup = Setup::default();
    setup.client.retry_for = Duration::from_millis(50);
    let harness = Harness::start_with(HarnessOptions {
        setup,
        ..HarnessOptions::default()
    })
    .await;
    let style = buildkite_connector::sandbox::BodyStyle::Message;
    let fault = BuildkiteFaultKind::Status(http::StatusCode::BAD_GATEWAY, style);
    harness
        .sandbox
        .faults()
        .add(BuildkiteFault::new(Endpoint::Teams, fault).times(1_000));
    let id = harness.platform.add(sync());
    let (code, status, again) = failure(&harness.finished(&id).await);
    assert_eq!((code, again), (Code::Unavailable, true));
    assert!(!status.details.is_empty());
    assert_eq!(harness.platform.look(|ledger| ledger.count(Method::Upload)), 0);
}

#[tokio::test]
async fn a_grant_and_a_revoke_are_carried_out_and_answered_whole() {
    let harness = Harness::start().await;
    let person = harness.outsider();
    let granted = harness.platform.add(harness.grant(&person));
    let finished = harness.finished(&granted).await;
    assert!(is_success(&finished) && harness.holds(&person));
    let Some(FinalState::Success(success)) = finished.report.final_state else {
        panic!("no success");
    };
    let answer: GrantManagerServiceGrantResponse = success.response.unwrap().to_msg().unwrap();
    assert!(answer.grants[0].id.ends_with(&format!(":member:user:{person}")));
    let revoked = harness.platform.add(harness.revoke(&person));
    assert!(is_success(&harness.finished(&revoked).await) && !harness.holds(&person));
}

#[tokio::test]
async fn writes_that_are_off_are_refused_for_good_with_the_reason() {
    let mut setup = Setup::default();
    setup.access.allowed = AllowedChanges::none();
    let harness = Harness::start_with(HarnessOptions {
        setup,
        ..HarnessOptions::default()
    })
    .await;
    let person = harness.outsider();
    let id = harness.platform.add(harness.grant(&person));
    let (code, status, again) = failure(&harness.finished(&id).await);
    assert_eq!((code, again), (Code::FailedPrecondition, false));
    assert!(status.message.contains("--provisioning") && !status.details.is_empty());
    assert!(!harness.holds(&person));
}

#[tokio::test]
async fn audit_records_name_the_host_and_the_task() {
    let directory = tempfile::tempdir().unwrap();
    let mut setup = Setup::default();
    setup.access.audit_file = Some(directory.path().join("audit"));
    let harness = Harness::start_with(HarnessOptions {
        setup,
        ..HarnessOptions::default()
    })
    .await;
    let id = harness.platform.add(harness.grant(&harness.outsider()));
    assert!(is_success(&harness.finished(&id).await));
    let records = std::fs::read_to_string(directory.path().join("audit")).unwrap();
    assert!(records.contains("service:host-1") && records.contains(&id), "{records}");
}

#[tokio::test]
async fn a_task_deletes_a_team_if_the_settings_allow_it() {
    let mut setup = Setup::default();
    setup.access.allowed = AllowedChanges::from_iter([Change::Teams]);
    let harness = Harness::start_with(HarnessOptions {
        setup,
        ..HarnessOptions::default()
    })
    .await;
    let teams = || {
        harness
            .sandbox
            .with_organization(|organization| organization.teams().to_vec())
    };
    let team = teams()[0].id;
    let id = harness.platform.add(TaskType::DeleteResource(DeleteResourceTask {
        resource_id: resource("team", &team.to_string()).id,
        parent_resource_id: None,
    }));
    assert!(is_success(&harness.finished(&id).await));
    assert!(teams().iter().all(|left| left.id != team));
}

#[rstest]
#[case(TaskType::CreateAccount(CreateAccountTask::default()), Code::FailedPrecondition)]
#[case(TaskType::CreateResource(CreateResourceTask::default()), Code::InvalidArgument)]
#[case(TaskType::DeleteResource(DeleteResourceTask::default()), Code::InvalidArgument)]
#[case(TaskType::RotateCredentials(RotateCredentialsTask::default()), Code::Unimplemented)]
#[case(TaskType::IssueCredential(IssueCredentialTask::default()), Code::Unimplemented)]
#[case(TaskType::ListEvents(ListEventsTask::default()), Code::NotFound)]
#[case(TaskType::ActionInvoke(ActionInvokeTask::default()), Code::NotFound)]
#[case(TaskType::ActionStatus(ActionStatusTask::default()), Code::NotFound)]
#[case(TaskType::ActionGetSchema(ActionGetSchemaTask::default()), Code::NotFound)]
#[tokio::test]
async fn a_task_that_ends_with_an_error_is_finished_as_the_call_would_be(
    #[case] task: TaskType,
    #[case] expected: Code,
) {
    let harness = Harness::start().await;
    let id = harness.platform.add(task);
    let (code, status, again) = failure(&harness.finished(&id).await);
    assert_eq!((code, again), (expected, false), "{status:?}");
    assert!(!status.message.is_empty() && !status.details.is_empty(), "{status:?}");
}

#[rstest]
#[case(TaskType::ListEventFeeds(ListEventFeedsTask::default()), "ListEventFeedsResponse")]
#[case(
    TaskType::ActionListSchemas(ActionListSchemasTask::default()),
    "ListActionSchemasResponse"
)]
#[tokio::test]
async fn a_task_that_lists_what_there_is_none_of_is_done_with_an_empty_list(
    #[case] task: TaskType,
    #[case] name: &str,
) {
    let harness = Harness::start().await;
    let id = harness.platform.add(task);
    let Some(FinalState::Success(success)) = harness.finished(&id).await.report.final_state else {
        panic!("no success");
    };
    let response = success.response.unwrap();
    assert!(
        response.type_url.ends_with(name) && response.value.is_empty(),
        "{response:?}"
    );
}

#[rstest]
#[case(TaskType::GetTicket(GetTicketTask::default()), "get_ticket")]
#[case(TaskType::CompactSyncs(CompactSyncs::default()), "compact_syncs")]
#[tokio::test]
async fn a_task_that_is_not_carried_out_is_finished_by_name_and_never_left_open(
    #[case] task: TaskType,
    #[case] name: &str,
) {
    let harness = Harness::start().await;
    let id = harness.platform.add(task);
    let (code, status, again) = failure(&harness.finished(&id).await);
    assert_eq!((code, again), (Code::Unimplemented, false));
    assert!(status.message.ends_with(name), "{status:?}");
}

#[tokio::test]
async fn a_task_that_is_handed_out_twice_is_carried_out_once() {
    let harness = Harness::start().await;
    harness.runner.blocks.store(true, Ordering::SeqCst);
    harness
        .platform
        .fail(Fault::new(Method::GetTask, FaultKind::Twice).times(1_000));
    let id = harness.platform.add(sync());
    harness
        .until("it twice", |ledger| {
            ledger.handed_out.iter().filter(|out| **out == id).count() >= 3
        })
        .await;
    until(|| harness.runner.begun.load(Ordering::SeqCst) > 0).await;
    assert_eq!(harness.runner.begun.load(Ordering::SeqCst), 1);
}

#[rstest]
#[case(Method::Hello)]
#[case(Method::GetTask)]
#[case(Method::Heartbeat)]
#[case(Method::Upload)]
#[case(Method::Finish)]
#[tokio::test]
async fn a_token_that_expires_in_the_middle_is_replaced_and_the_call_repeated(#[case] method: Method) {
    let harness = Harness::start_with(HarnessOptions {
        platform: PlatformOptions {
            faults: vec![Fault::new(method, FaultKind::Expire)],
            ..frequent_polls()
        },
        ..HarnessOptions::default()
    })
    .await;
    let id = harness.platform.add(sync());
    assert!(is_success(&harness.finished(&id).await));
    assert_eq!(harness.runner.begun.load(Ordering::SeqCst), 1);
    let (tokens, refused) = harness
        .platform
        .look(|ledger| (ledger.tokens, ledger.refused_assertions.clone()));
    assert!(tokens >= 2 && refused.is_empty(), "{tokens} {refused:?}");
}

#[rstest]
#[case::token_unavailable(Method::Token, FaultKind::Refuse(Code::Unavailable))]
#[case::token_limited(Method::Token, FaultKind::Refuse(Code::ResourceExhausted))]
#[case::token_closed(Method::Token, FaultKind::Close)]
#[case::hello_unavailable(Method::Hello, FaultKind::Refuse(Code::Unavailable))]
#[case::hello_closed(Method::Hello, FaultKind::Close)]
#[case::poll_refused(Method::GetTask, FaultKind::Refuse(Code::PermissionDenied))]
#[case::poll_closed(Method::GetTask, FaultKind::Close)]
#[case::report_unavailable(Method::Finish, FaultKind::Refuse(Code::Unavailable))]
#[case::report_closed(Method::Finish, FaultKind::Close)]
#[case::late(Method::Any, FaultKind::Delay(Duration::from_millis(20)))]
#[tokio::test]
async fn trouble_at_the_platform_that_passes_is_ridden_out(#[case] method: Method, #[case] kind: FaultKind) {
    let harness = Harness::start_with(HarnessOptions {
        platform: PlatformOptions {
            faults: vec![Fault::new(method, kind).times(3)],
            ..frequent_polls()
        },
        ..HarnessOptions::default()
    })
    .await;
    let person = harness.outsider();
    let id = harness.platform.add(harness.grant(&person));
    assert!(is_success(&harness.finished(&id).await) && harness.holds(&person));
}

#[tokio::test]
async fn a_report_whose_answer_was_lost_is_not_an_error_at_its_repetition() {
    let mut harness = Harness::start().await;
    harness.platform.fail(Fault::new(Method::Finish, FaultKind::Lost));
    let id = harness.platform.add(harness.grant(&harness.outsider()));
    assert!(is_success(&harness.finished(&id).await));
    harness
        .until("the repetition", |ledger| ledger.count(Method::Finish) == 2)
        .await;
    harness.shut_down();
    harness.ended().await.unwrap();
    assert_eq!(harness.platform.look(|ledger| ledger.finished.len()), 1);
}

#[rstest]
#[case::token(Method::Token, Code::Unauthenticated)]
#[case::unauthenticated(Method::Hello, Code::Unauthenticated)]
#[case::denied(Method::Hello, Code::PermissionDenied)]
#[case::unknown(Method::Hello, Code::NotFound)]
#[tokio::test]
async fn a_hello_that_is_refused_for_good_ends_the_service(#[case] method: Method, #[case] code: Code) {
    let mut harness = Harness::start_with(HarnessOptions {
        platform: PlatformOptions {
            faults: vec![Fault::new(method, FaultKind::Refuse(code)).times(1_000)],
            ..frequent_polls()
        },
        ..HarnessOptions::default()
    })
    .await;
    let error = harness.ended().await.unwrap_err().to_string();
    assert!(error.contains("BATON_CLIENT_ID") && !error.contains('\n'), "{error}");
    if method == Method::Hello {
        assert!(error.contains("the sandbox refuses it on purpose"), "{error}");
    }
    assert!(!error.contains("secret-token"), "{error}");
}

#[tokio::test]
async fn a_platform_that_is_not_trusted_is_named_as_such() {
    let mut harness = Harness::start_with(HarnessOptions {
        trusted: false,
        ..HarnessOptions::default()
    })
    .await;
    let error = harness.ended().await.unwrap_err().to_string();
    assert!(
        error.contains("certificate is not trusted") && error.contains("--platform-ca"),
        "{error}"
    );
}

#[tokio::test]
async fn a_platform_that_hangs_does_not_hold_up_the_end() {
    for method in [Method::Token, Method::Hello, Method::GetTask] {
        let mut harness = Harness::start_with(HarnessOptions {
            platform: PlatformOptions {
                faults: vec![Fault::new(method, FaultKind::Hang).times(1_000)],
                ..frequent_polls()
            },
            ..HarnessOptions::default()
        })
        .await;
        harness.until("the call", |ledger| ledger.count(method) > 0).await;
        harness.shut_down();
        harness.ended().await.unwrap();
    }
}

#[tokio::test]
async fn what_was_begun_is_finished_within_the_drain() {
    let mut harness = Harness::start().await;
    let delay = BuildkiteFaultKind::Delay(Duration::from_millis(300));
    harness
        .sandbox
        .faults()
        .add(BuildkiteFault::new(Endpoint::AddTeamMember, delay));
    let person = harness.outsider();
    let id = harness.platform.add(harness.grant(&person));
    until(|| harness.sandbox.request_log().count(Endpoint::TeamMember) > 0).await;
    harness.shut_down();
    let late = harness.platform.add(sync());
    harness.ended().await.unwrap();
    assert!(is_success(&harness.finished(&id).await) && harness.holds(&person));
    assert!(harness.platform.look(|ledger| ledger.finished_task(&late).is_none()));
    assert!(!harness.health.is_ready());
}

#[tokio::test]
async fn a_hello_task_that_the_platform_leaves_hanging_does_not_hold_up_the_end() {
    let mut harness = Harness::start_with(HarnessOptions {
        platform: PlatformOptions {
            // The first hello opens the session.
            faults: vec![Fault::new(Method::Hello, FaultKind::Hang).after(1).times(1_000)],
            ..frequent_polls()
        },
        drain: Duration::from_millis(20),
        ..HarnessOptions::default()
    })
    .await;
    let hello = TaskType::Hello(HelloTask::default());
    let _ = harness.platform.add(hello);
    harness
        .until("the task's hello", |ledger| ledger.count(Method::Hello) > 1)
        .await;
    harness.shut_down();
    harness.ended().await.unwrap();
}

/// What is under way when the process is told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UnderWay {
    Sync,
    Grant,
    Revoke,
}

#[rstest]
#[case::sync(UnderWay::Sync)]
#[case::grant(UnderWay::Grant)]
#[case::revoke(UnderWay::Revoke)]
#[tokio::test]
async fn what_is_not_finished_within_the_drain_is_reported_as_cancelled(#[case] under_way: UnderWay) {
    let mut harness = Harness::start_with(HarnessOptions {
        drain: Duration::from_millis(20),
        ..HarnessOptions::default()
    })
    .await;
    harness.runner.blocks.store(true, Ordering::SeqCst);
    let id = if under_way == UnderWay::Sync {
        let id = harness.platform.add(sync());
        until(|| harness.runner.begun.load(Ordering::SeqCst) == 1).await;
        id
    } else {
        let hang = BuildkiteFault::new(Endpoint::TeamMember, BuildkiteFaultKind::Hang);
        let hangs = harness.sandbox.faults().add(hang);
        let person = harness.outsider();
        let id = harness.platform.add(match under_way {
            UnderWay::Revoke => harness.revoke(&person),
            _ => harness.grant(&person),
        });
        until(|| hangs.fired() > 0).await;
        id
    };
    harness.shut_down();
    harness.ended().await.unwrap();
    let (code, status, again) = failure(&harness.finished(&id).await);
    assert_eq!((code, again), (Code::Cancelled, true), "{}", status.message);
    assert_eq!(harness.files_left(), 0);
    assert_eq!(harness.platform.look(|ledger| ledger.count(Method::Upload)), 0);
}

#[tokio::test]
async fn after_a_crash_the_task_is_handed_out_again_and_a_grant_is_there_already() {
    let harness = Harness::start().await;
    let person = harness.outsider();
    let first = harness.platform.add(harness.grant(&person));
    assert!(is_success(&harness.finished(&first).await));
    let second = harness.platform.add(harness.grant(&person));
    let finished = harness.finished(&second).await;
    let Some(FinalState::Success(success)) = finished.report.final_state else {
        panic!("no success");
    };
    let names: Vec<_> = success.annotations.iter().map(|any| any.type_url.clone()).collect();
    assert_eq!(names, ["type.googleapis.com/c1.connector.v2.GrantAlreadyExists"]);
}
