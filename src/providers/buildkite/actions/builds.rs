//! Starting builds, reading their state, and unblocking their jobs.
//!
//! A build is started once: the key of the request is stored in its meta-data, and looked for before anything is sent. A request
//! without a key has one of its own, so that a build whose reply was lost is told from one that never began. A build that this
//! process started is remembered until Buildkite lists it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::BuildkiteActions;
use super::recent_builds::{RecentBuild, RecentBuilds, RequestedBuild};
use super::schemas::{BRANCH, COMMIT, ENV, FIELDS, FINISHED, JOB, MESSAGE, META_DATA, NUMBER, REQUEST_KEY, STATE, URL};
use crate::governance::actions::{ActionResults, ActionValue, Arguments};
use crate::governance::provider::{Failure, FailureClass, Invocation};
use crate::governance::{CallContext, GovernanceError};
use crate::providers::buildkite::ObjectSlug;
use crate::providers::buildkite::api::builds::{self, Build, BuildFilter, BuildJob};
use crate::providers::buildkite::pagination::Cursor;

/// The keys of meta-data that this connector stores.
const RESERVED: &str = "connector:";

/// The commit as the request named it: Buildkite may replace `HEAD` by what it resolves to.
const REQUESTED_COMMIT: &str = "connector:commit";

/// The commit of a request that names none.
const HEAD: &str = "HEAD";

/// The state of a block step that was unblocked. Later states differ, and the time of the unblocking stays.
const UNBLOCKED: &str = "unblocked";

/// How far back a build is looked for where the server does not filter by meta-data.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(24);

/// The shortest part of a commit's hash that names the commit.
const MIN_HASH: usize = 7;

/// Rejects meta-data that would replace the connector's own.
pub(super) fn check(arguments: &Arguments) -> Result<(), GovernanceError> {
    let mut keys = arguments.map(META_DATA).into_iter().flat_map(|map| map.keys());
    if keys.any(|key| key.starts_with(RESERVED)) {
        return Err(invalid(
            META_DATA,
            format!("keys that begin with `{RESERVED}` are reserved: use another key"),
        ));
    }
    Ok(())
}

impl BuildkiteActions {
    /// The build that has the key of the request.
    pub(super) async fn triggered_build(
        &self,
        invocation: &Invocation,
        was_sent: bool,
        call: &CallContext,
    ) -> Result<Option<ActionResults>, GovernanceError> {
        if invocation.arguments.text(REQUEST_KEY).is_none() && !was_sent {
            // Nobody has used its own key before.
            return Ok(None);
        }
        let (pipeline, key) = (pipeline(invocation)?, request_key(invocation));
        let (number, is_requested, results) = match self.build_with_key(&pipeline, &key, call).await? {
            Some(build) => {
                let is_requested = is_of_request(&build, &invocation.arguments);
                (build.number, is_requested, started(&build))
            }
            None => match self.recent_builds().get(&(pipeline, key)) {
                Some(RecentBuild {
                    requested: earlier,
                    started: Some((number, results)),
                    ..
                }) => (number, earlier == requested(&invocation.arguments), results),
                _ => return Ok(None),
            },
        };
        if is_requested {
            return Ok(Some(results));
        }
        Err(GovernanceError::RequestKeyReused { number })
    }

    /// How much longer the list of builds may not show a build that this process requested with the key of the invocation.
    pub(super) fn build_hidden_for(&self, invocation: &Invocation) -> Option<Duration> {
        let key = (pipeline(invocation).ok()?, request_key(invocation));
        self.recent_builds().get(&key).map(|build| build.hidden_for())
    }

    fn recent_builds(&self) -> &RecentBuilds {
        &self.buildkite.shared.recent_builds
    }

