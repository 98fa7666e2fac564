//! The formats of a sync's file.

use std::path::Path;

/// How a sync is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// The file of the Baton ecosystem, version 1
    C1z,
    /// One JSON object a line, in the order of the sync
    Jsonl,
    /// One table with a row for each role that a user holds in a team
    Csv,
    /// A directory with one JSON file a resource type, and `grants.json`
    Json,
}

impl Format {
    /// The format that a path's ending names, in any case; none where it names none.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        match ending.as_str() {
            "c1z" => Some(Self::C1z),
            "jsonl" => Some(Self::Jsonl),
            "csv" => Some(Self::Csv),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("sync.c1z", Some(Format::C1z))]
    #[case("a/b.c1z/sync.JSONL", Some(Format::Jsonl))]
    #[case("access.csv", Some(Format::Csv))]
    #[case("access.json", Some(Format::Json))]
    #[case("access.json/", Some(Format::Json))]
    #[case("access.xlsx", None)]
    #[case("access", None)]
    #[case("", None)]
    fn the_format_follows_from_the_ending(#[case] path: &str, #[case] format: Option<Format>) {
        assert_eq!(Format::of(Path::new(path)), format);
    }
}
