//! The address of a repository without anything that can be a credential.

use std::fmt;

use url::Url;

use crate::telemetry::redact::mask;

/// The host and the path of a repository, such as `github.com/acme/deploy.git`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository(String);

impl Repository {
    /// Parses the forms that git accepts for another host: a URL, and `user@host:path`. User, password, port, query and fragment
    /// are dropped. `None` for any other form, and for a path that may hold credentials.
    #[must_use]
    pub fn of(address: &str) -> Option<Self> {
        let (host, path) = if address.contains("://") {
            let url = Url::parse(address).ok()?;
            (url.host_str()?.to_owned(), url.path().to_owned())
        } else {
            let (host, path) = address.split_once(':')?;
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            (host.to_owned(), path.to_owned())
        };
        let lower = path.to_ascii_lowercase();
        let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '[' | ']' | ':');
        let may_hold_credentials = ["@", ":", "?", "#", "%40", "%3a"]
            .iter()
            .any(|sign| lower.contains(sign));
        let path = path.trim_start_matches('/');
        if host.is_empty() || !host.chars().all(is_host) || path.is_empty() || may_hold_credentials {
            return None;
        }
        Some(Self(mask(&format!("{host}/{path}"))))
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("https://github.com/acme/deploy.git", Some("github.com/acme/deploy.git"))]
    #[case(
        "https://user:secret@GitHub.com:8443/acme/deploy?token=secret#secret",
        Some("github.com/acme/deploy")
    )]
    #[case("https://user:se@cret@github.com/acme/deploy", Some("github.com/acme/deploy"))]
    #[case(
        "ssh://git:secret@git.acme.example/srv/deploy.git",
        Some("git.acme.example/srv/deploy.git")
    )]
    #[case("git@github.com:acme/deploy.git", Some("github.com/acme/deploy.git"))]
    #[case("github.com:acme/deploy.git", Some("github.com/acme/deploy.git"))]
    #[case("https://user:se/cret@github.com/acme/deploy", None)]
    #[case("user:secret@github.com:acme/deploy", None)]
    #[case("https://github.com/user:secret@acme/deploy", None)]
    #[case("https://github.com/user%3Asecret%40acme/deploy", None)]
    #[case("https://github.com", None)]
    #[case("/srv/secret/deploy", None)]
    #[case("", None)]
    fn only_host_and_path_are_kept(#[case] address: &str, #[case] kept: Option<&str>) {
        assert_eq!(
            Repository::of(address)
                .map(|repository| repository.to_string())
                .as_deref(),
            kept
        );
    }

    proptest! {
        #[test]
        fn no_password_is_kept(user in "[a-z]{1,8}", password in "[!-~]{1,20}") {
            let marked = format!("SECRET{password}SECRET");
            for address in [
                format!("https://{user}:{marked}@github.com/acme/deploy"),
                format!("{user}:{marked}@github.com:acme/deploy"),
            ] {
                let kept = Repository::of(&address).map(|kept| kept.to_string()).unwrap_or_default();
                prop_assert!(!kept.to_ascii_uppercase().contains("SECRET"), "{address} -> {kept}");
            }
        }
    }
}
