//! When reads show a write.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::UnknownBehavior;

/// How long a write stays hidden from reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriteLag {
    /// It is visible at once.
    #[default]
    None,
    /// For this many reads of the row, alone or in its list.
    Reads(u32),
    /// For this long.
    For(Duration),
}

impl FromStr for WriteLag {
    type Err = UnknownBehavior;

    fn from_str(text: &str) -> Result<Self, UnknownBehavior> {
        if text == "none" {
            return Ok(Self::None);
        }
        if let Some(reads) = text.strip_suffix("-reads").and_then(|count| count.parse().ok()) {
            return Ok(Self::Reads(reads));
        }
        humantime::parse_duration(text)
            .map(Self::For)
            .map_err(|_| UnknownBehavior {
                value: text.to_owned(),
                known: "none, a number of reads such as 2-reads, a duration such as 500ms".to_owned(),
            })
    }
}

impl fmt::Display for WriteLag {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => out.write_str("none"),
            Self::Reads(reads) => write!(out, "{reads}-reads"),
            Self::For(time) => humantime::format_duration(*time).fmt(out),
        }
    }
}
