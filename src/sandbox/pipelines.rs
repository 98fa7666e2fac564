//! Pipelines, and their builds and jobs.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::indexed_list::Keyed;
use super::organization::Organization;

/// The start of every secret in the sandbox's responses: in a pipeline's `env`, `configuration`, `steps`,
/// `provider.webhook_url` and repository, in builds and in jobs. A client that keeps one, or shows one, can be found by
/// searching for this text.
pub const SECRET_MARKER: &str = "sandbox-secret-";

/// Who can see a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PipelineVisibility {
    /// The people of the organization whose teams have access.
    Private,
    /// Everyone.
    Public,
}

/// A pipeline.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// The pipeline's UUID.
    pub id: Uuid,
    /// Slug, unique in the organization; it is the pipeline's name in paths.
    pub slug: String,
    /// Display name.
    pub name: String,
    /// Description, if there is one.
    pub description: Option<String>,
    /// The URL of the repository, with credentials in some of them.
    pub repository: String,
    /// The default branch.
    pub default_branch: String,
    /// Visibility.
    pub visibility: PipelineVisibility,
    /// When it was archived, if it was.
    pub archived_at: Option<Timestamp>,
    /// The cluster that runs it.
    pub cluster: Option<Uuid>,
    /// Its environment variables.
    pub env: BTreeMap<String, String>,
    /// Whether its builds wait for an approval: their last job is then a block step.
    pub approval: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// Its creator, if known.
    pub created_by: Option<Uuid>,
    /// Its builds, oldest first.
    pub builds: Vec<Build>,
}

impl Pipeline {
    /// A private pipeline with a new id and without builds. Its environment and its repository's URL hold secrets.
    #[must_use]
    pub fn new(slug: &str, name: &str) -> Self {
        let env = [("DEPLOY_TOKEN".to_owned(), format!("{SECRET_MARKER}env-{slug}"))];
        Self {
            id: Uuid::new_v4(),
            slug: slug.to_owned(),
            name: name.to_owned(),
            description: None,
            repository: format!("https://ci:{SECRET_MARKER}repository-{slug}@git.example.com/source/{slug}.git"),
            default_branch: "main".to_owned(),
            visibility: PipelineVisibility::Private,
            archived_at: None,
            cluster: None,
            env: env.into(),
            approval: false,
            created_at: Timestamp::now(),
            created_by: None,
            builds: Vec::new(),
        }
    }

    /// The build with this number.
    #[must_use]
    pub fn build(&self, number: u64) -> Option<&Build> {
        self.builds.iter().find(|build| build.number == number)
    }

    /// The build with this number, mutable.
    pub fn build_mut(&mut self, number: u64) -> Option<&mut Build> {
        self.builds.iter_mut().find(|build| build.number == number)
    }

    /// Adds a build of this commit, and returns its number. The build is scheduled; if the pipeline needs an approval,
    /// its last job waits for it.
    pub fn start_build(&mut self, branch: &str, commit: &str, now: Timestamp) -> u64 {
        let number = self.builds.last().map_or(1, |build| build.number + 1);
        let mut jobs = vec![Job::new(JobKind::Script, "scheduled")];
        if self.approval {
            jobs.push(Job::new(JobKind::Block, "blocked"));
        }
        self.builds.push(Build {
            id: Uuid::new_v4(),
            number,
            state: "scheduled".to_owned(),
            branch: branch.to_owned(),
            commit: commit.to_owned(),
            message: String::new(),
            env: self.env.clone(),
            meta_data: BTreeMap::new(),
            creator: None,
            created_at: now,
            finished_at: None,
            jobs,
        });
        number
    }
}

/// A build of a pipeline.
#[derive(Clone, Debug)]
pub struct Build {
    /// The build's UUID.
    pub id: Uuid,
    /// Its number in the pipeline.
    pub number: u64,
    /// Its state, such as `scheduled`, `running`, `blocked`, `passed`, `failed` or `canceled`.
    pub state: String,
    /// The branch.
    pub branch: String,
    /// The commit.
    pub commit: String,
    /// The message; may be empty.
    pub message: String,
    /// Its environment variables.
    pub env: BTreeMap<String, String>,
    /// Its meta-data.
    pub meta_data: BTreeMap<String, String>,
    /// The person who started it.
    pub creator: Option<Uuid>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it ended, if it did.
    pub finished_at: Option<Timestamp>,
    /// Its jobs.
    pub jobs: Vec<Job>,
}

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobKind {
    /// It runs a command.
    Script,
    /// It waits until it is unblocked.
    Block,
}

/// A job of a build.
#[derive(Clone, Debug)]
pub struct Job {
    /// The job's UUID.
    pub id: Uuid,
    /// What it does.
    pub kind: JobKind,
    /// Its state: of a script such as `scheduled`, `running` or `passed`, of a block step `blocked` or `unblocked`.
    pub state: String,
    /// The person who unblocked it.
    pub unblocked_by: Option<Uuid>,
    /// When it was unblocked.
    pub unblocked_at: Option<Timestamp>,
    /// The fields that were given when it was unblocked.
    pub fields: BTreeMap<String, String>,
}

impl Job {
    /// A job with a new id.
    #[must_use]
    pub fn new(kind: JobKind, state: &str) -> Self {
        Self {
            id: Uuid::new_v4(),
            kind,
            state: state.to_owned(),
            unblocked_by: None,
            unblocked_at: None,
            fields: BTreeMap::new(),
        }
    }
}

impl Keyed for Pipeline {
    fn key(&self) -> Uuid {
        self.id
    }

    fn created_at(&self) -> Timestamp {
        self.created_at
    }
}

impl Keyed for Build {
    fn key(&self) -> Uuid {
        self.id
    }

    fn created_at(&self) -> Timestamp {
        self.created_at
    }
}

impl Organization {
    /// All pipelines, oldest first.
    #[must_use]
    pub fn pipelines(&self) -> &[Pipeline] {
        self.pipelines.as_slice()
    }

    /// One pipeline.
    #[must_use]
    pub fn pipeline(&self, id: Uuid) -> Option<&Pipeline> {
        self.pipelines.get(id)
    }

    /// The pipeline with this slug.
    #[must_use]
    pub fn pipeline_by_slug(&self, slug: &str) -> Option<&Pipeline> {
        self.pipelines().iter().find(|pipeline| pipeline.slug == slug)
    }

    /// One pipeline, mutable.
    pub fn pipeline_mut(&mut self, id: Uuid) -> Option<&mut Pipeline> {
        self.pipelines.get_mut(id)
    }

    /// Adds a pipeline, or replaces the pipeline with the same id. No team has access to a new one.
    pub fn add_pipeline(&mut self, pipeline: Pipeline) -> Uuid {
        let id = pipeline.id;
        self.pipelines.push(pipeline);
        id
    }

    /// Removes a pipeline, and the access of teams to it.
    pub fn remove_pipeline(&mut self, id: Uuid) -> Option<Pipeline> {
        for team in self.teams.iter_mut() {
            team.remove_pipeline(id);
        }
        self.pipelines.remove(id)
    }
}
