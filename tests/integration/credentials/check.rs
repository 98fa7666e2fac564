//! `check` and `disconnect` with each form, as processes.

use std::process::{Command, Output};

use buildkite_connector::sandbox::{ApplicationSpec, KeyPair};
use serde_json::Value;

use super::harness::Place;
use crate::support::connector;

fn command(place: &Place, arguments: &[&str]) -> Command {
    let mut command = connector(arguments);
    command.env("BUILDKITE_REST_URL", place.sandbox.url());
    command.env("BUILDKITE_ORGANIZATION_SLUG", place.sandbox.slug());
    command
}

fn with_private_key(place: &Place, arguments: &[&str]) -> Command {
    let (id, _) = place.private_key();
    let mut command = command(place, arguments);
    command.env("BUILDKITE_CONNECTOR_ACCESS_TOKEN_ID", id.to_string());
    command.env("BUILDKITE_CONNECTOR_PRIVATE_KEY_FILE", place.key_file());
    command
}

fn with_exchange(place: &Place, arguments: &[&str]) -> Command {
    let (client_id, _) = place.exchange(ApplicationSpec::default(), &KeyPair::ec().unwrap());
    let mut command = command(place, arguments);
    command.env("BUILDKITE_CONNECTOR_OAUTH_URL", place.sandbox.oauth_url());
    command.env("BUILDKITE_CONNECTOR_OAUTH_CLIENT_ID", client_id);
    command.env("BUILDKITE_CONNECTOR_OAUTH_PRIVATE_KEY_FILE", place.key_file());
    command.env("BUILDKITE_CONNECTOR_OAUTH_SUBJECT", place.sandbox.owner().to_string());
    command
}

async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

#[tokio::test]
async fn check_reports_a_credential_that_is_renewed_without_an_expiry() {
    let (first, second) = (Place::new().await, Place::new().await);
    let json = ["check", "--format", "json"];
    for (command, expiry) in [
        (with_private_key(&first, &json), "never"),
        (with_exchange(&second, &json), "renewed"),
    ] {
        let output = run(command).await;
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        let credential = &document["credential"];
        assert_eq!(
            (&credential["expiry"], &credential["expires_at"]),
            (&expiry.into(), &Value::Null)
        );
    }
}

#[tokio::test]
async fn disconnect_revokes_an_access_token_with_a_public_key() {
    let place = Place::new().await;
    let slug = place.sandbox.slug().to_owned();
    let output = run(with_private_key(
        &place,
        &["disconnect", "--organization", &slug, "--yes"],
    ))
    .await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("revoked"), "{text}");
}

#[tokio::test]
async fn disconnect_refuses_a_token_exchange_and_says_what_ends_it() {
    let place = Place::new().await;
    let output = run(with_exchange(&place, &["disconnect", "--yes"])).await;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("remove the OAuth application"), "{error}");
    assert_eq!(place.sandbox.request_log().total(), 0);
}
