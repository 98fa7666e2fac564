//! Outcome lines that could not be written yet. Up to a limit the lines are kept; beyond it they are only counted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;

/// The maximum number of kept lines, of some hundred bytes each.
const MAX_LINES: usize = 1_000;

/// A line about a request that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutcomeLine {
    pub(crate) text: String,
    /// The connection that the line names.
    pub(crate) connection: Option<Arc<str>>,
}

/// The lines, in the order in which they became due.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    lines: VecDeque<OutcomeLine>,
    /// The numbers of lines that were not kept, by the connection that they name.
    missing: BTreeMap<Option<Arc<str>>, u64>,
}

/// The next text to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pending {
    /// An outcome line.
    Line(String),
    /// A note that this number of outcome lines of a connection is missing here.
    Gap(Option<Arc<str>>, u64),
}

impl Pending {
    /// The line of the file.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Line(line) => line.clone(),
            Self::Gap(connection, missing) => {
                let mut line = json!({
                    "record": "gap",
                    "time": Timestamp::now().to_string(),
                    "outcomes_missing": missing,
                });
                if let Some(connection) = connection {
                    line["connection"] = json!(&**connection);
                }
                line.to_string()
            }
        }
    }
}

impl Backlog {
    /// Keeps a line, or counts it.
    pub(crate) fn push(&mut self, line: OutcomeLine) {
        if self.lines.len() < MAX_LINES {
            self.lines.push_back(line);
        } else {
            *self.missing.entry(line.connection).or_default() += 1;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.missing.is_empty()
    }

    /// The next text to write, if any: first the kept lines, then the gap.
    pub(crate) fn next(&self) -> Option<Pending> {
        let line = self.lines.front().map(|line| Pending::Line(line.text.clone()));
        let gap = self.missing.first_key_value();
        line.or_else(|| gap.map(|(connection, missing)| Pending::Gap(connection.clone(), *missing)))
    }

    /// Removes a text that was written.
    pub(crate) fn remove(&mut self, written: &Pending) {
        match written {
            Pending::Line(_) => drop(self.lines.pop_front()),
            Pending::Gap(connection, written) => {
                if let Some(missing) = self.missing.get_mut(connection) {
                    *missing = missing.saturating_sub(*written);
                }
                self.missing.retain(|_, missing| *missing > 0);
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

    fn line(text: &str) -> OutcomeLine {
        OutcomeLine {
            text: text.to_owned(),
            connection: None,
        }
    }

    #[test]
    fn lines_of_several_connections_are_counted_for_each() {
        let mut backlog = Backlog::default();
        for number in 0..MAX_LINES {
            backlog.push(line(&number.to_string()));
        }
        for name in ["acme", "northwind", "acme"] {
            let connection = Some(name.into());
            backlog.push(OutcomeLine { connection, ..line("") });
        }
        while let Some(kept @ Pending::Line(_)) = backlog.next() {
            backlog.remove(&kept);
        }
        for (name, missing) in [("acme", 2), ("northwind", 1)] {
            let gap = backlog.next().unwrap();
            assert_eq!(gap, Pending::Gap(Some(name.into()), missing));
            assert!(gap.text().contains(&format!("\"connection\":\"{name}\"")));
            backlog.remove(&gap);
        }
        assert!(backlog.is_empty());
    }

    #[test]
    fn a_thousand_lines_are_kept_in_order_and_more_are_counted() {
        let mut backlog = Backlog::default();
        assert!(backlog.is_empty() && backlog.next().is_none());
        for number in 0..MAX_LINES + 3 {
            backlog.push(line(&number.to_string()));
        }
        for line in 0..MAX_LINES {
            let next = backlog.next().unwrap();
            assert_eq!(next, Pending::Line(line.to_string()));
            backlog.remove(&next);
        }
        let gap = backlog.next().unwrap();
        assert_eq!(gap, Pending::Gap(None, 3));
        let written: serde_json::Value = serde_json::from_str(&gap.text()).unwrap();
        assert_eq!(
            (&written["record"], &written["outcomes_missing"]),
            (&json!("gap"), &json!(3))
        );
        // A line that is added while the gap is written is not part of the gap.
        backlog.push(line("later"));
        backlog.remove(&gap);
        assert_eq!(backlog.next(), Some(Pending::Line("later".into())));
    }
}
