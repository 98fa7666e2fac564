//! Access that teams carry: Buildkite lists the pipelines and suites of a team, and not the teams of a pipeline or suite.

use async_trait::async_trait;
use uuid::Uuid;

use super::pipelines::{PIPELINE, Pipelines};
use super::rows::{converted, min_rows, position};
use super::suites::{SUITE, Suites};
use super::teams::TEAM;
use crate::governance::CallContext;
use crate::governance::model::{Level, ResourceTypeInfo};
use crate::governance::provider::{Amount, Batch, Carried, CarriedGrants, Cursor, Failure};
use crate::providers::buildkite::{TeamPipeline, TeamSuite};

#[async_trait]
impl CarriedGrants for Pipelines {
    fn carriers(&self) -> &'static ResourceTypeInfo {
        &TEAM
    }

    async fn carried_by(
        &self,
        carrier: Uuid,
        from: Option<Cursor>,
        amount: Amount,
        call: &CallContext,
    ) -> Result<Box<dyn Batch<Carried>>, Failure> {
        let (from, min_rows) = (position(from)?, min_rows(amount));
        let batch = self
            .client()
            .team_pipelines(carrier.into(), from, min_rows, call)
            .await?;
        Ok(converted(batch, |row: TeamPipeline| Carried {
            resource: row.pipeline_id.uuid(),
            level: row.access_level.as_deref().and_then(|level| PIPELINE.level(level)),
        }))
    }
}

#[async_trait]
impl CarriedGrants for Suites {
    fn carriers(&self) -> &'static ResourceTypeInfo {
        &TEAM
    }

    async fn carried_by(
        &self,
        carrier: Uuid,
        from: Option<Cursor>,
        amount: Amount,
        call: &CallContext,
    ) -> Result<Box<dyn Batch<Carried>>, Failure> {
        let (from, min_rows) = (position(from)?, min_rows(amount));
        let batch = self.client().team_suites(carrier.into(), from, min_rows, call).await?;
        Ok(converted(batch, |row: TeamSuite| Carried {
            resource: row.suite_id.uuid(),
            level: strongest(&row.access_level),
        }))
    }
}

/// The strongest level of a suite among the texts, which Buildkite lists in any order.
fn strongest(texts: &[String]) -> Option<&'static Level> {
    let known = texts.iter().filter_map(|text| SUITE.level(text));
    known.max_by_key(|level| level.order)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(&["read"], Some("read"))]
    #[case(&["read", "edit"], Some("edit"))]
    #[case(&["edit", "read"], Some("edit"))]
    #[case(&["edit"], Some("edit"))]
    #[case(&["read", "share"], Some("read"))]
    #[case(&["share"], None)]
    #[case(&[], None)]
    fn the_level_of_a_suite_is_edit_if_the_array_holds_it(#[case] texts: &[&str], #[case] level: Option<&str>) {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        assert_eq!(strongest(&texts).map(|level| level.slug), level);
    }
}
