//! Each team's lists are read once in a sync, in the background, and serve every page.

use std::collections::BTreeSet;

use rstest::rstest;

use super::harness::{
    ONCE, a_pipeline, carried_requests, connector, connector_with, entitle, grants, limited, list, organization, setup,
    truth,
};
use crate::support::platform::{SYNC, id_of, resource};
use crate::support::{details, until};
use buildkite_connector::sandbox::{Endpoint, LimitOptions};
use tonic::Code;

#[rstest]
#[tokio::test]
async fn a_sync_requests_the_lists_of_each_team_once_for_each_kind(#[values(0, 1, 16)] read_ahead: usize) {
    let sandbox = organization().await;
    let mut setup = setup();
    setup.access.read_ahead = read_ahead;
    let connector = connector_with(&sandbox, setup).await;
    let platform = connector.platform().await;
    for sync in [SYNC, "3abcdefghijklmnopqrstuvwxyz"] {
        let before = carried_requests(&sandbox);
        let listed = list(&platform, sync).await;
        entitle(&platform, &listed).await;
        assert_eq!(grants(&platform, sync, &listed).await.unwrap(), truth(&sandbox));
        platform.cleanup(sync).await.unwrap();
        let after = carried_requests(&sandbox);
        assert_eq!([after[0] - before[0], after[1] - before[1]], ONCE);
    }
    assert!(sandbox.request_log().peak_in_flight() <= 2 * read_ahead.max(1) + 2);
}

#[tokio::test]
async fn the_lists_are_read_before_the_first_grants_are_requested() {
    let sandbox = organization().await;
    let connector = connector(&sandbox).await;
    let platform = connector.platform().await;
    let listed = list(&platform, SYNC).await;
    until(|| carried_requests(&sandbox) == ONCE).await;
    let total = sandbox.request_log().total();
    let carried = platform.grants(a_pipeline(&listed)).await.unwrap();
    assert!(!carried.is_empty());
    // The owner's role is read once more at the end of each reading.
    assert!(sandbox.request_log().total() <= total + 2);
}

#[tokio::test]
async fn a_client_that_requests_all_pages_at_once_waits_for_one_reading() {
    let sandbox = organization().await;
    let connector = connector(&sandbox).await;
    let platform = connector.platform().await;
    let listed = list(&platform, SYNC).await;
    let all = listed["pipeline"].iter().map(|pipeline| platform.grants(pipeline));
    let all = futures::future::join_all(all).await;
    let read: usize = all.iter().map(|rows| rows.as_ref().unwrap().len()).sum();
    let truth = truth(&sandbox).into_iter().filter(|id| id.starts_with("pipeline:"));
    assert_eq!(read, truth.count());
    until(|| carried_requests(&sandbox) == ONCE).await;
}

#[tokio::test]
async fn pages_of_one_row_hold_every_grant_once() {
    let sandbox = organization().await;
    let connector = connector(&sandbox).await;
    let platform = connector.platform().await;
    let listed = list(&platform, SYNC).await;
    for pipeline in listed["pipeline"].iter().take(5) {
        let (mut ids, mut token) = (Vec::new(), String::new());
        loop {
            let page = platform.grants_sized(pipeline, &token, SYNC, 1).await.unwrap();
            assert!(page.list.len() <= 1);
            ids.extend(page.list.into_iter().map(|grant| grant.id));
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        let prefix = format!("pipeline:{}:", id_of(pipeline));
        let expected = truth(&sandbox).into_iter().filter(|id| id.starts_with(&prefix));
        assert_eq!(ids.len(), ids.iter().collect::<BTreeSet<_>>().len());
        assert_eq!(BTreeSet::from_iter(ids), expected.collect());
    }
}

#[tokio::test]
async fn a_page_token_that_no_list_of_carried_grants_produces_is_rejected() {
    let sandbox = organization().await;
    let connector = connector(&sandbox).await;
    let platform = connector.platform().await;
    let listed = list(&platform, SYNC).await;
    let entitlements = platform.entitlements_sized(a_pipeline(&listed), "", 1).await.unwrap();
    let page = platform.grants_page(a_pipeline(&listed), &entitlements.next_page_token);
    assert_eq!(page.await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_request_for_one_pipeline_uses_the_index_of_an_earlier_sync() {
    let sandbox = organization().await;
    let connector = connector(&sandbox).await;
    let platform = connector.platform().await;
    let listed = list(&platform, SYNC).await;
    grants(&platform, SYNC, &listed).await.unwrap();
    platform.cleanup(SYNC).await.unwrap();
    let pipeline = a_pipeline(&listed);
    let total = sandbox.request_log().total();
    for sync in ["targeted", ""] {
        assert!(!platform.grants_in(sync, pipeline).await.unwrap().is_empty());
    }
    assert_eq!(sandbox.request_log().total(), total);
}

#[tokio::test]
async fn an_index_that_is_too_old_is_read_again_for_a_request_outside_of_the_sync() {
    let sandbox = organization().await;
    let mut setup = setup();
    setup.access.directory_max_age = std::time::Duration::ZERO;
    let connector = connector_with(&sandbox, setup).await;
    let platform = connector.platform().await;
    let listed = list(&platform, SYNC).await;
    let carried = grants(&platform, SYNC, &listed).await.unwrap();
    assert_eq!(carried, truth(&sandbox));
    let teams = sandbox.request_log().count(Endpoint::Teams);
    platform.grants_in("targeted", a_pipeline(&listed)).await.unwrap();
    assert_eq!(carried_requests(&sandbox)[0], 2 * ONCE[0]);
    assert_eq!(sandbox.request_log().count(Endpoint::Teams), teams + 1);
}

#[tokio::test]
async fn a_pipeline_that_does_not_exist_is_not_found_and_one_without_teams_has_no_grants() {
    let sandbox = organization().await;
    let connector = connector(&sandbox).await;
    let platform = connector.platform().await;
    let alone = sandbox.edit(|organization| {
        let pipeline = organization.pipelines()[0].id;
        let teams: Vec<_> = organization.teams().iter().map(|team| team.id).collect();
        for team in teams {
            organization.team_mut(team).unwrap().remove_pipeline(pipeline);
        }
        resource("pipeline", &pipeline.to_string())
    });
    assert_eq!(platform.grants_in("targeted", &alone).await.unwrap(), []);
    let absent = resource("pipeline", "0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d");
    let status = platform.grants_in("targeted", &absent).await.unwrap_err();
    assert_eq!(
        (status.code(), details(&status).reason.as_str()),
        (Code::NotFound, "RESOURCE_NOT_FOUND")
    );
}

#[tokio::test]
async fn a_sync_of_a_limited_organization_draws_no_refusal() {
    let limits = LimitOptions {
        organization: Some(200),
        user: Some(40),
        window: std::time::Duration::from_secs(5),
        ..LimitOptions::default()
    };
    let sandbox = limited(limits).await;
    let connector = connector(&sandbox).await;
    let platform = connector.platform().await;
    let listed = list(&platform, SYNC).await;
    assert_eq!(grants(&platform, SYNC, &listed).await.unwrap(), truth(&sandbox));
    assert_eq!(carried_requests(&sandbox), ONCE);
    assert_eq!(sandbox.request_log().count_status(429), 0);
}
