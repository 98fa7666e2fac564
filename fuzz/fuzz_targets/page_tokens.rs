//! A page token that was not made here is refused, and never leads to a request.
#![no_main]

use std::sync::{Arc, OnceLock};

use buildkite_connector::governance::{Governance, GovernanceError, GovernanceSettings};
use buildkite_connector::providers::buildkite::{CallContext, Client, ClientOptions, Lane};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;

/// An organization behind a port where nobody listens: whatever is asked there fails, and is no refusal of the token.
fn nobody() -> &'static (Runtime, Governance) {
    static NOBODY: OnceLock<(Runtime, Governance)> = OnceLock::new();
    NOBODY.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (origin, slug) = ("http://127.0.0.1:9".parse().unwrap(), "acme".parse().unwrap());
        let token = "bkua_0123456789abcdef".parse().unwrap();
        let client = Client::new(origin, slug, token, ClientOptions::default()).unwrap();
        (runtime, Governance::new(Arc::new(client), GovernanceSettings::default()))
    })
}

fuzz_target!(|token: &str| {
    if token.is_empty() {
        return;
    }
    let (runtime, access) = nobody();
    let refused = runtime.block_on(access.users(token, "", &CallContext::new(Lane::Sync)));
    assert!(matches!(
        refused,
        Err(GovernanceError::Invalid {
            field: "page_token",
            ..
        })
    ));
});