    async fn build_with_key(
        &self,
        pipeline: &ObjectSlug,
        key: &str,
        call: &CallContext,
    ) -> Result<Option<Build>, GovernanceError> {
        let has_key = |build: &Build| build.meta_data(builds::REQUEST_KEY) == Some(key);
        let filtered = self
            .builds(pipeline, BuildFilter::RequestKey(key.to_owned()), Cursor::Start, call)
            .await?;
        let is_filtered = filtered.rows.iter().all(has_key);
        if let Some(build) = filtered.rows.into_iter().find(has_key) {
            return Ok(Some(build));
        }
        if is_filtered {
            return Ok(None);
        }
        // The server ignored the filter.
        let from = Timestamp::now() - LOOK_BACK;
        let mut next = Some(Cursor::Start);
        while let Some(cursor) = next {
            let recent = BuildFilter::CreatedFrom(from.to_string());
            let batch = self.builds(pipeline, recent, cursor, call).await?;
            if let Some(build) = batch.rows.into_iter().find(has_key) {
                return Ok(Some(build));
            }
            next = batch.next;
        }
        Ok(None)
    }

    async fn builds(
        &self,
        pipeline: &ObjectSlug,
        filter: BuildFilter,
        cursor: Cursor,
        call: &CallContext,
    ) -> Result<crate::providers::buildkite::pagination::Batch<Build>, GovernanceError> {
        let client = &self.buildkite.client;
        match client.pipeline_builds(pipeline.clone(), filter, cursor, call).await {
            Ok(batch) => Ok(batch),
            Err(error) => Err(self.explained(error.into(), call).await),
        }
    }

    pub(super) async fn trigger_build(
        &self,
        invocation: &Invocation,
        call: &CallContext,
    ) -> Result<Option<ActionResults>, Failure> {
        let pipeline = pipeline(invocation)?;
        let client = &self.buildkite.client;
        let reply = client.create_build(pipeline.clone(), body(invocation), call).await;
        let reply = reply.map_err(Failure::from);
        if !matches!(&reply, Err(failure) if !failure.may_have_applied()) {
            let shown = reply.as_ref().ok().and_then(Option::as_ref);
            let shown = shown.map(|build| (build.number, started(build)));
            let key = (pipeline, request_key(invocation));
            let requested = requested(&invocation.arguments);
            self.recent_builds()
                .record(key, requested, shown, self.own_write_window);
        }
        Ok(reply?.map(|build| started(&build)))
    }

    pub(super) async fn build_status(
        &self,
        invocation: &Invocation,
        call: &CallContext,
    ) -> Result<ActionResults, GovernanceError> {
        let build = self.build(invocation, call).await?;
        Ok(ActionResults::new()
            .with_text(STATE, build.state.unwrap_or_default())
            .with_text(URL, build.web_url.unwrap_or_default())
            .with(FINISHED, ActionValue::Flag(build.finished_at.is_some())))
    }

    /// The state of the job, if it is unblocked.
    pub(super) async fn unblocked_job(
        &self,
        invocation: &Invocation,
        call: &CallContext,
    ) -> Result<Option<ActionResults>, GovernanceError> {
        let build = self.build(invocation, call).await?;
        let job = invocation.arguments.id(JOB).unwrap_or_default();
        let mut jobs = build.jobs.into_iter().flatten();
        let Some(job) = jobs.find(|row| row.id == Some(job)) else {
            return Err(invalid(
                JOB,
                format!("build {} has no job with this id: check both", build.number),
            ));
        };
        Ok(unblocked(&job))
    }

    pub(super) async fn unblock_job(
        &self,
        invocation: &Invocation,
        call: &CallContext,
    ) -> Result<Option<ActionResults>, Failure> {
        let (pipeline, number) = (pipeline(invocation)?, number(invocation));
        let job: Uuid = invocation.arguments.id(JOB).unwrap_or_default();
        let fields = invocation.arguments.map(FIELDS).cloned().unwrap_or_default();
        let body = json!({ "fields": fields });
        let row = self
            .buildkite
            .client
            .unblock_job((pipeline, number, job), body, call)
            .await?;
        Ok(row.filter(|row| row.id == Some(job)).as_ref().and_then(unblocked))
    }

