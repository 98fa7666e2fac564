//! The rows of what a team has access to (reference, section 2.9).
//!
//! As in [`super::types`], only the id is required. A level that this release does not know stays out of these types.

use serde::{Deserialize, Deserializer};

use super::ids::{PipelineId, SuiteId};
use super::types::{text, tolerant};

/// A pipeline that a team has access to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TeamPipeline {
    /// The pipeline.
    pub pipeline_id: PipelineId,
    /// The level of access as Buildkite wrote it.
    #[serde(default, deserialize_with = "text")]
    pub access_level: Option<String>,
    /// The beginning of the access as Buildkite wrote it; it changes when the access is removed and given again.
    #[serde(default, deserialize_with = "text")]
    pub created_at: Option<String>,
}

/// A test suite that a team has access to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TeamSuite {
    /// The suite.
    pub suite_id: SuiteId,
    /// What the team may do, in any order.
    #[serde(default, deserialize_with = "texts")]
    pub access_level: Vec<String>,
    /// The beginning of the access as Buildkite wrote it; it changes when the access is removed and given again.
    #[serde(default, deserialize_with = "text")]
    pub created_at: Option<String>,
}

/// The texts of an array, or a single text; empty for any other value.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Texts {
        One(String),
        Many(Vec<serde_json::Value>),
    }
    Ok(match tolerant::<D, Texts>(deserializer)? {
        Some(Texts::One(text)) => vec![text],
        Some(Texts::Many(values)) => {
            let texts = values.iter().filter_map(|value| value.as_str());
            texts.map(str::to_owned).collect()
        }
        None => Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    const ID: &str = "0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d";

    #[rstest]
    #[case(json!(["edit", "read"]), &["edit", "read"])]
    #[case(json!(["read", 5, null]), &["read"])]
    #[case(json!("read"), &["read"])]
    #[case(json!([]), &[])]
    #[case(json!(null), &[])]
    #[case(json!({"read": true}), &[])]
    fn what_a_team_may_do_with_a_suite_is_an_array_of_texts(#[case] level: serde_json::Value, #[case] texts: &[&str]) {
        let row: TeamSuite = serde_json::from_value(json!({"suite_id": ID, "access_level": level})).unwrap();
        assert_eq!(row.access_level, texts);
    }

    #[rstest]
    #[case(json!({"pipeline_id": ID}), None)]
    #[case(json!({"pipeline_id": ID, "access_level": ["read_only"], "created_at": 5}), None)]
    #[case(json!({"pipeline_id": ID, "access_level": "read_only", "pipeline_url": {}}), Some("read_only"))]
    fn a_team_pipeline_requires_only_its_id(#[case] row: serde_json::Value, #[case] level: Option<&str>) {
        let row: TeamPipeline = serde_json::from_value(row).unwrap();
        assert_eq!(row.access_level.as_deref(), level);
    }

    #[test]
    fn a_row_without_an_id_is_rejected() {
        assert!(serde_json::from_value::<TeamPipeline>(json!({"access_level": "read_only"})).is_err());
        assert!(serde_json::from_value::<TeamSuite>(json!({"suite_id": "../x", "access_level": []})).is_err());
    }
}
