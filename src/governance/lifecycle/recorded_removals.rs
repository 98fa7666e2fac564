//! The removals of the last hour that an audit file shows.

use std::collections::HashSet;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::record::OFF_BOARD;
use crate::files;

/// The bytes at the end of the file that are read first; as long as they do not reach back far enough, four times as many are read.
const FIRST_BLOCK: u64 = 64 * 1024;

/// The fields of a line that say whether it is about a removal.
#[derive(Deserialize)]
struct Line {
    record: String,
    time: Timestamp,
    operation: String,
    request_id: String,
    #[serde(default)]
    resource_id: Option<String>,
    #[serde(default)]
    organization: Option<String>,
    #[serde(default)]
    outcome: Option<String>,
    #[serde(default)]
    calls: Vec<Call>,
}

#[derive(Deserialize)]
struct Call {
    call: String,
    #[serde(default)]
    status: Option<u16>,
}

impl Call {
    /// Whether the request was accepted or may have been applied: without a usable response nobody knows.
    fn may_have_applied(&self) -> bool {
        self.status.is_none_or(|status| matches!(status, 200..300 | 500..))
    }
}

/// The times of the removals of the last hour. An intent without an outcome counts, because the process may have ended after the
/// removal, and so does a failure after a removal that may have been applied.
pub(super) fn removals_in(path: &Path, organization: &str, removal_call: &str) -> io::Result<Vec<Timestamp>> {
    let since = Timestamp::now() - SignedDuration::from_secs(60 * 60);
    let text = match tail(path, since) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let of_removals = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
    let of_removals = of_removals.filter(|line| {
        line.operation == OFF_BOARD && line.time >= since && line.organization.as_deref() == Some(organization)
    });
    let (mut times, mut begun, mut ended) = (Vec::new(), Vec::new(), HashSet::new());
    for line in of_removals {
        let key = (line.request_id, line.resource_id);
        match (line.record.as_str(), line.outcome.as_deref()) {
            ("intent", _) => begun.push((key, line.time)),
            ("outcome", outcome) => {
                let mut removals = line.calls.iter().filter(|call| call.call == removal_call);
                let may_be_done = outcome == Some("failed") && removals.any(Call::may_have_applied);
                if may_be_done || outcome == Some("deleted") {
                    times.push(line.time);
                }
                ended.insert(key);
            }
            _ => {}
        }
    }
    times.extend(
        begun
            .into_iter()
            .filter(|(key, _)| !ended.contains(key))
            .map(|(_, time)| time),
    );
    Ok(times)
}

/// The end of the file, from an intent before `since` on, or all of it. Intents are in the order of their times.
fn tail(path: &Path, since: Timestamp) -> io::Result<String> {
    let mut file = files::open(path)?;
    let length = file.metadata()?.len();
    let mut block = FIRST_BLOCK;
    loop {
        let start = length.saturating_sub(block);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.by_ref().take(length - start).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
        let first_intent = lines.into_iter().find(|line| line.record == "intent");
        if start == 0 || first_intent.is_some_and(|line| line.time < since) {
            return Ok(text);
        }
        block = block.saturating_mul(4);
    }
}
