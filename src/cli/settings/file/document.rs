//! The configuration file as TOML: its keys with their lines, and values as text.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::cli::settings::SettingError;
use crate::files;
use crate::governance::connections::ConnectionName;

/// The table of the connections.
pub(super) const CONNECTION: &str = "connection";

/// The tables of a connection's credentials, if it has several.
const CREDENTIAL: &str = "credential";

/// A file that was read.
#[derive(Debug)]
pub(in crate::cli) struct Document {
    pub(super) path: PathBuf,
    /// What the file holds.
    pub(super) text: String,
    /// The keys at the top.
    pub(super) top: Vec<Entry>,
    /// The connections, in the order of their names.
    pub(super) connections: Vec<Table>,
}

/// The keys of one connection.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: ConnectionName,
    pub(super) line: usize,
    pub(super) entries: Vec<Entry>,
    /// The connection's credentials, in their order; none if it has one, which its keys state.
    pub(super) credentials: Vec<CredentialTable>,
}

/// The keys of one of several credentials.
#[derive(Debug)]
pub(super) struct CredentialTable {
    pub(super) line: usize,
    pub(super) entries: Vec<Entry>,
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) value: Value,
}

/// A value as a flag would have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    One(String),
    List(Vec<String>),
    /// A table or another value that no setting has.
    Other,
}

impl Value {
    /// The texts of which it consists.
    pub(super) fn texts(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::List(texts) => texts,
            Self::Other => &[],
        }
    }
}

impl Document {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// It cannot be read, is no TOML, or a connection has no valid name. The error names the line and quotes no value, which may be
    /// a secret.
    pub(in crate::cli) fn read(path: &Path) -> Result<Self, SettingError> {
        let text = files::read_text(path).map_err(|error| {
            let problem = format!("cannot be read ({error})");
            SettingError::of_file(path, None, problem)
        })?;
        let lines = Lines(&text);
        let parsed = DeTable::parse(&text).map_err(|error| {
            let line = error.span().map(|span| lines.of(span.start));
            // Some of its messages go on in a second line.
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            SettingError::of_file(path, line, format!("the file is no TOML: {message}"))
        })?;
        let mut document = Self {
            path: path.to_owned(),
            text: String::new(),
            top: Vec::new(),
            connections: Vec::new(),
        };
        for (key, value) in parsed.into_inner() {
            if key.get_ref() == CONNECTION {
                document.connections = connections(path, &lines, key.span().start, value)?;
            } else {
                document.top.push(entry(&lines, &key, &value));
            }
        }
        document.text = text;
        Ok(document)
    }
}

fn connections(
    path: &Path,
    lines: &Lines<'_>,
    start: usize,
    value: Spanned<DeValue<'_>>,
) -> Result<Vec<Table>, SettingError> {
    let DeValue::Table(tables) = value.into_inner() else {
        let problem = "`connection` holds tables, one for each connection: write `[connection.NAME]`";
        return Err(SettingError::of_file(path, Some(lines.of(start)), problem));
    };
    let mut connections = Vec::new();
    for (key, value) in tables {
        let line = lines.of(key.span().start);
        let wrong = |problem: String| SettingError::of_file(path, Some(line), problem);
        let name = key
            .get_ref()
            .parse()
            .map_err(|error| wrong(format!("`{}`: {error}", key.get_ref().escape_debug())))?;
        let DeValue::Table(keys) = value.get_ref() else {
            return Err(wrong(format!("`{name}` is no table: write `[connection.{name}]`")));
        };
        let is_credentials = |key: &Spanned<Cow<'_, str>>| key.get_ref() == CREDENTIAL;
        let stated = keys.iter().filter(|(key, _)| !is_credentials(key));
        let several = keys.iter().find(|(key, _)| is_credentials(key));
        let several = several.map(|(key, value)| credentials(path, lines, key.span().start, value, &name));
        connections.push(Table {
            line,
            entries: stated.map(|(key, value)| entry(lines, key, value)).collect(),
            credentials: several.transpose()?.unwrap_or_default(),
            name,
        });
    }
    connections.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(connections)
}

fn credentials(
    path: &Path,
    lines: &Lines<'_>,
    start: usize,
    value: &Spanned<DeValue<'_>>,
    connection: &ConnectionName,
) -> Result<Vec<CredentialTable>, SettingError> {
    let wrong = || {
        let problem = format!(
            "`credential` holds tables, one for each credential: write `[[connection.{connection}.credential]]`"
        );
        SettingError::of_file(path, Some(lines.of(start)), problem)
    };
    let DeValue::Array(tables) = value.get_ref() else {
        return Err(wrong());
    };
    if tables.is_empty() {
        let problem = format!(
            "`credential` is an empty list: write `[[connection.{connection}.credential]]` for each credential, or leave it out"
        );
        return Err(SettingError::of_file(path, Some(lines.of(start)), problem));
    }
    let table = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
        DeValue::Table(keys) => Ok(CredentialTable {
            line: lines.of(value.span().start),
            entries: keys.iter().map(|(key, value)| entry(lines, key, value)).collect(),
        }),
        _ => Err(wrong()),
    };
    tables.iter().map(table).collect()
}

fn entry(lines: &Lines<'_>, key: &Spanned<Cow<'_, str>>, value: &Spanned<DeValue<'_>>) -> Entry {
    Entry {
        key: key.get_ref().to_string(),
        line: lines.of(key.span().start),
        value: match value.get_ref() {
            DeValue::Array(parts) => {
                let texts = parts.iter().map(|part| text(part.get_ref()));
                texts.collect::<Option<_>>().map_or(Value::Other, Value::List)
            }
            one => text(one).map_or(Value::Other, Value::One),
        },
    }
}

/// A plain value as text.
fn text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .map(|number| number.to_string()),
        DeValue::Boolean(on) => Some(on.to_string()),
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// Finds the lines of a text.
struct Lines<'a>(&'a str);

impl Lines<'_> {
    /// The line that the byte at `offset` is in, counted from 1.
    fn of(&self, offset: usize) -> usize {
        1 + self.0.bytes().take(offset).filter(|byte| *byte == b'\n').count()
    }
}
