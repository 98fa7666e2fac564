//! The probes of scopes: one small read for each scope that has a harmless one (reference, part two, section 5).
//!
//! The rows that a probe returns are discarded. Of a build, its number and the id of a job are kept for the probes that need them.

use serde::Deserialize;
use uuid::Uuid;

use super::endpoint::Endpoint;
use super::ids::{OrganizationSlug, PipelineSlug};

/// A build, for the probes of what belongs to a build.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct BuildReference {
    pub(crate) pipeline: PipelineSlug,
    pub(crate) number: u64,
    /// A job of the build that has run.
    pub(crate) job: Option<Uuid>,
}

/// A read that proves a scope.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum ScopeProbe {
    Pipelines,
    Suites,
    Registries,
    Clusters,
    Invitations,
    Builds,
    Artifacts(BuildReference),
    /// The log of this job of the build.
    JobLog(BuildReference, Uuid),
    Agents,
    AuditEvents,
}

impl ScopeProbe {
    /// The endpoint that the probe reads.
    pub(crate) fn endpoint(&self) -> Endpoint {
        match self {
            Self::Pipelines => Endpoint::Pipelines,
            Self::Suites => Endpoint::Suites,
            Self::Registries => Endpoint::Registries,
            Self::Clusters => Endpoint::Clusters,
            Self::Invitations => Endpoint::Invitations,
            Self::Builds => Endpoint::Builds,
            Self::Artifacts(_) => Endpoint::Artifacts,
            Self::JobLog(..) => Endpoint::JobLog,
            Self::Agents => Endpoint::Agents,
            Self::AuditEvents => Endpoint::AuditEvents,
        }
    }

    /// The segments of the path below `/v2`.
    pub(crate) fn path(&self, organization: &OrganizationSlug) -> Vec<String> {
        let organization = organization.to_string();
        let of_build = |build: &BuildReference, rest: &[String]| {
            let build = [
                "organizations".to_owned(),
                organization.clone(),
                "pipelines".to_owned(),
                build.pipeline.to_string(),
                "builds".to_owned(),
                build.number.to_string(),
            ];
            [&build[..], rest].concat()
        };
        let list = |name: &str| vec!["organizations".to_owned(), organization.clone(), name.to_owned()];
        match self {
            Self::Pipelines => list("pipelines"),
            Self::Suites => [vec!["analytics".to_owned()], list("suites")].concat(),
            Self::Registries => [vec!["packages".to_owned()], list("registries")].concat(),
            Self::Clusters => list("clusters"),
            Self::Invitations => list("invitations"),
            Self::Builds => list("builds"),
            Self::Agents => list("agents"),
            Self::AuditEvents => list("audit_events"),
            Self::Artifacts(build) => of_build(build, &["artifacts".to_owned()]),
            Self::JobLog(build, job) => of_build(build, &["jobs".to_owned(), job.to_string(), "log".to_owned()]),
        }
    }

    /// The query, so that as little as possible is returned.
    pub(crate) fn query(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Registries | Self::JobLog(..) => &[],
            Self::Builds => &[("per_page", "1"), ("exclude_pipeline", "true")],
            _ => &[("per_page", "1")],
        }
    }
}

/// A row of the list of builds.
#[derive(Debug, Deserialize)]
pub(crate) struct BuildRow {
    number: u64,
    url: Option<String>,
    jobs: Option<Vec<JobRow>>,
}

#[derive(Debug, Deserialize)]
struct JobRow {
    id: Option<String>,
    state: Option<String>,
    started_at: Option<String>,
}

impl JobRow {
    fn id(&self) -> Option<Uuid> {
        self.id.as_deref()?.parse().ok()
    }

    /// Whether the job runs or ran, and so has a log.
    fn has_run(&self) -> bool {
        let state = self.state.as_deref();
        let ran =
            state.is_some_and(|state| matches!(state, "running" | "passed" | "failed" | "finished" | "timed_out"));
        ran || self.started_at.is_some()
    }
}

impl BuildRow {
    /// What the probes need of the build; `None` if its URL does not name its pipeline.
    pub(crate) fn reference(&self) -> Option<BuildReference> {
        let (_, rest) = self.url.as_deref()?.split_once("/pipelines/")?;
        Some(BuildReference {
            pipeline: rest.split('/').next()?.parse().ok()?,
            number: self.number,
            job: self
                .jobs
                .iter()
                .flatten()
                .filter(|job| job.has_run())
                .find_map(JobRow::id),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const JOB: &str = "0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d";

    fn reference(row: serde_json::Value) -> Option<BuildReference> {
        serde_json::from_value::<BuildRow>(row).unwrap().reference()
    }

    #[test]
    fn a_build_is_known_by_its_url_and_number_and_the_first_job_that_has_run() {
        let waiting = json!({ "id": "0298c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d", "state": "scheduled", "started_at": null });
        let url = "https://api.buildkite.com/v2/organizations/acme/pipelines/my-app/builds/7";
        let row = json!({ "number": 7, "url": url, "jobs": [{ "type": "waiter" }, waiting, { "id": JOB, "started_at": "2026-01-01" }] });
        let build = reference(row).unwrap();
        assert_eq!((build.number, build.job), (7, Some(JOB.parse().unwrap())));
        let organization = "acme".parse().unwrap();
        let path = |probe: ScopeProbe| probe.path(&organization).join("/");
        let artifacts = path(ScopeProbe::Artifacts(build.clone()));
        assert_eq!(artifacts, "organizations/acme/pipelines/my-app/builds/7/artifacts");
        let job = build.job.unwrap();
        let log = path(ScopeProbe::JobLog(build, job));
        assert_eq!(
            log,
            format!("organizations/acme/pipelines/my-app/builds/7/jobs/{JOB}/log")
        );
        assert_eq!(path(ScopeProbe::Suites), "analytics/organizations/acme/suites");
    }

    #[test]
    fn a_url_never_leads_out_of_the_builds_of_a_pipeline() {
        for url in [
            "",
            "https://elsewhere.example/x",
            "https://x/pipelines/../access-token",
            "https://x/pipelines/%2e%2e/y",
        ] {
            assert_eq!(reference(json!({ "number": 1, "url": url })), None, "{url}");
        }
    }
}
