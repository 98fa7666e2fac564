//! A sync that continues in another process, which lists what it needs once and loses nothing.

use std::collections::BTreeSet;

use buildkite_connector::sandbox::Endpoint;

use super::harness::{ONCE, TEAMS, carried_requests, connector, entitle, grants, list, organization, truth};
use crate::support::platform::{SYNC, id_of};

#[tokio::test]
async fn a_sync_that_continues_in_a_new_process_lists_the_teams_once_and_is_complete() {
    let sandbox = organization().await;
    let (first, second) = (connector(&sandbox).await, connector(&sandbox).await);
    let (before, after) = (first.platform().await, second.platform().await);
    let mut listed = list(&before, SYNC).await;
    entitle(&before, &listed).await;
    let rest = listed.get_mut("pipeline").unwrap().split_off(10);
    let mut ids = grants(&before, SYNC, &listed).await.unwrap();
    first.stop().await;
    assert_eq!(carried_requests(&sandbox), ONCE);
    let teams = sandbox.request_log().count(Endpoint::Teams);
    listed.clear();
    listed.insert("pipeline", rest);
    ids.extend(grants(&after, SYNC, &listed).await.unwrap());
    assert_eq!(ids, truth(&sandbox));
    assert_eq!(carried_requests(&sandbox), [2 * ONCE[0], ONCE[1]]);
    assert_eq!(sandbox.request_log().count(Endpoint::Teams), teams + 1);
    after.cleanup(SYNC).await.unwrap();
}

#[tokio::test]
async fn a_new_process_lists_the_teams_once_for_all_kinds_and_for_their_own_grants() {
    let sandbox = organization().await;
    let (first, second) = (connector(&sandbox).await, connector(&sandbox).await);
    let listed = list(&first.platform().await, SYNC).await;
    first.stop().await;
    let teams = sandbox.request_log().count(Endpoint::Teams);
    let members = sandbox.request_log().count(Endpoint::TeamMembers);
    let after = second.platform().await;
    assert_eq!(grants(&after, SYNC, &listed).await.unwrap(), truth(&sandbox));
    assert_eq!(sandbox.request_log().count(Endpoint::Teams), teams + 1);
    assert_eq!(
        sandbox.request_log().count(Endpoint::TeamMembers),
        members + TEAMS as u64
    );
}

#[tokio::test]
async fn the_pages_of_a_pipeline_continue_in_a_new_process() {
    let sandbox = organization().await;
    let (first, second) = (connector(&sandbox).await, connector(&sandbox).await);
    let (before, after) = (first.platform().await, second.platform().await);
    let listed = list(&before, SYNC).await;
    let pipeline = &listed["pipeline"][3];
    let page = before.grants_sized(pipeline, "", SYNC, 2).await.unwrap();
    let mut ids: Vec<String> = page.list.into_iter().map(|grant| grant.id).collect();
    assert_eq!(ids.len(), 2);
    first.stop().await;
    let mut token = page.next_page_token;
    while !token.is_empty() {
        let page = after.grants_sized(pipeline, &token, SYNC, 2).await.unwrap();
        ids.extend(page.list.into_iter().map(|grant| grant.id));
        token = page.next_page_token;
    }
    let prefix = format!("pipeline:{}:", id_of(pipeline));
    let expected: BTreeSet<String> = truth(&sandbox)
        .into_iter()
        .filter(|id| id.starts_with(&prefix))
        .collect();
    assert_eq!((ids.len(), BTreeSet::from_iter(ids)), (expected.len(), expected));
}
