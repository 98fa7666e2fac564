//! Authentication of callers against the callers file.
//!
//! A caller sends a bearer token, of which the file holds only the SHA-256 digest, or a certificate of the client CA with a
//! name that the file lists. Digests are compared in constant time. The file is loaded again when it changes.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::{constant_time, digest, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::CertificateDer;
use serde::Deserialize;

use super::caller_connections::CallerConnections;
use crate::files;
use crate::governance::connections::{ConnectionName, ConnectionSet};
use crate::reload::Reloadable;

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallerRole {
    /// List and read.
    Reader,
    /// Also grant and revoke.
    Provisioner,
}

impl CallerRole {
    /// The role as the callers file spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Provisioner => "provisioner",
        }
    }
}

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The caller's name in the file; the audit record and the logs have it.
    pub name: Arc<str>,
    /// What it may do.
    pub role: CallerRole,
    /// The connections that it may use. `None` for all.
    pub connections: Option<Arc<CallerConnections>>,
}

/// Why a callers file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CallersError {
    /// It cannot be read.
    #[error("{file} cannot be read ({error})")]
    Unreadable {
        /// Which file.
        file: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// It is no TOML of the documented form.
    #[error("{file} is no callers file (line {line}: {error})")]
    Malformed {
        /// Which file.
        file: String,
        /// Where; lines count from 1.
        line: usize,
        /// What is wrong there.
        error: String,
    },
    /// An entry is wrong.
    #[error("{file}: the caller `{name}` {problem}")]
    Entry {
        /// Which file.
        file: String,
        /// Whose entry.
        name: String,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    caller: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    role: CallerRole,
    token_sha256: Option<String>,
    certificate_san: Option<String>,
    connections: Option<Vec<String>>,
}

/// The callers of one load of the file.
#[derive(Debug, Default)]
pub struct Callers {
    entries: Vec<(Identity, CallerCredential)>,
}

#[derive(Debug)]
enum CallerCredential {
    Bearer(Vec<u8>),
    Certificate(String),
}

impl Callers {
    /// Loads the file and keeps watching it. `certificates`: whether the listener asks for client certificates at all.
    ///
    /// # Errors
    /// When the file cannot be used as it is.
    pub fn watch(file: PathBuf, certificates: bool) -> Result<Reloadable<Self>, CallersError> {
        Self::watch_naming(file, certificates, |_| true)
    }

    /// The same for callers that name only connections for which `exists` returns true.
    ///
    /// # Errors
    /// When the file cannot be used as it is.
    pub fn watch_naming(
        file: PathBuf,
        certificates: bool,
        exists: impl Fn(&ConnectionName) -> bool + Send + Sync + 'static,
    ) -> Result<Reloadable<Self>, CallersError> {
        Reloadable::start("callers", vec![file.clone()], move || {
            let callers = Self::load(&file)?;
            if let Some((name, connection)) = callers.unknown_connection(&exists) {
                return Err(CallersError::Entry {
                    file: file.display().to_string(),
                    name: name.to_owned(),
                    problem: format!(
                        "names the connection `{connection}`, which does not exist: name one of the configuration file"
                    ),
                });
            }
            callers.warn_of_unauthenticated(&file, certificates);
            Ok(callers)
        })
    }

    /// A caller, and a connection that it names, for which `exists` returns false.
    pub(crate) fn unknown_connection(
        &self,
        exists: impl Fn(&ConnectionName) -> bool,
    ) -> Option<(&str, &ConnectionName)> {
        self.entries.iter().find_map(|(identity, _)| {
            let mut names = identity.connections.as_ref()?.names();
            Some((&*identity.name, names.find(|name| !exists(name))?))
        })
    }

    /// Logs the callers that may use none of `connections`.
    pub(crate) fn warn_of_unusable(&self, connections: &ConnectionSet) {
        for (identity, _) in &self.entries {
            let allowed = identity.connections.as_ref();
            if allowed.is_some_and(|allowed| allowed.usable(connections).next().is_none()) {
                tracing::warn!(
                    caller = &*identity.name,
                    "the caller may use none of the {} connections: list those that it may use as `connections` in its entry",
                    connections.len()
                );
            }
        }
    }

    /// Logs that the callers of `file` are none, and those that no certificate can prove. `certificates`: whether the listener asks
    /// for client certificates.
    fn warn_of_unauthenticated(&self, file: &Path, certificates: bool) {
        for (identity, credential) in &self.entries {
            if matches!(credential, CallerCredential::Certificate(_)) && !certificates {
                tracing::warn!(
                    caller = &*identity.name,
                    "without --tls-client-ca no certificate can prove this caller"
                );
            }
        }
        if self.entries.is_empty() {
            tracing::warn!(
                file = %file.display(),
                "the callers file lists no caller, so every call is rejected"
            );
        }
    }

    /// The callers of the file as it is now.
    ///
    /// # Errors
    /// The file cannot be read, or is wrong.
    pub(crate) fn load(file: &Path) -> Result<Self, CallersError> {
        let named = || file.display().to_string();
        let text = files::read_text(file).map_err(|error| CallersError::Unreadable { file: named(), error })?;
        let parsed: File = toml::from_str(&text).map_err(|error| CallersError::Malformed {
            file: named(),
            line: error.span().map_or(1, |span| line_of(&text, span.start)),
            // Some of its messages go on in a second line.
            error: error.message().lines().collect::<Vec<_>>().join(", "),
        })?;
        let mut callers = Self::default();
        let mut connections: HashMap<String, CallerConnections> = HashMap::new();
        for entry in &parsed.caller {
            let together = connections.entry(entry.name.clone()).or_default();
            together
                .add(entry.connections.as_deref())
                .map_err(|listed| CallersError::Entry {
                    file: named(),
                    name: entry.name.clone(),
                    problem: format!(
                        "lists `{listed}` as a connection, which is no name of one: give names, or `*` for all"
                    ),
                })?;
        }
        let connections: HashMap<String, Arc<CallerConnections>> = connections
            .into_iter()
            .map(|(name, connections)| (name, Arc::new(connections)))
            .collect();
        for entry in parsed.caller {
            let wrong = |problem: &str| CallersError::Entry {
                file: named(),
                name: entry.name.clone(),
                problem: problem.to_owned(),
            };
            if entry.name.trim().is_empty() {
                return Err(wrong("needs a name"));
            }
            let credential =
                match (&entry.token_sha256, &entry.certificate_san) {
                    (Some(hex), None) => CallerCredential::Bearer(sha256(hex).ok_or_else(|| {
                        wrong("needs the 64 hexadecimal digits of its bearer's SHA-256 in token_sha256")
                    })?),
                    (None, Some(san)) => CallerCredential::Certificate(san.clone()),
                    _ => return Err(wrong("needs either token_sha256 or certificate_san")),
                };
            callers.entries.push((
                Identity {
                    name: entry.name.as_str().into(),
                    role: entry.role,
                    connections: connections.get(&entry.name).cloned(),
                },
                credential,
            ));
        }
        Ok(callers)
    }

    /// Authenticates a caller by its bearer token or its certificate. If both are valid, the one with more rights counts.
    #[must_use]
    pub fn authenticate(&self, bearer: Option<&[u8]>, certificate: Option<&CertificateDer<'_>>) -> Option<Identity> {
        self.authenticate_digest(bearer.map(digest_of), certificate)
    }

    /// The same, by the digest of the bearer token.
    pub(crate) fn authenticate_digest(
        &self,
        shown: Option<digest::Digest>,
        certificate: Option<&CertificateDer<'_>>,
    ) -> Option<Identity> {
        let names = certificate.map(names_in).unwrap_or_default();
        let matches = |credential: &CallerCredential| match credential {
            CallerCredential::Bearer(expected) => shown
                .as_ref()
                .is_some_and(|shown| constant_time::verify_slices_are_equal(shown.as_ref(), expected).is_ok()),
            CallerCredential::Certificate(san) => names.iter().any(|name| name == san),
        };
        // Every entry is compared, so that the time taken does not reveal which one matches.
        let matching = self.entries.iter().filter(|(_, credential)| matches(credential));
        matching
            .map(|(identity, _)| identity.clone())
            .max_by_key(|identity| identity.role)
    }
}

/// The line of `text` that the byte at `offset` is in, counted from 1.
fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

/// The digest of a bearer token: what is compared, and all that is kept.
pub(crate) fn digest_of(bearer: &[u8]) -> digest::Digest {
    digest::digest(&digest::SHA256, bearer)
}

fn sha256(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.trim().as_bytes();
    if digits.len() != 2 * digest::SHA256_OUTPUT_LEN {
        return None;
    }
    digits
        .chunks(2)
        .map(|pair| {
            std::str::from_utf8(pair)
                .ok()
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
        })
        .collect()
}

/// The DNS and URI names of a certificate that the listener has verified already.
fn names_in(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(parsed) = webpki::EndEntityCert::try_from(certificate) else {
        return Vec::new();
    };
    let dns = parsed.valid_dns_names().map(str::to_owned);
    dns.chain(parsed.valid_uri_names().map(str::to_owned)).collect()
}

/// A new bearer token and its digest for the callers file.
#[derive(Debug)]
pub struct BearerToken {
    /// The token that the caller sends. It is not stored.
    pub bearer: String,
    /// The digest that the file holds.
    pub token_sha256: String,
}

impl BearerToken {
    /// Generates a token from 32 random bytes.
    ///
    /// # Errors
    /// The system's random number generator failed.
    pub fn generate() -> Result<Self, aws_lc_rs::error::Unspecified> {
        let mut bytes = [0u8; 32];
        rand::fill(&mut bytes)?;
        let bearer = URL_SAFE_NO_PAD.encode(bytes);
        let token_sha256 =
            digest::digest(&digest::SHA256, bearer.as_bytes())
                .as_ref()
                .iter()
                .fold(String::new(), |mut hex, byte| {
                    // Writing to a string does not fail.
                    let _ = write!(hex, "{byte:02x}");
                    hex
                });
        Ok(Self { bearer, token_sha256 })
    }
}
