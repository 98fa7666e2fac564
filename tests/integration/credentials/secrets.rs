//! No key, no signed JWT and no exchanged token in any log, error or debug form, with everything logged.

use std::time::Duration;

use buildkite_connector::sandbox::{ApplicationSpec, BodyStyle, Endpoint, Fault, FaultKind, KeyPair};
use http::StatusCode;
use tracing::Level;

use super::harness::{Place, RSA, impatient};
use crate::support::log::Log;

fn assert_no_secret(text: &str, key: &KeyPair, place: &str) {
    // What follows the prefixes is the secret; the base64 of a PEM file is searched for by its lines.
    for (prefix, longest) in [("eyJ", 16), ("bktx_", 16)] {
        for (at, _) in text.match_indices(prefix) {
            let after = &text[at + prefix.len()..];
            let run = after.find(|c: char| !c.is_ascii_alphanumeric() && !"_-.".contains(c));
            assert!(
                run.unwrap_or(after.len()) < longest,
                "{place} holds a secret that begins with {prefix}"
            );
        }
    }
    for line in key.private_pem().lines().filter(|line| !line.starts_with("-----")) {
        assert!(!text.contains(line), "{place} holds a part of the private key");
    }
}

#[tokio::test]
async fn none_is_shown_whatever_happens() {
    let (log, _guard) = Log::capture(Level::TRACE);
    let key = KeyPair::ec().unwrap();
    let status = |code: u16| FaultKind::Status(StatusCode::from_u16(code).unwrap(), BodyStyle::Message);
    let faults = [
        None,
        Some((Endpoint::Teams, status(401))),
        Some((Endpoint::Teams, FaultKind::ResetAfter)),
        Some((Endpoint::OAuthToken, status(500))),
        Some((Endpoint::OAuthToken, status(400))),
        Some((Endpoint::OAuthToken, FaultKind::Truncated)),
        Some((Endpoint::OAuthToken, FaultKind::ResetAfter)),
        Some((Endpoint::OAuthToken, FaultKind::AnsweredAs(StatusCode::FORBIDDEN))),
        Some((
            Endpoint::OAuthToken,
            FaultKind::ContentType(Some("text/plain".to_owned())),
        )),
    ];
    for fault in faults {
        for is_exchange in [true, false] {
            let place = Place::new().await;
            let (credential, key) = if is_exchange {
                let spec = ApplicationSpec {
                    token_life: Duration::from_secs(1),
                    ..ApplicationSpec::default()
                };
                (place.exchange(spec, &key).1, &key)
            } else {
                (place.private_key().1, &RSA[0])
            };
            if let Some((endpoint, kind)) = fault.clone() {
                place.sandbox.faults().add(Fault::new(endpoint, kind));
            }
            let (governance, credential) = place.governance(credential, impatient());
            let shown = format!("{governance:?} {credential:?} {:?}", place.sandbox);
            assert_no_secret(&shown, key, "a debug form");
            let connector = crate::support::TestServer::serving(governance).await;
            let read = connector.platform().await.resources("team").await;
            assert_no_secret(&format!("{read:?}"), key, "a response");
            assert_no_secret(&format!("{credential:?}"), key, "a debug form");
            assert_no_secret(&log.text(), key, "the log");
        }
    }
    assert!(log.text().lines().count() > 500);
}
