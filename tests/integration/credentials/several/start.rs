//! What is refused when the connection is made.

use buildkite_connector::providers::buildkite::budget::{Budgets, CredentialUse};
use buildkite_connector::providers::buildkite::{Client, ClientOptions, CredentialSpec};
use rstest::rstest;

use super::harness::ServiceUsers;

#[rstest]
#[case(&[], "every credential of the connection is for provisioning, so none may list: set the `use` of one to `any` or `sync`")]
#[case(
    &[("one", CredentialUse::Provisioning), ("two", CredentialUse::Provisioning)],
    "every credential of the connection is for provisioning, so none may list: set the `use` of one to `any` or `sync`"
)]
#[case(
    &[("one", CredentialUse::Any), ("one", CredentialUse::Sync)],
    "two credentials of the connection have the name `one`: give each a name of its own"
)]
#[tokio::test]
async fn a_connection_needs_a_credential_that_lists_and_names_that_differ(
    #[case] given: &[(&str, CredentialUse)],
    #[case] problem: &str,
) {
    let place = ServiceUsers::new(1).await;
    let specs: Vec<CredentialSpec> = given
        .iter()
        .map(|(name, usage)| place.credential(name, *usage, 0))
        .collect();
    let (url, slug) = (
        place.sandbox.url().parse().unwrap(),
        place.sandbox.slug().parse().unwrap(),
    );
    let refused = Client::with_credentials(url, slug, specs, ClientOptions::default(), &Budgets::default());
    assert_eq!(refused.unwrap_err().to_string(), problem);
    assert_eq!(place.sandbox.request_log().total(), 0);
}
