//! A connector on a sandbox, and calls for its health.

use std::time::Duration;

use buildkite_connector::proto::connector::health::v1::scope_health_service_client::ScopeHealthServiceClient;
use buildkite_connector::proto::connector::health::v1::{
    CheckScopesRequest, CheckScopesResponse, ScopeCheck, WatchScopesRequest,
};
use buildkite_connector::providers::buildkite::ClientOptions;
use buildkite_connector::sandbox::{OrganizationRole, Sandbox, Seed, TokenSpec};
use secrecy::SecretString;
use tonic::transport::Channel;
use tonic::{Code, Streaming};

use crate::support::{Platform, Setup, TestServer, sandbox, within};

/// Every check, in the order of the report.
pub const CHECKS: [&str; 6] = [
    "authentication",
    "user_identity",
    "organization_access",
    "organization_member_listing",
    "team_listing",
    "team_membership_management",
];

pub use buildkite_connector::proto::connector::health::v1::ScopeState::{
    Degraded, Healthy, NotRequired, Unhealthy, Unknown,
};

pub use buildkite_connector::proto::connector::health::v1::ScopeState;

pub struct HealthHarness {
    pub sandbox: Sandbox,
    pub connector: TestServer,
    pub channel: Channel,
}

/// Short timeouts, so that failures are reported at once; evidence expires immediately.
pub fn setup() -> Setup {
    let mut setup = Setup {
        client: ClientOptions {
            // Of these, few wait for what never comes; all others must not be cut short by a busy machine.
            attempt_timeout: Duration::from_secs(4),
            retry_for: Duration::from_millis(100),
            ..ClientOptions::default()
        },
        ..Setup::default()
    };
    setup.access.health.probe_timeout = Duration::from_secs(60);
    setup.access.health.min_interval = Duration::ZERO;
    setup.access.health.validate_retry_for = Duration::from_millis(600);
    setup.client.budget.max_wait = Duration::from_millis(100);
    setup
}

/// A token spec of the sandbox's admin.
pub fn admin(sandbox: &Sandbox) -> TokenSpec {
    TokenSpec::owned_by(sandbox.owner())
}

/// A token spec of a user who is not an organization admin.
pub fn non_admin(sandbox: &Sandbox) -> TokenSpec {
    let is_non_admin = |person: &&buildkite_connector::sandbox::Person| person.role == OrganizationRole::Member;
    TokenSpec::owned_by(
        sandbox.with_organization(|organization| organization.people().iter().find(is_non_admin).unwrap().id),
    )
}

impl HealthHarness {
    pub async fn start() -> Self {
        Self::with(|sandbox| sandbox.token().clone(), setup()).await
    }

    /// With a token that is made for the test.
    pub async fn with_token(spec: impl FnOnce(&Sandbox) -> TokenSpec) -> Self {
        Self::with(|sandbox| sandbox.mint(spec(sandbox)), setup()).await
    }

    pub async fn with(token: impl FnOnce(&Sandbox) -> SecretString, setup: Setup) -> Self {
        let sandbox = sandbox(Seed::Example).await;
        let token = token(&sandbox);
        Self::on(sandbox, &token, setup).await
    }

    /// A connector on the server at `url`; the sandbox beside it gets no request.
    pub async fn at(url: &str, setup: Setup) -> Self {
        let sandbox = sandbox(Seed::Example).await;
        let connector = TestServer::at(url, sandbox.slug(), sandbox.token(), setup).await;
        let channel = connector.channel().await;
        Self {
            sandbox,
            connector,
            channel,
        }
    }

    pub async fn on(sandbox: Sandbox, token: &SecretString, setup: Setup) -> Self {
        let connector = TestServer::with(&sandbox, token, setup).await;
        let channel = connector.channel().await;
        Self {
            sandbox,
            connector,
            channel,
        }
    }

    pub fn platform(&self) -> Platform {
        Platform::new(self.channel.clone())
    }

    pub async fn check(&self) -> ScopeReport {
        self.ask(false).await
    }

    pub async fn fresh(&self) -> ScopeReport {
        self.ask(true).await
    }

    async fn ask(&self, fresh: bool) -> ScopeReport {
        let mut client = ScopeHealthServiceClient::new(self.channel.clone());
        ScopeReport(
            client
                .check_scopes(CheckScopesRequest { fresh })
                .await
                .unwrap()
                .into_inner(),
        )
    }

    /// Of a caller whose deadline is so near. It calls again if a busy machine took longer than the server's margin.
    pub async fn fresh_within(&self, time: Duration) -> ScopeReport {
        let (transport, origin) = self.connector.transport();
        let mut client = ScopeHealthServiceClient::with_origin(transport, origin);
        let answered = async {
            loop {
                let mut request = tonic::Request::new(CheckScopesRequest { fresh: true });
                request.set_timeout(time);
                match client.check_scopes(request).await {
                    Ok(response) => return ScopeReport(response.into_inner()),
                    Err(status) => assert_eq!(status.code(), Code::DeadlineExceeded, "{status}"),
                }
            }
        };
        within("a report before the deadline", answered).await
    }

    pub async fn watch(&self) -> Streaming<CheckScopesResponse> {
        let mut client = ScopeHealthServiceClient::new(self.channel.clone());
        client.watch_scopes(WatchScopesRequest {}).await.unwrap().into_inner()
    }

    /// Requests that reached the sandbox so far.
    pub fn requests(&self) -> u64 {
        self.sandbox.request_log().total()
    }
}

/// A report, with access to single checks.
#[derive(Debug, Clone)]
pub struct ScopeReport(pub CheckScopesResponse);

impl ScopeReport {
    pub fn of(&self, id: &str) -> &ScopeCheck {
        self.0.checks.iter().find(|check| check.id == id).unwrap()
    }

    pub fn state(&self, id: &str) -> ScopeState {
        self.of(id).state()
    }

    pub fn summary(&self, id: &str) -> &str {
        &self.of(id).summary
    }

    pub fn states(&self) -> Vec<ScopeState> {
        self.0.checks.iter().map(ScopeCheck::state).collect()
    }

    /// Every check has one sentence; what is not in order has one remedy as well, and what is in order has none.
    pub fn assert_well_formed(&self) {
        assert_eq!(
            self.0.checks.iter().map(|check| check.id.as_str()).collect::<Vec<_>>(),
            CHECKS
        );
        for check in &self.0.checks {
            let sentences = [&check.summary, &check.remedy];
            assert!(!check.summary.is_empty(), "{check:?}");
            for sentence in sentences {
                assert!(
                    !sentence.contains('\n') && !sentence.ends_with('.') && sentence.trim() == sentence,
                    "{check:?}"
                );
                assert!(!sentence.contains("bkua_"), "{check:?}");
            }
            let in_order = matches!(check.state(), Healthy | NotRequired);
            assert_eq!(check.remedy.is_empty(), in_order, "{check:?}");
        }
    }
}
