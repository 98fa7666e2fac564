//! The requests about the builds of a pipeline (reference, section 1; second reference, section 6), and their rows.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::endpoint::Endpoint;
use super::ids::ObjectSlug;
use super::types::{text, tolerant};
use crate::providers::buildkite::pagination::Row;

/// A request about builds, with its ids.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum BuildRequest {
    /// The builds of a pipeline that a filter selects.
    List(ObjectSlug, BuildFilter),
    Build(ObjectSlug, u64),
    Create(ObjectSlug),
    /// The pipeline, the number of the build, and the job.
    Unblock(ObjectSlug, u64, Uuid),
}

/// Which builds of a pipeline are listed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum BuildFilter {
    /// Those whose meta-data has this value of [`REQUEST_KEY`].
    RequestKey(String),
    /// Those that were created at this time or later, in RFC 3339.
    CreatedFrom(String),
}

/// The key of the meta-data in which a build has the key of the request that started it.
pub(crate) const REQUEST_KEY: &str = "connector:request-key";

impl BuildRequest {
    /// The endpoint that the request is for.
    pub(crate) fn endpoint(&self) -> Endpoint {
        match self {
            Self::List(..) => Endpoint::PipelineBuilds,
            Self::Build(..) => Endpoint::Build,
            Self::Create(_) => Endpoint::CreateBuild,
            Self::Unblock(..) => Endpoint::UnblockJob,
        }
    }

    /// The segments of the path below the organization.
    pub(crate) fn path(&self) -> Vec<String> {
        let (Self::List(pipeline, _) | Self::Build(pipeline, _) | Self::Create(pipeline) | Self::Unblock(pipeline, ..)) =
            self;
        let mut path = vec!["pipelines".to_owned(), pipeline.to_string(), "builds".to_owned()];
        match self {
            Self::List(..) | Self::Create(_) => {}
            Self::Build(_, number) => path.push(number.to_string()),
            Self::Unblock(_, number, job) => path.extend([
                number.to_string(),
                "jobs".to_owned(),
                job.to_string(),
                "unblock".to_owned(),
            ]),
        }
        path
    }

    /// The parameters of the query.
    pub(crate) fn query(&self) -> Vec<(&'static str, String)> {
        let Self::List(_, filter) = self else {
            return vec![];
        };
        let filter = match filter {
            BuildFilter::RequestKey(key) => ("meta_data[connector:request-key]", key.clone()),
            BuildFilter::CreatedFrom(time) => ("created_from", time.clone()),
        };
        let left_out = ["exclude_jobs", "exclude_pipeline"].map(|name| (name, "true".to_owned()));
        [filter].into_iter().chain(left_out).collect()
    }
}

/// A build.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Build {
    pub(crate) id: Uuid,
    /// Its number in the pipeline.
    pub(crate) number: u64,
    #[serde(default, deserialize_with = "text")]
    pub(crate) state: Option<String>,
    /// The URL of its web page.
    #[serde(default, deserialize_with = "text")]
    pub(crate) web_url: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(crate) branch: Option<String>,
    /// The commit as it was requested, or as it was resolved later.
    #[serde(default, deserialize_with = "text")]
    pub(crate) commit: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(crate) finished_at: Option<String>,
    #[serde(default, deserialize_with = "tolerant")]
    pub(crate) meta_data: Option<BTreeMap<String, Value>>,
    #[serde(default, deserialize_with = "tolerant")]
    pub(crate) jobs: Option<Vec<BuildJob>>,
}

/// Builds are listed with the newest first, so their creation times do not order the list as those of other rows do.
impl Row for Build {
    fn id(&self) -> Uuid {
        self.id
    }

    fn created_at(&self) -> Option<&str> {
        None
    }
}

impl Build {
    /// A text of the meta-data.
    pub(crate) fn meta_data(&self, key: &str) -> Option<&str> {
        self.meta_data.as_ref()?.get(key)?.as_str()
    }
}

/// A job of a build. Some rows of a build, such as those of wait steps, have no id.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct BuildJob {
    #[serde(default, deserialize_with = "tolerant")]
    pub(crate) id: Option<Uuid>,
    #[serde(default, deserialize_with = "text")]
    pub(crate) state: Option<String>,
    /// When a block step was unblocked. Its state may have changed since.
    #[serde(default, deserialize_with = "text")]
    pub(crate) unblocked_at: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_names_the_key_that_is_stored() {
        let slug = || ObjectSlug::of("deploy").unwrap();
        let list = BuildRequest::List(slug(), BuildFilter::RequestKey("7".to_owned()));
        let (name, value) = list.query().remove(0);
        assert_eq!((name, value.as_str()), (&*format!("meta_data[{REQUEST_KEY}]"), "7"));
        let job = Uuid::nil();
        let path = BuildRequest::Unblock(slug(), 3, job).path().join("/");
        assert_eq!(path, format!("pipelines/deploy/builds/3/jobs/{job}/unblock"));
    }
}