    async fn build(&self, invocation: &Invocation, call: &CallContext) -> Result<Build, GovernanceError> {
        let (pipeline, number) = (pipeline(invocation)?, number(invocation));
        match self.buildkite.client.build(pipeline.clone(), number, call).await {
            Ok(build) => Ok(build),
            Err(error) => {
                let failure = Failure::from(error);
                if failure.class == FailureClass::NotFound {
                    let problem = format!("the pipeline `{pipeline}` shows no build {number}: check the number");
                    return Err(invalid(NUMBER, problem));
                }
                Err(self.explained(failure, call).await)
            }
        }
    }

    async fn explained(&self, failure: Failure, call: &CallContext) -> GovernanceError {
        self.buildkite.explain(failure, call).await
    }
}

/// The slug of the pipeline that the invocation is about.
fn pipeline(invocation: &Invocation) -> Result<ObjectSlug, GovernanceError> {
    let slug = invocation
        .subject
        .as_ref()
        .and_then(|pipeline| pipeline.handle.as_deref());
    slug.and_then(ObjectSlug::of).ok_or_else(|| {
        invalid(
            "pipeline",
            "the pipeline has no slug, by which it is addressed".to_owned(),
        )
    })
}

fn number(invocation: &Invocation) -> u64 {
    invocation.arguments.number(NUMBER).unwrap_or_default()
}

fn commit(arguments: &Arguments) -> &str {
    arguments.text(COMMIT).unwrap_or(HEAD)
}

fn requested(arguments: &Arguments) -> RequestedBuild {
    RequestedBuild {
        branch: arguments.text(BRANCH).map(str::to_owned),
        commit: commit(arguments).to_owned(),
    }
}

/// The key of the request, or one of its own.
fn request_key(invocation: &Invocation) -> String {
    let given = invocation.arguments.text(REQUEST_KEY);
    given.map_or_else(|| invocation.id.to_string(), str::to_owned)
}

/// The body of the request that starts a build.
fn body(invocation: &Invocation) -> Value {
    let arguments = &invocation.arguments;
    let mut meta_data = arguments.map(META_DATA).cloned().unwrap_or_default();
    meta_data.insert(builds::REQUEST_KEY.to_owned(), request_key(invocation));
    meta_data.insert(REQUESTED_COMMIT.to_owned(), commit(arguments).to_owned());
    let message = arguments
        .text(MESSAGE)
        .map(|message| (MESSAGE.to_owned(), json!(message)));
    let env = arguments.map(ENV).map(|env| (ENV.to_owned(), json!(env)));
    let required = [
        (BRANCH.to_owned(), json!(arguments.text(BRANCH))),
        (COMMIT.to_owned(), json!(commit(arguments))),
        (META_DATA.to_owned(), json!(meta_data)),
    ];
    Value::Object(required.into_iter().chain(message).chain(env).collect::<Map<_, _>>())
}

/// Whether a build is of the branch and commit of the request.
fn is_of_request(build: &Build, arguments: &Arguments) -> bool {
    let requested = commit(arguments);
    let is_commit = match (build.meta_data(REQUESTED_COMMIT), build.commit.as_deref()) {
        (Some(named), _) => named == requested,
        (None, Some(shown)) => {
            let is_part = |whole: &str, part: &str| part.len() >= MIN_HASH && whole.starts_with(part);
            shown == requested || requested == HEAD || is_part(shown, requested)
        }
        (None, None) => requested == HEAD,
    };
    is_commit && build.branch.as_deref() == arguments.text(BRANCH)
}

fn started(build: &Build) -> ActionResults {
    ActionResults::new()
        .with(NUMBER, ActionValue::Number(build.number))
        .with_text(URL, build.web_url.clone().unwrap_or_default())
        .with_text(STATE, build.state.clone().unwrap_or_default())
}

/// What is returned of a job that is not blocked any more.
fn unblocked(job: &BuildJob) -> Option<ActionResults> {
    let state = job.state.as_deref();
    let is_unblocked = state == Some(UNBLOCKED) || job.unblocked_at.is_some();
    is_unblocked.then(|| ActionResults::new().with_text(STATE, state.unwrap_or(UNBLOCKED)))
}

fn invalid(field: &'static str, problem: String) -> GovernanceError {
    GovernanceError::Invalid { field, problem }
}
