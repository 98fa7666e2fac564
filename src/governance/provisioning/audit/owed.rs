//! Outcome lines that could not be written yet. Up to a bound they are kept; of those beyond it the number is.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde_json::json;

/// Lines that are kept: of some hundred bytes each.
const KEPT: usize = 1_000;

/// The lines, in the order in which they became due.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    lines: VecDeque<String>,
    /// How many were not kept.
    missing: u64,
}

/// What is to be written next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Due {
    /// An outcome line.
    Line(String),
    /// That so many outcome lines are missing here.
    Gap(u64),
}

impl Due {
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

impl Owed {
    /// Keeps a line, or counts it.
    pub(crate) fn push(&mut self, line: String) {
        if self.lines.len() < KEPT {
            self.lines.push_back(line);
        } else {
            self.missing += 1;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.missing == 0
    }

    /// What is to be written next, if anything is: the gap once all that was kept is written.
    pub(crate) fn due(&self) -> Option<Due> {
        let line = self.lines.front().cloned().map(Due::Line);
        line.or_else(|| (self.missing > 0).then_some(Due::Gap(self.missing)))
    }

    /// That was written.
    pub(crate) fn paid(&mut self, due: &Due) {
        match due {
            Due::Line(_) => drop(self.lines.pop_front()),
            Due::Gap(told) => {
                self.missing = self.missing.saturating_sub(*told);
                tracing::error!(
                    missing = told,
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
        let mut owed = Owed::default();
        assert!(owed.is_empty() && owed.due().is_none());
        for line in 0..KEPT + 3 {
            owed.push(line.to_string());
        }
        for line in 0..KEPT {
            let due = owed.due().unwrap();
            assert_eq!(due, Due::Line(line.to_string()));
            owed.paid(&due);
        }
        let gap = owed.due().unwrap();
        assert_eq!(gap, Due::Gap(3));
        let line: serde_json::Value = serde_json::from_str(&gap.text()).unwrap();
        assert_eq!((&line["record"], &line["outcomes_missing"]), (&json!("gap"), &json!(3)));
        // One that becomes due while the gap is written is not part of it.
        owed.push("later".into());
        owed.paid(&gap);
        assert_eq!(owed.due(), Some(Due::Line("later".into())));
    }
}
