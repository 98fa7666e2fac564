//! Access that teams carry: Buildkite lists the pipelines and suites of a team, and not the teams of a pipeline or suite.

use async_trait::async_trait;
use uuid::Uuid;

use super::pipelines::Pipelines;
use super::rows::{converted, min_rows, position};
use super::suites::Suites;
use super::team_access::{TeamAccess, TeamObject};
use super::teams::TEAM;
use crate::governance::CallContext;
use crate::governance::model::ResourceTypeInfo;
use crate::governance::provider::{Amount, Batch, Carried, CarriedGrants, Cursor, Failure};
use crate::providers::buildkite::{Pipeline, Suite};

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
            .buildkite()
            .client
            .team_pipelines(carrier.into(), from, min_rows, call)
            .await?;
        Ok(converted(batch, |row| carried(&Pipeline::shown(row))))
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
        let batch = self
            .buildkite()
            .client
            .team_suites(carrier.into(), from, min_rows, call)
            .await?;
        Ok(converted(batch, |row| carried(&Suite::shown(row))))
    }
}

fn carried(row: &TeamAccess) -> Carried {
    Carried {
        resource: row.object,
        level: row.level,
    }
}
