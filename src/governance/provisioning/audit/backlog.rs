//! Outcome lines that could not be written yet. Up to a limit the lines are kept; beyond it they are only counted.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde_json::json;

/// The maximum number of kept lines, of some hundred bytes each.
const MAX_LINES: usize = 1_000;

/// The lines, in the order in which they became due.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    lines: VecDeque<String>,
    /// The number of lines that were not kept.
    missing: u64,
}

/// The next text to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pending {
    /// An outcome line.
    Line(String),
    /// A note that this number of outcome lines is missing here.
    Gap(u64),
}

impl Pending {
    /// The line of the file.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Line(line) => line.clone(),
            Self::Gap(missing) => json!({
                "record": "gap",
                "time": Timestamp::now().to_string(),
                "outcomes_missing": missing,
            })
            .to_string(),
        }
    }
}

impl Backlog {
    /// Keeps a line, or counts it.
    pub(crate) fn push(&mut self, line: String) {
        if self.lines.len() < MAX_LINES {
            self.lines.push_back(line);
        } else {
            self.missing += 1;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.missing == 0
    }

    /// The next text to write, if any: first the kept lines, then the gap.
    pub(crate) fn next(&self) -> Option<Pending> {
        let line = self.lines.front().cloned().map(Pending::Line);
        line.or_else(|| (self.missing > 0).then_some(Pending::Gap(self.missing)))
    }

    /// Removes a text that was written.
    pub(crate) fn remove(&mut self, written: &Pending) {
        match written {
            Pending::Line(_) => drop(self.lines.pop_front()),
            Pending::Gap(written) => {
                self.missing = self.missing.saturating_sub(*written);
                tracing::error!(
                    missing = written,
                    "outcome lines are missing from the audit record: the log's target `audit` has them"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_lines_are_kept_in_order_and_more_are_counted() {
        let mut backlog = Backlog::default();
        assert!(backlog.is_empty() && backlog.next().is_none());
        for line in 0..MAX_LINES + 3 {
            backlog.push(line.to_string());
        }
        for line in 0..MAX_LINES {
            let next = backlog.next().unwrap();
            assert_eq!(next, Pending::Line(line.to_string()));
            backlog.remove(&next);
        }
        let gap = backlog.next().unwrap();
        assert_eq!(gap, Pending::Gap(3));
        let line: serde_json::Value = serde_json::from_str(&gap.text()).unwrap();
        assert_eq!((&line["record"], &line["outcomes_missing"]), (&json!("gap"), &json!(3)));
        // A line that is added while the gap is written is not part of the gap.
        backlog.push("later".into());
        backlog.remove(&gap);
        assert_eq!(backlog.next(), Some(Pending::Line("later".into())));
    }
}
