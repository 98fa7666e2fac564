//! A disk that is full, wherever it becomes so. The system's limit on the size of a file stands in for the disk.

use std::path::Path;
use std::process::Command;

use buildkite_connector::sandbox::{Sandbox, Seed};
use rstest::rstest;

use super::job::{Place, ended, synced};
use crate::support::process::set_up;
use crate::support::{sandbox, sized};

/// A sync that can write no file beyond this number of blocks (of 512 bytes, or 1,024 with some shells).
fn limited(sandbox: &Sandbox, place: &Path, blocks: u32) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .env_clear()
        // Ignored, so that a write that goes too far fails, as on a full disk, and does not end the process.
        .args(["-c", "trap '' XFSZ; ulimit -f \"$1\"; shift; exec \"$@\"", "sh"])
        .arg(blocks.to_string())
        .arg(assert_cmd::cargo::cargo_bin!("buildkite-connector"))
        .args(["sync", "--output"])
        .arg(place);
    set_up(&mut command, sandbox, sandbox.token());
    command
}

#[rstest]
#[case::at_the_first_row("access.c1z", 1)]
#[case::between_rows("access.c1z", 200)]
#[case::in_an_index("access.c1z", 1_100)]
#[case::at_the_first_row("access.jsonl", 1)]
#[case::between_rows("access.jsonl", 200)]
#[case::at_the_first_row("access.csv", 1)]
#[case::between_rows("access.csv", 200)]
#[case::at_the_first_row("access.json", 1)]
#[case::between_rows("access.json", 200)]
#[tokio::test]
async fn a_full_disk_leaves_the_old_file_and_nothing_else(#[case] name: &str, #[case] blocks: u32) {
    let sandbox = sandbox(sized(30, 50, 300)).await;
    let place = Place::new();
    synced(&sandbox, &place.path(name)).await;
    let before = place.contents();
    let ended = ended(limited(&sandbox, &place.path(name), blocks)).await;
    assert_eq!(ended.status.code(), Some(1), "{:#?}", ended.printed);
    assert_eq!(ended.printed.len(), 1, "{:#?}", ended.printed);
    let said = format!("error: {} cannot be written: ", place.path(name).display());
    assert!(ended.printed[0].starts_with(&said), "{:#?}", ended.printed);
    assert_eq!(place.contents(), before);
}

#[rstest]
#[case("access.jsonl")]
#[case("access.csv")]
#[case("access.json")]
#[tokio::test]
async fn a_disk_that_is_full_at_the_very_end_leaves_nothing(#[case] name: &str) {
    // All of it fits into the buffer that is written last.
    let sandbox = sandbox(sized(1, 3, 6)).await;
    let place = Place::new();
    let ended = ended(limited(&sandbox, &place.path(name), 0)).await;
    assert_eq!(ended.status.code(), Some(1), "{:#?}", ended.printed);
    assert!(place.contents().is_empty());
}

#[tokio::test]
async fn a_file_that_fits_is_written() {
    let sandbox = sandbox(Seed::Example).await;
    let place = Place::new();
    let ended = ended(limited(&sandbox, &place.path("access.c1z"), 10_000)).await;
    assert_eq!(ended.status.code(), Some(0), "{:#?}", ended.printed);
}
