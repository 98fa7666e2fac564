//! What a listener is refused for, by the binary: one sentence with the flag, the variable and the fix, and exit code 2.

use std::path::Path;
use std::process::Command;

use rstest::rstest;

use super::pki::Authority;
use crate::support::process::{ConnectorProcess, connector};

const LISTEN: &str = "--listen (BUILDKITE_CONNECTOR_LISTEN)";
const CERTIFICATE: &str = "--tls-cert (BUILDKITE_CONNECTOR_TLS_CERT)";
const KEY: &str = "--tls-key (BUILDKITE_CONNECTOR_TLS_KEY)";
const CLIENT_CA: &str = "--tls-client-ca (BUILDKITE_CONNECTOR_TLS_CLIENT_CA)";
const CALLERS: &str = "--callers (BUILDKITE_CONNECTOR_CALLERS)";
const DRAIN: &str = "--drain (BUILDKITE_CONNECTOR_DRAIN)";
const RATE: &str = "--calls-per-second (BUILDKITE_CONNECTOR_CALLS_PER_SECOND)";
const BOTH: &str =
    "TLS needs both --tls-cert and --tls-key (BUILDKITE_CONNECTOR_TLS_KEY), with or without --tls-client-ca";

/// A configuration that would serve, on a free port, with these arguments in a directory of files.
fn serve(arguments: &[&str], directory: &Path) -> Command {
    let authority = Authority::new();
    let (server, other) = (authority.issue(&["localhost"]), authority.issue(&["localhost"]));
    for (name, text) in [
        ("server.pem", server.certificate.as_str()),
        ("server.key", &server.key),
        ("other.key", &other.key),
        ("ca.pem", &authority.pem()),
        ("empty", ""),
        (
            "damaged.pem",
            "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
        ),
        ("none.toml", "[[caller]]\nname = \"a\"\nrole = \"reader\"\n"),
        (
            "role.toml",
            "[[caller]]\nname = \"a\"\nrole = \"admin\"\ntoken_sha256 = \"00\"\n",
        ),
        (
            "key.toml",
            "# Ünïcode\n[[caller]]\nname = \"a\"\n\nrole = \"reader\"\n\"rôle\" = 1\n",
        ),
        ("open.toml", "[[caller]]\nname = \"a\n"),
        (
            "short.toml",
            "[[caller]]\nname = \"a\"\nrole = \"reader\"\ntoken_sha256 = \"00\"\n",
        ),
        (
            "nameless.toml",
            "[[caller]]\nname = \" \"\nrole = \"reader\"\ncertificate_san = \"x\"\n",
        ),
        (
            "san.toml",
            "[[caller]]\nname = \"nightly\"\nrole = \"reader\"\ncertificate_san = \"x\"\n",
        ),
    ] {
        std::fs::write(directory.join(name), text).unwrap();
    }
    let mut command = connector(&["serve"]);
    command
        .current_dir(directory)
        .env("BUILDKITE_ORGANIZATION_SLUG", "acme")
        .env("BUILDKITE_API_TOKEN", "bkua_0123456789abcdef0123456789abcdef01234567")
        // Nothing of these tests is for Buildkite.
        .env("BUILDKITE_REST_URL", "http://127.0.0.1:9")
        .env("BUILDKITE_CONNECTOR_LISTEN", "127.0.0.1:0")
        .args(arguments);
    command
}

