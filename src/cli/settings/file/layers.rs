//! Puts the sources of settings together: flags and variables, the top of the file, and what connections state for themselves.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::credentials;
use super::document::{Document, Entry, Table};
use super::known::{GUARDS, Known, is_credential, key_of, settings};
use super::{Loaded, NamedConnection, Place};
use crate::cli::settings::{ConnectionArgs, SettingError};

/// The flags for what the top of the file sets, and neither a flag nor a variable. `command` is the command that runs, with its
/// `matches`.
///
/// # Errors
/// A key or a value is wrong, or the file names connections and a flag or a variable gives an organization or a credential.
pub(in crate::cli) fn flags_of_file(
    document: &Document,
    command: &Command,
    matches: &ArgMatches,
) -> Result<Vec<OsString>, SettingError> {
    let path = &document.path;
    let known = Known::of_all();
    // Every value is checked, also of a setting that this command does not have or that a flag replaces.
    let of_connection = Known::of_connection();
    for table in &document.connections {
        for entry in &table.entries {
            of_connection.flags(path, entry, &known)?;
        }
        credentials::read(path, table)?;
    }
    if !document.connections.is_empty() {
        for arg in settings(command).filter(|arg| is_given(arg, matches)) {
            let key = key_of(arg);
            if key == "organization" || is_credential(&key) {
                let problem = format!(
                    "{} names connections, which have their own: leave it out",
                    path.display()
                );
                return Err(SettingError::of_arg(arg, problem));
            }
        }
    }
    let mut flags = Vec::new();
    for entry in &document.top {
        let of_entry = known.flags(path, entry, &known)?;
        let mut declared = settings(command);
        if declared.any(|arg| key_of(arg) == entry.key && !is_given(arg, matches)) {
            flags.extend(of_entry);
        }
    }
    Ok(flags)
}

/// What the file and the other sources say: `matches` are those of `command` with the flags of [`flags_of_file`] for the same
/// document. `arguments` is the command line.
///
/// # Errors
/// As for [`flags_of_file`].
pub(in crate::cli) fn load(
    document: Document,
    arguments: &[OsString],
    command: &Command,
    matches: &ArgMatches,
) -> Result<Loaded, SettingError> {
    let known = Known::of_connection();
    let connections = if document.connections.is_empty() {
        let flags = known.iter().flat_map(|(_, arg)| given(arg, matches)).collect();
        vec![parse(None, None, flags)?]
    } else {
        let tables = document.connections.iter();
        tables
            .map(|table| connection(&document.path, table, &known, matches))
            .collect::<Result<_, _>>()?
    };
    let of_process = settings(command).filter(|arg| known.iter().all(|(key, _)| key != key_of(arg)));
    let of_process: BTreeMap<_, _> = of_process.map(|arg| (key_of(arg), given(arg, matches))).collect();
    Ok(Loaded {
        path: document.path,
        text: document.text,
        arguments: arguments.to_vec(),
        connections,
        of_process,
    })
}

/// The connection of a table.
fn connection(
    path: &Path,
    table: &Table,
    known: &Known,
    matches: &ArgMatches,
) -> Result<NamedConnection, SettingError> {
    let own = |key: &str| table.entries.iter().find(|entry| entry.key == key);
    // A credential is replaced as a whole, because it may have another form.
    let has_own = table.entries.iter().any(|entry| is_credential(&entry.key));
    let has_credential = has_own || !table.credentials.is_empty();
    let mut flags = Vec::new();
    for (key, arg) in known.iter() {
        let own: Option<&Entry> = own(key);
        let is_replaced = own.is_some() && !GUARDS.contains(&key);
        if !(is_replaced || has_credential && is_credential(key)) {
            flags.extend(given(arg, matches));
        }
        if let Some(entry) = own {
            flags.extend(known.flags(path, entry, known)?);
        }
    }
    let place = Place {
        path: path.to_owned(),
        line: table.line,
    };
    let connection = parse(Some(table), Some(place), flags)?;
    let credentials = credentials::read(path, table)?;
    let of_credentials = credentials
        .iter()
        .flat_map(|credential| credential.flags.iter().cloned());
    let flags = connection.flags.iter().cloned().chain(of_credentials).collect();
    Ok(NamedConnection {
        flags,
        credentials,
        ..connection
    })
}

