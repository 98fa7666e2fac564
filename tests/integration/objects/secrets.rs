//! What Buildkite's rows of pipelines hold beside what is shown stays where it is.

use buildkite_connector::sandbox::SECRET_MARKER;
use tracing::Level;

use crate::support::log::Log;
use crate::support::{ObjectList, covering_all, sandbox, sized};

#[tokio::test]
async fn no_secret_of_a_row_reaches_a_platform_or_the_log() {
    let (log, _guard) = Log::capture(Level::TRACE);
    let sandbox = sandbox(sized(1, 1, 2)).await;
    for list in ObjectList::OF_RESOURCES {
        list.fill(&sandbox, 3);
    }
    let pipelines = sandbox.with_organization(|organization| format!("{:?}", organization.pipelines()));
    assert!(pipelines.contains(SECRET_MARKER), "nothing was planted");
    let (_server, platform) = covering_all(&sandbox).await;
    for list in ObjectList::OF_RESOURCES {
        let rows = platform.resources(list.kind()).await.unwrap();
        assert_eq!(rows.len(), 3, "{list:?}");
        for row in &rows {
            let id = row.id.as_ref().unwrap().resource.clone();
            let shown = platform.resource(list.kind(), &id).await.unwrap();
            assert!(!format!("{row:?} {shown:?}").contains(SECRET_MARKER), "{list:?}");
        }
    }
    let log = log.text();
    assert!(log.contains("buildkite_connector"), "the connector logged nothing");
    let line = log.lines().find(|line| line.contains(SECRET_MARKER));
    assert_eq!(line, None);
}