#[rstest]
#[case::no_tls(
    &["--listen", "0.0.0.0:0"],
    LISTEN,
    "0.0.0.0:0 can be reached by others and there is no TLS: give --tls-cert and --tls-key, listen on loopback or unix:PATH, or give --insecure-listen"
)]
#[case::every_address(
    &["--listen", "[::]:0"],
    LISTEN,
    "[::]:0 can be reached by others and there is no TLS: give --tls-cert and --tls-key, listen on loopback or unix:PATH, or give --insecure-listen"
)]
#[case::writes_without_callers(
    &["--listen", "0.0.0.0:0", "--insecure-listen", "--provisioning"],
    CALLERS,
    "0.0.0.0:0 can be reached by others and --provisioning or --allow is set: list the callers in a callers file (`buildkite-connector caller` makes an entry)"
)]
#[case::any_allowed_change_without_callers(
    &["--listen", "0.0.0.0:0", "--insecure-listen", "--allow", "rest-read"],
    CALLERS,
    "0.0.0.0:0 can be reached by others and --provisioning or --allow is set: list the callers in a callers file (`buildkite-connector caller` makes an entry)"
)]
#[case::writes_over_tls_without_callers(
    &["--listen", "0.0.0.0:0", "--tls-cert", "server.pem", "--tls-key", "server.key", "--provisioning"],
    CALLERS,
    "0.0.0.0:0 can be reached by others and --provisioning or --allow is set: list the callers in a callers file (`buildkite-connector caller` makes an entry)"
)]
#[case::no_key(&["--tls-cert", "server.pem"], CERTIFICATE, BOTH)]
#[case::no_certificate(&["--tls-key", "server.key"], CERTIFICATE, BOTH)]
#[case::client_ca_alone(&["--tls-client-ca", "ca.pem"], CERTIFICATE, BOTH)]
#[case::empty_certificate(
    &["--tls-cert", "empty", "--tls-key", "server.key"],
    CERTIFICATE,
    "empty holds no certificate: it is empty; --tls-cert and --tls-client-ca are for certificates, --tls-key is for the private key"
)]
#[case::key_as_certificate(
    &["--tls-cert", "server.key", "--tls-key", "server.key"],
    CERTIFICATE,
    "server.key holds no certificate: it holds a private key; --tls-cert and --tls-client-ca are for certificates, --tls-key is for the private key"
)]
#[case::certificate_as_key(
    &["--tls-cert", "server.pem", "--tls-key", "ca.pem"],
    KEY,
    "ca.pem holds no private key: it holds a certificate; --tls-cert and --tls-client-ca are for certificates, --tls-key is for the private key"
)]
#[case::key_as_client_ca(
    &["--tls-cert", "server.pem", "--tls-key", "server.key", "--tls-client-ca", "server.key"],
    CLIENT_CA,
    "server.key holds no certificate: it holds a private key; --tls-cert and --tls-client-ca are for certificates, --tls-key is for the private key"
)]
#[case::neither(
    &["--tls-cert", "none.toml", "--tls-key", "server.key"],
    CERTIFICATE,
    "none.toml holds no certificate: there is none in PEM form in it; --tls-cert and --tls-client-ca are for certificates, --tls-key is for the private key"
)]
#[case::caller_without_proof(
    &["--callers", "none.toml"],
    CALLERS,
    "none.toml: the caller `a` needs either token_sha256 or certificate_san"
)]
#[case::short_digest(
    &["--callers", "short.toml"],
    CALLERS,
    "short.toml: the caller `a` needs the 64 hexadecimal digits of its bearer's SHA-256 in token_sha256"
)]
#[case::nameless(&["--callers", "nameless.toml"], CALLERS, "nameless.toml: the caller ` ` needs a name")]
#[case::no_rate(
    &["--calls-per-second", "many"],
    RATE,
    "give a whole number from 1 to 1000000, or 0 for no limit"
)]
#[case::no_time(&["--drain", "0s"], DRAIN, "give a time such as `30s` or `2m`, longer than zero")]
fn a_listener_is_refused_in_one_sentence(#[case] arguments: &[&str], #[case] named: &str, #[case] sentence: &str) {
    assert_eq!(refusal(arguments), format!("{named}: {sentence}"));
}

#[rstest]
#[case::absent(&["--tls-cert", "gone.pem", "--tls-key", "server.key"], CERTIFICATE, "gone.pem cannot be read (No such file")]
#[case::absent_key(&["--tls-cert", "server.pem", "--tls-key", "gone.key"], KEY, "gone.key cannot be read (No such file")]
#[case::absent_ca(
    &["--tls-cert", "server.pem", "--tls-key", "server.key", "--tls-client-ca", "gone.pem"],
    CLIENT_CA,
    "gone.pem cannot be read (No such file"
)]
#[case::damaged(
    &["--tls-cert", "damaged.pem", "--tls-key", "server.key"],
    CERTIFICATE,
    "damaged.pem holds no certificate: its PEM is damaged ("
)]
#[case::unlike(
    &["--tls-cert", "server.pem", "--tls-key", "other.key"],
    CERTIFICATE,
    "certificate, key and client CA do not fit together ("
)]
#[case::no_callers(&["--callers", "gone.toml"], CALLERS, "gone.toml cannot be read (")]
#[case::no_toml(&["--callers", "server.pem"], CALLERS, "server.pem is no callers file (line 1: ")]
#[case::no_role(&["--callers", "role.toml"], CALLERS, "role.toml is no callers file (line 3: unknown variant `admin`")]
#[case::unknown_key(&["--callers", "key.toml"], CALLERS, "key.toml is no callers file (line 6: unknown field `rôle`")]
#[case::not_closed(&["--callers", "open.toml"], CALLERS, "open.toml is no callers file (line 2: ")]
fn an_unusable_file_is_named_with_its_defect(#[case] arguments: &[&str], #[case] named: &str, #[case] begin: &str) {
    let said = refusal(arguments);
    assert!(said.starts_with(&format!("{named}: {begin}")), "{said}");
}

#[rstest]
#[case::the_word(&["--listen", "0.0.0.0:0", "--insecure-listen"])]
#[case::tls(&["--listen", "0.0.0.0:0", "--tls-cert", "server.pem", "--tls-key", "server.key"])]
#[case::callers(&["--listen", "0.0.0.0:0", "--insecure-listen", "--provisioning", "--callers", "san.toml"])]
fn a_sufficient_configuration_is_served(#[case] arguments: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let mut server = ConnectorProcess::start(serve(arguments, directory.path()));
    assert!(server.address().starts_with("0.0.0.0:"));
    assert_eq!(server.terminate().status.code(), Some(0));
}

#[test]
fn a_caller_that_the_listener_cannot_authenticate_is_logged_as_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = ConnectorProcess::start(serve(&["--callers", "san.toml"], directory.path()));
    let warning = server.event("without --tls-client-ca no certificate can prove this caller");
    assert_eq!(
        (warning["level"].as_str(), warning["caller"].as_str()),
        (Some("WARN"), Some("nightly"))
    );
    server.address();
    assert_eq!(server.terminate().status.code(), Some(0));
}

/// The last line of what it says; before it there may be the log.
fn refusal(arguments: &[&str]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let output = serve(arguments, directory.path()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    let last = said.lines().last().unwrap();
    last.strip_prefix("error: ").unwrap().to_owned()
}