fn parse(table: Option<&Table>, place: Option<Place>, flags: Vec<OsString>) -> Result<NamedConnection, SettingError> {
    let command = ConnectionArgs::augment_args(Command::new("connection").no_binary_name(true));
    let command = command.mut_args(|arg| arg.env(clap::builder::Resettable::Reset));
    let args = command
        .try_get_matches_from(&flags)
        .and_then(|matches| ConnectionArgs::from_arg_matches(&matches));
    let args = args.map_err(|error| {
        // Every value was accepted before, so this branch should be unreachable.
        let error = error.to_string();
        SettingError::of_variable("--config", error.lines().next().unwrap_or_default())
    })?;
    Ok(NamedConnection {
        name: table.map(|table| table.name.clone()),
        place,
        flags,
        args,
        credentials: Vec::new(),
    })
}

/// The declaration of the command that `matches` ran, with these matches.
pub(in crate::cli) fn command_of<'a>(
    cli: &'a Command,
    matches: &'a ArgMatches,
) -> Option<(&'a Command, &'a ArgMatches)> {
    let (name, matches) = matches.subcommand()?;
    Some((cli.find_subcommand(name)?, matches))
}

/// Whether a flag or a variable gives the setting.
fn is_given(arg: &Arg, matches: &ArgMatches) -> bool {
    let source = matches.value_source(arg.get_id().as_str());
    matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
}

/// The flags that give the value of `arg` in `matches`; none for a default.
fn given(arg: &Arg, matches: &ArgMatches) -> Vec<OsString> {
    if !is_given(arg, matches) {
        return Vec::new();
    }
    let long = arg.get_long().unwrap_or_default();
    let values = matches.get_raw(arg.get_id().as_str()).into_iter().flatten();
    let flag = |value: &OsStr| {
        let mut flag = OsString::from(format!("--{long}="));
        flag.push(value);
        flag
    };
    values.map(flag).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::settings::value::PathParser;

    #[test]
    fn the_flags_and_the_connections_are_of_one_reading() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("connector.toml");
        let first = "read_ahead = 2\n[connection.first]\norganization = \"one\"\n";
        std::fs::write(&path, first).unwrap();
        let config = Arg::new("config").long("config").value_parser(PathParser);
        let command = ConnectionArgs::augment_args(Command::new("sync").no_binary_name(true).arg(config));
        let command = command.mut_args(|arg| match arg.get_env() {
            // As a name, but not the value that the environment of the test has.
            Some(_) => arg.env("ABSENT_IN_THE_ENVIRONMENT_OF_TESTS"),
            None => arg,
        });
        let matches = command.clone().try_get_matches_from([""; 0]).unwrap();
        let document = Document::read(&path).unwrap();
        // A write between the two steps.
        std::fs::write(&path, "read_ahead = 3\n[connection.second]\norganization = \"two\"\n").unwrap();
        let flags = flags_of_file(&document, &command, &matches).unwrap();
        assert_eq!(flags, ["--read-ahead=2"]);
        let matches = command.clone().try_get_matches_from(&flags).unwrap();
        let loaded = load(document, &flags, &command, &matches).unwrap();
        assert_eq!(loaded.text, first);
        let [connection] = &loaded.connections[..] else {
            panic!("{:?}", loaded.connections)
        };
        assert_eq!(
            connection.name.as_ref().map(ToString::to_string).as_deref(),
            Some("first")
        );
        assert!(connection.flags.iter().any(|flag| flag == "--organization=one"));
    }
}
