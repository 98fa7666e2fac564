//! Takes credentials out of the addresses in a text: the user and the password of a URL or of the form `user:password@host:path`, and
//! the values of parameters whose names say that they hold a credential.

use crate::providers::buildkite::Repository;
use crate::providers::buildkite::api::rest_path::names_credential;
use crate::telemetry::redact::REDACTED;

/// What begins the address of a host in a URL.
const SCHEME_END: &str = "://";

/// The text without credentials.
pub(super) fn without_credentials(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for part in text.split_inclusive(ends_word) {
        let word = part.trim_end_matches(ends_word);
        let separator = part.get(word.len()..).unwrap_or_default();
        cleaned.push_str(&clean_word(word));
        cleaned.push_str(separator);
    }
    cleaned
}

/// The address of a repository as host and path; `None` if nothing is left that is safe to show. A name without a host stays.
pub(super) fn repository(address: &str) -> Option<String> {
    if !address.contains(['@', ':']) {
        return Some(address.to_owned());
    }
    Repository::of(address).map(|repository| repository.to_string())
}

/// No URL contains these characters unencoded.
fn ends_word(character: char) -> bool {
    character.is_whitespace() || character.is_control() || matches!(character, '"' | '<' | '>' | '`')
}

fn clean_word(word: &str) -> String {
    if word.contains(SCHEME_END) {
        return without_parameters(&without_user(word));
    }
    match word.rsplit_once('@') {
        Some((user, address)) if user.contains(':') && names_path(address) => address.to_owned(),
        _ => word.to_owned(),
    }
}

/// Whether a path follows the host. An e-mail address may be followed by a sign.
fn names_path(address: &str) -> bool {
    let address = address.trim_end_matches(|sign: char| sign.is_ascii_punctuation());
    address.contains([':', '/'])
}

/// The word; each URL in it loses the user and the password.
fn without_user(word: &str) -> String {
    let (mut cleaned, mut rest) = (String::with_capacity(word.len()), word);
    while let Some(at) = rest.find(SCHEME_END) {
        let (before, after) = rest.split_at(at + SCHEME_END.len());
        cleaned.push_str(before);
        rest = without_leading_user(after);
    }
    cleaned + rest
}

/// What follows the user and the password; everything if there are none. A password with a slash makes the first part look like a
/// host with a port that is no number.
fn without_leading_user(after_scheme: &str) -> &str {
    let end = after_scheme.find(['/', '?', '#']).unwrap_or(after_scheme.len());
    let authority = after_scheme.get(..end).unwrap_or_default();
    let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
    let has_port = authority.starts_with('[') || port.chars().all(|digit| digit.is_ascii_digit());
    let sign = authority
        .rfind('@')
        .or_else(|| after_scheme.find('@').filter(|_| !has_port));
    sign.and_then(|sign| after_scheme.get(sign + 1..))
        .unwrap_or(after_scheme)
}

/// The word; the parameters of its query and its fragment that hold credentials lose their values.
fn without_parameters(word: &str) -> String {
    let mut cleaned = String::with_capacity(word.len());
    for part in word.split_inclusive(['?', '&', '#', ';']) {
        let parameter = part.trim_end_matches(['?', '&', '#', ';']);
        let separator = part.get(parameter.len()..).unwrap_or_default();
        match parameter.split_once('=') {
            Some((name, _)) if names_credential(name) => cleaned.extend([name, "=", REDACTED]),
            _ => cleaned.push_str(parameter),
        }
        cleaned.push_str(separator);
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("https://ci:hush@git.example/x.git", "https://git.example/x.git")]
    #[case("ssh://hush@git.example:22/x", "ssh://git.example:22/x")]
    #[case("https://ci:hu/sh@git.example/x", "https://git.example/x")]
    #[case("https://ci:h@u:sh@git.example/x", "https://git.example/x")]
    #[case("clone https://ci:hush@git.example/x now", "clone https://git.example/x now")]
    #[case("[x](https://ci:hush@git.example/x)", "[x](https://git.example/x)")]
    #[case(
        "https://a:hush@one.example,https://b:hush@two.example",
        "https://one.example,https://two.example"
    )]
    #[case("ci:hush@git.example:acme/x.git", "git.example:acme/x.git")]
    #[case("curl ci:hush@git.example/x", "curl git.example/x")]
    #[case(
        "https://git.example/x?private_token=hush&page=2",
        "https://git.example/x?private_token=[redacted]&page=2"
    )]
    #[case(
        "see https://git.example/x#access_token=hush\nend",
        "see https://git.example/x#access_token=[redacted]\nend"
    )]
    #[case(
        "https://git.example/login?to=https://ci:hush@git.example/x",
        "https://git.example/login?to=https://git.example/x"
    )]
    fn credentials_are_taken_out(#[case] text: &str, #[case] cleaned: &str) {
        assert_eq!(without_credentials(text), cleaned);
    }

    #[rstest]
    #[case("https://git.example:8443/@scope/x?page=2#top")]
    #[case("https://[::1]:8443/@scope")]
    #[case("git@git.example:acme/x.git")]
    #[case("write to mailto:ada@example.com: thanks")]
    #[case("  two  spaces\tand a tab ")]
    fn what_holds_none_stays_as_it_is(#[case] text: &str) {
        assert_eq!(without_credentials(text), text);
    }

    #[rstest]
    #[case("acme/deploy", Some("acme/deploy"))]
    #[case("https://ci:hush@git.example/x?token=hush", Some("git.example/x"))]
    #[case("ci:hush@git.example:acme/x", None)]
    fn a_repository_is_a_host_and_a_path(#[case] address: &str, #[case] shown: Option<&str>) {
        assert_eq!(repository(address).as_deref(), shown);
    }
}
