//! What is refused at the start, in one sentence.

use std::path::Path;
use std::process::Command;

use buildkite_connector::sandbox::KeyPair;
use rstest::rstest;

use super::harness::RSA;
use crate::support::connector;

const ID: &str = "0d2f8a52-3c1b-4a6e-9d57-2f8b1c0e4a99";

/// The arguments with `KEY`, `EC`, `SHORT`, `NONE` and `ABSENT` replaced by files.
fn check(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = connector(&["check", "--organization", "acme"]);
    for argument in arguments {
        let file = directory.join(argument);
        let is_file = argument.chars().all(|character| character.is_ascii_uppercase());
        command.arg(if is_file { file.as_os_str() } else { argument.as_ref() });
    }
    command
}

#[rstest]
#[case(&["--access-token-id", ID], "--access-token-id", "give --private-key-file")]
#[case(&["--private-key-file", "KEY"], "--private-key-file", "give --access-token-id")]
#[case(&["--access-token-id", ID, "--private-key-file", "SHORT"], "--private-key-file", "shorter than 2048 bits")]
#[case(&["--access-token-id", ID, "--private-key-file", "NONE"], "--private-key-file", "no private key")]
#[case(&["--access-token-id", ID, "--private-key-file", "ABSENT"], "--private-key-file", "cannot be read")]
#[case(&["--access-token-id", ID, "--private-key-file", "EC"], "--private-key-file", "not an RSA key")]
#[case(&["--access-token-id", "x", "--private-key-file", "KEY"], "--access-token-id", "give the UUID")]
#[case(&["--oauth-client-id", "c"], "--oauth-client-id", "give --oauth-private-key-file")]
#[case(&["--oauth-client-id", "c", "--oauth-private-key-file", "EC"], "--oauth-client-id", "give --oauth-subject")]
#[case(&["--oauth-subject", ID], "--oauth-subject", "give --oauth-client-id")]
#[case(&["--oauth-private-key-file", "EC"], "--oauth-private-key-file", "give --oauth-client-id")]
#[case(
    &["--oauth-client-id", "c", "--oauth-private-key-file", "SHORT", "--oauth-subject", ID],
    "--oauth-private-key-file",
    "shorter than 2048 bits"
)]
#[case(&["--oauth-subject", "ada"], "--oauth-subject", "give the e-mail address")]
#[case(&["--oauth-url", "http://buildkite.com/oauth/token"], "--oauth-url", "use https")]
#[case(
    &["--access-token-id", ID, "--private-key-file", "KEY", "--oauth-client-id", "c"],
    "--oauth-client-id",
    "set either this or --access-token-id"
)]
#[case(
    &["--access-token-id", ID, "--private-key-file", "KEY", "--api-token-file", "KEY"],
    "--access-token-id",
    "set either this or --api-token-file"
)]
#[test]
fn a_credential_that_is_not_one_whole_form_is_refused(
    #[case] arguments: &[&str],
    #[case] flag: &str,
    #[case] problem: &str,
) {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    write("KEY", RSA[0].private_pem());
    write("EC", KeyPair::ec().unwrap().private_pem());
    write("NONE", "no key\n");
    let short = Command::new("openssl").args(["genrsa", "1024"]).output().unwrap();
    write("SHORT", &String::from_utf8(short.stdout).unwrap());
    let refused = check(directory.path(), arguments).output().unwrap();
    let error = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{error}");
    let sentence = error.trim_end().trim_start_matches("error: ");
    assert!(sentence.starts_with(flag) && sentence.contains(problem), "{error}");
    assert_eq!(sentence.lines().count(), 1, "{error}");
}

#[test]
fn a_token_in_the_environment_beside_a_key_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = check(directory.path(), &["--access-token-id", ID]);
    command.env("BUILDKITE_API_TOKEN", "bkua_0123456789abcdef");
    let refused = command.output().unwrap();
    let error = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{error}");
    assert!(
        error.contains("set either this or BUILDKITE_API_TOKEN, not both"),
        "{error}"
    );
}
