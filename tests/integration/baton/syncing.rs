//! One sync into a c1z.

use buildkite_connector::sandbox::Seed;
use rstest::rstest;

use super::linked::{Linked, printed};
use crate::export::job::{ended, truth};
use crate::export::read_back::C1z;
use crate::support::{sandbox, sized};

#[tokio::test]
async fn a_sync_without_flags_writes_sync_c1z_where_it_runs() {
    let sandbox = sandbox(sized(4, 7, 20)).await;
    let linked = Linked::new();
    printed(ended(linked.on(&sandbox, &[])).await, 0);
    assert_eq!(C1z::open(&linked.path("sync.c1z")).truth(), truth(&sandbox));
}

#[tokio::test]
async fn a_sync_needs_no_account_with_the_embedded_sandbox() {
    let linked = Linked::new();
    printed(ended(linked.command(&["--sandbox", "-f", "x.c1z"])).await, 0);
    let truth = C1z::open(&linked.path("x.c1z")).truth();
    assert!(!truth.users.is_empty() && !truth.teams.is_empty() && !truth.grants.is_empty());
}

#[tokio::test]
async fn the_two_newest_syncs_are_kept() {
    let sandbox = sandbox(sized(1, 2, 3)).await;
    let linked = Linked::new();
    for _ in 0..3 {
        printed(ended(linked.on(&sandbox, &["--file=x.c1z"])).await, 0);
    }
    assert_eq!(C1z::open(&linked.path("x.c1z")).finished().len(), 2);
}

#[rstest]
#[case::everything(&[], [2, 22, 4, 14], "full")]
#[case::no_grants(&["--skip-grants"], [2, 22, 4, 0], "full")]
#[case::switched_off(&["--skip-grants=false"], [2, 22, 4, 14], "full")]
#[case::resources_only(&["--skip-entitlements-and-grants"], [2, 22, 0, 0], "resources_only")]
#[case::users_only(&["--sync-resource-types", "user"], [1, 20, 0, 0], "full")]
#[case::types(&["--sync-resource-types", "user,team"], [2, 22, 4, 14], "full")]
#[tokio::test]
async fn what_is_synced_follows_the_flags(#[case] flags: &[&str], #[case] rows: [i64; 4], #[case] kind: &str) {
    let sandbox = sandbox(sized(2, 7, 20)).await;
    let linked = Linked::new();
    printed(ended(linked.on(&sandbox, flags)).await, 0);
    let file = C1z::open(&linked.path("sync.c1z"));
    let tables = ["v1_resource_types", "v1_resources", "v1_entitlements", "v1_grants"];
    assert_eq!(
        tables.map(|table| file.number(&format!("select count(*) from {table}"))),
        rows
    );
    assert_eq!(file.text("select sync_type from v1_sync_runs"), [kind]);
}

#[tokio::test]
async fn a_targeted_sync_reads_the_resources_that_are_named() {
    let sandbox = sandbox(sized(3, 5, 20)).await;
    let team = sandbox.with_organization(|organization| organization.teams()[1].id.to_string());
    let linked = Linked::new();
    let bid = format!("bid:r:team/{team}");
    printed(ended(linked.on(&sandbox, &["--sync-resources", &bid])).await, 0);
    let file = C1z::open(&linked.path("sync.c1z"));
    assert_eq!(
        file.text("select external_id from v1_resources"),
        [format!("team:{team}")]
    );
    assert_eq!(file.number("select count(*) from v1_grants"), 5);
    assert_eq!(file.text("select sync_type from v1_sync_runs"), ["partial"]);
}

#[rstest]
#[case::version_3(b"C1Z3\0anything", "version 3")]
#[case::something_else(b"a letter", "is not a c1z")]
#[tokio::test]
async fn what_is_no_c1z_of_version_1_is_refused_and_stays(#[case] bytes: &[u8], #[case] why: &str) {
    let sandbox = sandbox(Seed::Example).await;
    let linked = Linked::new();
    linked.write("sync.c1z", bytes);
    let printed = printed(ended(linked.on(&sandbox, &[])).await, 2);
    assert!(printed.contains(why), "{printed}");
    assert_eq!(std::fs::read(linked.path("sync.c1z")).unwrap(), bytes);
    assert_eq!(sandbox.request_log().total(), 0);
}

#[tokio::test]
async fn an_empty_file_counts_as_new() {
    let sandbox = sandbox(sized(1, 2, 3)).await;
    let linked = Linked::new();
    linked.write("sync.c1z", b"");
    printed(ended(linked.on(&sandbox, &[])).await, 0);
    assert_eq!(C1z::open(&linked.path("sync.c1z")).truth(), truth(&sandbox));
}
