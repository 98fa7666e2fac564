//! A client and the sandbox that it sends requests to.

use std::sync::Arc;
use std::time::Duration;

use buildkite_connector::governance::CallContext;
use buildkite_connector::providers::buildkite::{ApiError, Client, ClientOptions, Organization};
use buildkite_connector::sandbox::{Bucket, LimitOptions, Options, Sandbox};
use secrecy::ExposeSecret;
use tokio::task::JoinSet;

pub(crate) struct BudgetHarness {
    pub(crate) sandbox: Sandbox,
    pub(crate) client: Arc<Client>,
}

impl BudgetHarness {
    pub(crate) async fn start(options: Options) -> Self {
        let sandbox = Sandbox::start(options).await.unwrap();
        let client = Client::new(
            sandbox.url().parse().unwrap(),
            sandbox.slug().parse().unwrap(),
            sandbox.token().expose_secret().parse().unwrap(),
            ClientOptions::default(),
        );
        Self {
            client: Arc::new(client.unwrap()),
            sandbox,
        }
    }

    /// Reads the organization `times` times at once; each read sends a request of its own.
    pub(crate) async fn read(&self, times: usize, call: &CallContext) -> Vec<Result<Organization, ApiError>> {
        let mut reads = JoinSet::new();
        for _ in 0..times {
            let (client, call) = (Arc::clone(&self.client), call.uncoalesced());
            reads.spawn(async move { client.organization(&call).await });
        }
        reads.join_all().await
    }

    pub(crate) fn refused(&self) -> u64 {
        self.sandbox.refused(Bucket::Organization) + self.sandbox.refused(Bucket::User)
    }
}

/// Limits of the organization and of its users. `elapsed` of their windows has passed when the sandbox starts.
pub(crate) fn limits(organization: u32, user: u32, window: Duration, elapsed: Duration) -> Options {
    let limits = LimitOptions {
        organization: Some(organization),
        user: Some(user),
        window,
        organization_offset: Some(elapsed),
        user_offset: Some(elapsed),
    };
    Options {
        limits,
        latency: Duration::from_millis(10),
        ..Options::default()
    }
}
