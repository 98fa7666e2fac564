//! Several credentials in the configuration file.

use std::fmt::Write as _;

use buildkite_connector::sandbox::Endpoint;
use rstest::rstest;
use secrecy::ExposeSecret;
use serde_json::Value;

use super::harness::ServiceUsers;
use crate::connections::Files;
use crate::support::Platform;

/// The connection `acme` with a credential of each user for `uses`, named `sync-1` and so on by their numbers.
fn configure(files: &Files, place: &ServiceUsers, uses: &[&str], keys: &str) -> String {
    let mut text = format!(
        "[connection.acme]\norganization = \"{}\"\napi_url = \"{}\"\n{keys}\n",
        place.sandbox.slug(),
        place.sandbox.url()
    );
    for (number, usage) in uses.iter().enumerate() {
        let name = format!("{usage}-{number}");
        files.write(&format!("{name}.token"), place.token(number).expose_secret());
        text.push_str("[[connection.acme.credential]]\n");
        writeln!(
            text,
            "name = \"{name}\"\nuse = \"{usage}\"\napi_token_file = \"{name}.token\""
        )
        .unwrap();
    }
    text
}

#[tokio::test]
async fn a_connection_is_served_with_all_credentials_of_the_file() {
    let (files, place) = (Files::new(), ServiceUsers::new(3).await);
    files.configure(&configure(
        &files,
        &place,
        &["sync", "sync", "provisioning"],
        "provisioning = true",
    ));
    let process = files.serve(&[]);
    let platform = Platform::new(process.channel().await);
    assert_eq!(platform.sync().await.unwrap().teams.len(), 10);
    let (team, outsider) = place.team_and_outsider();
    place.sandbox.request_log().clear();
    platform.grant(&team, "member", &outsider).await.unwrap();
    let sent = place.requests(Endpoint::AddTeamMember);
    assert_eq!(sent.into_iter().collect::<Vec<_>>(), [(2, 1)]);
}

#[tokio::test]
async fn check_lists_the_credentials_and_disconnect_refuses_them() {
    let (files, place) = (Files::new(), ServiceUsers::new(2).await);
    files.configure(&configure(&files, &place, &["any", "sync"], ""));
    let output = files.run(&["check", "--format", "json"]).await;
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), &document["overall"]),
        (Some(0), &"HEALTHY".into())
    );
    let credentials = document["credentials"].as_array().unwrap();
    let names: Vec<&Value> = credentials.iter().map(|of| &of["name"]).collect();
    assert_eq!(names, ["any-0", "sync-1"]);
    assert_eq!(credentials[0]["credential"], document["credential"]);
    assert_eq!(credentials[1]["credential"]["owner_email"], "service-1@example.com");
    let ids: Vec<&Value> = document["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| &check["id"])
        .collect();
    assert_eq!(ids[6..], ["credential.any-0", "credential.sync-1"]);
    let refused = files.run(&["disconnect", "--yes"]).await;
    let sentence = String::from_utf8(refused.stderr).unwrap();
    assert!(
        sentence.contains("the connection has several credentials"),
        "{sentence}"
    );
    assert_eq!(place.sandbox.request_log().count(Endpoint::RevokeAccessToken), 0);
}

#[tokio::test]
async fn one_credential_of_the_file_is_as_one_of_the_connection() {
    let (files, place) = (Files::new(), ServiceUsers::new(1).await);
    files.configure(&configure(&files, &place, &["any"], ""));
    let output = files.run(&["check", "--format", "json"]).await;
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(document.get("credentials").is_none());
    assert_eq!(document["checks"].as_array().unwrap().len(), 6);
}

#[rstest]
#[case::other_credential(
    "api_token_file = \"a\"\n[[connection.acme.credential]]",
    "line 3: api_token_file: the connection has `[[connection.acme.credential]]` as well: move it into one"
)]
#[case::use_(
    "[[connection.acme.credential]]\nuse = \"write\"",
    "line 4: use: give `any`, `sync` or `provisioning`"
)]
#[case::name(
    "[[connection.acme.credential]]\nname = \"A b\"",
    "line 4: name: give 1 to 63 lower-case letters, digits and hyphens"
)]
#[case::unknown(
    "[[connection.acme.credential]]\napi_token_fil = \"a\"",
    "line 4: api_token_fil: there is no such setting; the nearest is `api_token_file`"
)]
#[case::of_the_connection(
    "[[connection.acme.credential]]\nallow = [\"teams\"]",
    "line 4: allow: there is no such setting"
)]
#[case::table(
    "[connection.acme.credential]\nname = \"a\"",
    "`credential` holds tables, one for each credential: write `[[connection.acme.credential]]`"
)]
#[case::empty(
    "credential = []",
    "line 3: `credential` is an empty list: write `[[connection.acme.credential]]` for each credential, or leave it out"
)]
#[case::empty_beside_another(
    "api_token_file = \"token\"\ncredential = []",
    "line 4: `credential` is an empty list: "
)]
#[case::same_name(
    "[[connection.acme.credential]]\nname = \"a\"\n[[connection.acme.credential]]\nname = \"a\"",
    "two credentials have the name `a`: give each a name of its own"
)]
#[case::none_lists(
    "[[connection.acme.credential]]\nuse = \"provisioning\"\napi_token_file = \"token\"",
    "every credential is for provisioning, so none may list: set the `use` of one to `any` or `sync`"
)]
#[case::none_changes(
    "provisioning = true\n[[connection.acme.credential]]\nuse = \"sync\"\napi_token_file = \"token\"",
    "changes are allowed, but every credential has the use `sync`: set the `use` of one to `any` or `provisioning`"
)]
#[case::no_file(
    "[[connection.acme.credential]]\nname = \"a\"\napi_token_file = \"absent\"",
    "[connection.acme]: credential `a`: --api-token-file (BUILDKITE_API_TOKEN_FILE): "
)]
#[case::no_secret(
    "[[connection.acme.credential]]\nname = \"a\"",
    "credential `a`: BUILDKITE_API_TOKEN: set it to an API access token"
)]
#[tokio::test]
async fn a_wrong_entry_is_refused_with_its_place(#[case] keys: &str, #[case] problem: &str) {
    let files = Files::new();
    files.write("token", "bkua_0123456789abcdef");
    files.configure(&format!("[connection.acme]\norganization = \"acme\"\n{keys}\n"));
    let sentence = files.refusal(&["check"]).await;
    assert!(sentence.contains(problem), "{sentence}");
    assert!(!sentence.contains("0123456789abcdef"), "{sentence}");
}
