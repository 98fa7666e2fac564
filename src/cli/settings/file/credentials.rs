//! The credentials of a connection that has several: `[[connection.NAME.credential]]`.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::str::FromStr;

use clap::builder::Resettable;
use clap::{Args, Command, FromArgMatches};

use super::document::{CredentialTable, Entry, Table, Value};
use super::known::{Known, is_credential};
use crate::cli::settings::SettingError;
use crate::cli::settings::credential::CredentialArgs;
use crate::governance::connections::ConnectionName;
use crate::providers::buildkite::budget::CredentialUse;
use crate::providers::buildkite::{CredentialSpec, OrganizationSlug, Shared};

/// The keys that a credential has beside those of every credential.
const NAME: &str = "name";
const USE: &str = "use";

/// One of several credentials of a connection.
#[derive(Debug, Clone)]
pub(in crate::cli) struct FileCredential {
    pub(in crate::cli) name: String,
    pub(in crate::cli) usage: CredentialUse,
    pub(in crate::cli) args: CredentialArgs,
    /// The flags that give its settings.
    pub(super) flags: Vec<OsString>,
}

impl FileCredential {
    /// The error with the name of the credential that it is about.
    pub(in crate::cli) fn error(&self, error: &SettingError) -> SettingError {
        SettingError::of_variable(&format!("credential `{}`", self.name), error)
    }
}

/// The credentials of a connection that has several.
///
/// # Errors
/// A secret cannot be used, or a part of a credential is missing.
pub(in crate::cli::settings) fn credentials_of(
    several: &[FileCredential],
    organization: &OrganizationSlug,
    shared: &Shared,
) -> Result<Vec<CredentialSpec>, SettingError> {
    let one = |of: &FileCredential| {
        // A token in the environment would be that of any of them.
        let credential = of.args.credential(organization, shared, |_| None);
        Ok(CredentialSpec {
            name: of.name.clone(),
            usage: of.usage,
            credential: credential.map_err(|error| of.error(&error))?,
        })
    };
    several.iter().map(one).collect()
}

/// The credentials of the connection `table` of the file at `path`; none if it has one, which its own keys state.
///
/// # Errors
/// A key or its value is wrong, two have one name, none may list, or the connection states one of its own as well.
pub(super) fn read(path: &Path, table: &Table) -> Result<Vec<FileCredential>, SettingError> {
    let own = table.entries.iter().find(|entry| is_credential(&entry.key));
    if let (Some(Entry { key, line, .. }), false) = (own, table.credentials.is_empty()) {
        let problem = format!(
            "{key}: the connection has `[[connection.{}.credential]]` as well: move it into one",
            table.name
        );
        return Err(SettingError::of_file(path, Some(*line), problem));
    }
    let known = Known::of_credential();
    let numbered = (1..).zip(&table.credentials);
    let credentials: Vec<FileCredential> = numbered
        .map(|(position, credential)| one(path, &known, position, credential))
        .collect::<Result<_, _>>()?;
    let mut taken = BTreeSet::new();
    let mut written = credentials.iter().zip(&table.credentials);
    if let Some((twice, at)) = written.find(|(credential, _)| !taken.insert(&credential.name)) {
        let problem = format!(
            "two credentials have the name `{}`: give each a name of its own",
            twice.name
        );
        return Err(SettingError::of_file(path, Some(at.line), problem));
    }
    let lists = |credential: &FileCredential| credential.usage != CredentialUse::Provisioning;
    if !credentials.is_empty() && !credentials.iter().any(lists) {
        let problem = format!(
            "[connection.{}]: every credential is for provisioning, so none may list: set the `use` of one to `any` or `sync`",
            table.name
        );
        return Err(SettingError::of_file(path, Some(table.line), problem));
    }
    Ok(credentials)
}

fn one(path: &Path, known: &Known, position: usize, table: &CredentialTable) -> Result<FileCredential, SettingError> {
    let CredentialTable { line, entries } = table;
    let stated = |key: &str| {
        let entry = entries.iter().find(|entry| entry.key == key);
        entry.map(|entry| (entry, text(entry)))
    };
    let wrong = |entry: &Entry, problem: &str| {
        SettingError::of_file(path, Some(entry.line), format!("{}: {problem}", entry.key))
    };
    let name = match stated(NAME) {
        None => position.to_string(),
        Some((entry, name)) => {
            let name = name.and_then(|name| ConnectionName::from_str(name).ok());
            let name = name.ok_or_else(|| wrong(entry, "give 1 to 63 lower-case letters, digits and hyphens"))?;
            name.to_string()
        }
    };
    let usage = match stated(USE) {
        None | Some((_, Some("any"))) => CredentialUse::Any,
        Some((_, Some("sync"))) => CredentialUse::Sync,
        Some((_, Some("provisioning"))) => CredentialUse::Provisioning,
        Some((entry, _)) => return Err(wrong(entry, "give `any`, `sync` or `provisioning`")),
    };
    let mut of_args = Vec::new();
    for entry in entries
        .iter()
        .filter(|entry| ![NAME, USE].contains(&entry.key.as_str()))
    {
        of_args.extend(known.flags(path, entry, known)?);
    }
    let command = CredentialArgs::augment_args(Command::new("credential").no_binary_name(true));
    let args = command
        .mut_args(|arg| arg.env(Resettable::Reset))
        .try_get_matches_from(&of_args)
        .and_then(|matches| CredentialArgs::from_arg_matches(&matches));
    let args = args.map_err(|error| {
        // Every value was accepted before, so this branch should be unreachable.
        let error = error.to_string();
        SettingError::of_file(path, Some(*line), error.lines().next().unwrap_or_default())
    })?;
    let mut flags = vec![OsString::from(format!("--credential={name}:{usage:?}"))];
    flags.extend(of_args);
    Ok(FileCredential {
        name,
        usage,
        args,
        flags,
    })
}

/// The value, if it is one text.
fn text(entry: &Entry) -> Option<&str> {
    match &entry.value {
        Value::One(text) => Some(text),
        Value::List(_) | Value::Other => None,
    }
}
