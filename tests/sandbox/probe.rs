//! A plain HTTP client for the sandbox: what a test sends, and what came back.

use buildkite_connector::sandbox::{
    Behaviors, LimitOptions, Options, Organization, Sandbox, Seed, Size, Team, TokenSpec,
};
use http::{HeaderMap, Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use uuid::Uuid;

pub(crate) struct Probe {
    pub(crate) sandbox: Sandbox,
    token: SecretString,
    client: reqwest::Client,
}

pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Probe {
    pub(crate) async fn start(options: Options) -> Self {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none());
        let sandbox = Sandbox::start(options).await.unwrap();
        Self {
            token: sandbox.token().clone(),
            sandbox,
            client: client.build().unwrap(),
        }
    }

    /// The same probe with a token of the same owner that has every scope.
    pub(crate) fn with_all_scopes(mut self) -> Self {
        let owner = TokenSpec::owned_by(self.sandbox.owner());
        self.token = self.sandbox.mint(owner.with_all_scopes());
        self
    }

    /// The same probe with a token of this member that has every scope.
    pub(crate) fn acting_as(mut self, name: &str) -> Self {
        let owner = TokenSpec::owned_by(self.person(name));
        self.token = self.sandbox.mint(owner.with_all_scopes());
        self
    }

    /// The example organization, and a token with every scope.
    pub(crate) async fn full() -> Self {
        Self::example().await.with_all_scopes()
    }

    /// The example organization, without rate limits.
    pub(crate) async fn example() -> Self {
        Self::start(Options {
            limits: LimitOptions::unlimited(),
            ..Options::default()
        })
        .await
    }

    pub(crate) async fn with_behaviors(change: impl FnOnce(&mut Behaviors)) -> Self {
        let probe = Self::example().await;
        probe.sandbox.change_behaviors(change);
        probe
    }

    /// A generated organization, without rate limits.
    pub(crate) async fn sized(teams: usize, members_per_team: usize, people: usize) -> Self {
        let seed = Seed::Sized(Size {
            teams,
            members_per_team,
            people,
            seed: 7,
            ..Size::default()
        });
        Self::start(Options {
            seed,
            limits: LimitOptions::unlimited(),
            ..Options::default()
        })
        .await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> reqwest::Result<Reply> {
        let mut request = self.client.request(method, format!("{}{path}", self.sandbox.url()));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Reply {
            status,
            headers,
            text: response.text().await?,
        })
    }

    pub(crate) async fn try_get(&self, path: &str) -> reqwest::Result<Reply> {
        self.send(Method::GET, path, self.token.expose_secret(), None).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.try_get(path).await.unwrap()
    }

    pub(crate) async fn get_as(&self, token: &SecretString, path: &str) -> Reply {
        self.send(Method::GET, path, token.expose_secret(), None).await.unwrap()
    }

    pub(crate) async fn write(&self, method: Method, path: &str, body: Value) -> Reply {
        self.send(method, path, self.token.expose_secret(), Some(body))
            .await
            .unwrap()
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.send(Method::DELETE, path, self.token.expose_secret(), None)
            .await
            .unwrap()
    }

    /// A path below the organization.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/v2/organizations/{}/{rest}", self.sandbox.slug())
    }

    /// The path of a pipeline in a team's list.
    pub(crate) fn team_pipeline(&self, team: &str, pipeline: &str) -> String {
        self.path(&format!(
            "teams/{}/pipelines/{}",
            self.team(team).id,
            self.pipeline(pipeline)
        ))
    }

    /// The path of a suite in a team's list.
    pub(crate) fn team_suite(&self, team: &str, suite: &str) -> String {
        self.path(&format!("teams/{}/suites/{}", self.team(team).id, self.suite(suite)))
    }

    pub(crate) fn pipeline(&self, slug: &str) -> Uuid {
        let id = |organization: &Organization| organization.pipeline_by_slug(slug).unwrap().id;
        self.sandbox.with_organization(id)
    }

    pub(crate) fn suite(&self, slug: &str) -> Uuid {
        let id = |organization: &Organization| organization.suite_by_slug(slug).unwrap().id;
        self.sandbox.with_organization(id)
    }

    /// The path of a cluster.
    pub(crate) fn cluster(&self, name: &str) -> String {
        let id = |organization: &Organization| organization.cluster_by_name(name).unwrap().id;
        self.path(&format!("clusters/{}", self.sandbox.with_organization(id)))
    }

    pub(crate) fn suites(&self) -> String {
        format!("/v2/analytics/organizations/{}/suites", self.sandbox.slug())
    }

    pub(crate) fn registries(&self) -> String {
        format!("/v2/packages/organizations/{}/registries", self.sandbox.slug())
    }

    pub(crate) fn members(&self, slug: &str) -> String {
        self.path(&format!("teams/{}/members", self.team(slug).id))
    }

    pub(crate) fn member(&self, slug: &str, user: Uuid) -> String {
        format!("{}/{user}", self.members(slug))
    }

    pub(crate) fn team(&self, slug: &str) -> Team {
        self.sandbox
            .with_organization(|organization| organization.team_by_slug(slug).unwrap().clone())
    }

    /// A member of the example organization, by the part of their e-mail before the `@`.
    pub(crate) fn person(&self, name: &str) -> Uuid {
        let start = format!("{name}@").to_lowercase();
        self.sandbox.with_organization(|organization| {
            organization
                .people()
                .iter()
                .find(|person| person.email.to_lowercase().starts_with(&start))
                .unwrap()
                .id
        })
    }

    /// A token with the scopes for people and teams.
    pub(crate) fn token_of(&self, name: &str) -> SecretString {
        self.sandbox.mint(TokenSpec::owned_by(self.person(name)))
    }
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub(crate) fn message(&self) -> String {
        self.json()["message"].as_str().unwrap().to_owned()
    }

    pub(crate) fn rows(&self) -> Vec<Value> {
        self.json().as_array().unwrap().clone()
    }

    /// One field of each row.
    pub(crate) fn column(&self, field: &str) -> Vec<String> {
        self.rows()
            .iter()
            .map(|row| row[field].as_str().unwrap().to_owned())
            .collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The URL of a relation in the `Link` header.
    pub(crate) fn link(&self, relation: &str) -> Option<String> {
        let wanted = format!("rel=\"{relation}\"");
        let entries = self.header("link")?.split(", ");
        entries
            .filter_map(|entry| entry.split_once("; "))
            .find(|(_, rel)| *rel == wanted)
            .map(|(url, _)| url.trim_start_matches('<').trim_end_matches('>').to_owned())
    }
}
