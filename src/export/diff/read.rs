//! Reads a file of any format. The format is detected from the content, because files are renamed when they are copied.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use prost::Name;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde::Deserialize;
use serde_json::Value;

use super::{Contents, Ids, Snapshot};
use crate::export::csv::unescaped;
use crate::export::json::GRANTS;
use crate::export::names::{Names, TEAM, USER};
use crate::export::{ExportError, c1z};
use crate::proto::FILE_DESCRIPTOR_SET;
use crate::proto::c1::connector::v2::{Grant, Resource};

pub(super) fn read(path: &Path, ids: &mut Ids) -> Result<Contents, ExportError> {
    let mut snapshot = Snapshot {
        contents: Contents::default(),
        ids,
    };
    let unreadable = |problem: String| ExportError::refused(path, format!("cannot be read: {problem}"));
    if fs::metadata(path)
        .map_err(|error| unreadable(error.to_string()))?
        .is_dir()
    {
        read_directory(path, &mut snapshot).map_err(unreadable)?;
        return Ok(snapshot.contents);
    }
    let mut beginning = Vec::new();
    let read = File::open(path).and_then(|file| file.take(4).read_to_end(&mut beginning));
    read.map_err(|error| unreadable(error.to_string()))?;
    if c1z::is_c1z(&beginning) {
        c1z::read(path, &mut snapshot)?;
    } else if beginning.starts_with(b"{") {
        read_lines(path, &mut snapshot).map_err(unreadable)?;
    } else {
        read_table(path, &mut snapshot).map_err(unreadable)?;
    }
    Ok(snapshot.contents)
}

/// Parses messages that were written as canonical JSON.
struct Messages(DescriptorPool);

impl Messages {
    fn new() -> Result<Self, String> {
        DescriptorPool::decode(FILE_DESCRIPTOR_SET)
            .map(Self)
            .map_err(|error| error.to_string())
    }

    fn read<M: Name + Default>(&self, json: Value) -> Result<M, String> {
        let described = self.0.get_message_by_name(&M::full_name());
        let described = described.ok_or_else(|| format!("{} is not described", M::full_name()))?;
        let message = DynamicMessage::deserialize(described, json).map_err(|error| error.to_string())?;
        message.transcode_to().map_err(|error| error.to_string())
    }
}

/// Reads `jsonl`. A last line without a line break is truncated.
fn read_lines(path: &Path, snapshot: &mut Snapshot<'_>) -> Result<(), String> {
    let messages = Messages::new()?;
    let mut file = BufReader::new(File::open(path).map_err(|error| error.to_string())?);
    let (mut line, mut number) = (String::new(), 0_u64);
    while file.read_line(&mut line).map_err(|error| error.to_string())? > 0 {
        number += 1;
        let row = if line.ends_with('\n') {
            read_row(&line, &messages, snapshot)
        } else {
            Err("it is truncated".to_owned())
        };
        row.map_err(|problem| format!("line {number}: {problem}"))?;
        line.clear();
    }
    Ok(())
}

fn read_row(line: &str, messages: &Messages, snapshot: &mut Snapshot<'_>) -> Result<(), String> {
    let mut fields: serde_json::Map<String, Value> = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let kind = fields.remove("kind");
    match kind.as_ref().and_then(Value::as_str) {
        Some("resource") => snapshot.resource(&messages.read(fields.into())?),
        Some("grant") => add_grant(&messages.read(fields.into())?, snapshot),
        Some(_) => {}
        None => return Err("it has no `kind`".to_owned()),
    }
    Ok(())
}

/// Reads the directory that `json` writes.
fn read_directory(path: &Path, snapshot: &mut Snapshot<'_>) -> Result<(), String> {
    let messages = Messages::new()?;
    let mut files: Vec<PathBuf> = fs::read_dir(path)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(|error: io::Error| error.to_string())?;
    files.sort();
    let is_of_resources = |file: &&PathBuf| {
        file.extension().is_some_and(|ending| ending == "json") && file.file_name().is_none_or(|name| name != GRANTS)
    };
    for file in files.iter().filter(is_of_resources) {
        for resource in read_array(file)?.unwrap_or_default() {
            snapshot.resource(&messages.read::<Resource>(resource)?);
        }
    }
    let grants = read_array(&path.join(GRANTS))?.ok_or_else(|| format!("it contains no {GRANTS}"))?;
    grants
        .into_iter()
        .try_for_each(|row| messages.read(row).map(|row| add_grant(&row, snapshot)))
}

/// The array in a file; `None` if the file does not exist.
fn read_array(path: &Path) -> Result<Option<Vec<Value>>, String> {
    let file = match File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    serde_json::from_reader(file)
        .map(Some)
        .map_err(|error| format!("{}: {error}", path.display()))
}

fn add_grant(grant: &Grant, snapshot: &mut Snapshot<'_>) {
    let principal = grant.principal.as_ref().and_then(|principal| principal.id.as_ref());
    if let (Some(held), Some(principal)) = (&grant.entitlement, principal) {
        snapshot.grant(&held.id, &principal.resource_type, &principal.resource);
    }
}

/// A row of `csv`, read by its header: columns may have been moved or added. Columns that are missing are empty.
#[derive(Default, Deserialize)]
#[serde(default)]
struct TableRow {
    role: String,
    team_slug: String,
    team_name: String,
    team_id: String,
    user_name: String,
    user_email: String,
    user_id: String,
    resource_type: String,
    resource_slug: String,
    resource_name: String,
    resource_id: String,
    principal_type: String,
    principal_name: String,
    principal_handle: String,
    principal_id: String,
}

impl TableRow {
    /// The resource: the team, in a table of teams and users only.
    fn resource(&self) -> (&str, &str, Names<String>) {
        if self.resource_id.is_empty() {
            (TEAM, &self.team_id, unescaped_names(&self.team_slug, &self.team_name))
        } else {
            let names = unescaped_names(&self.resource_slug, &self.resource_name);
            (&self.resource_type, &self.resource_id, names)
        }
    }

    /// The principal: the user, in a table of teams and users only.
    fn principal(&self) -> (&str, &str, Names<String>) {
        if self.principal_id.is_empty() {
            (USER, &self.user_id, unescaped_names(&self.user_email, &self.user_name))
        } else {
            let names = unescaped_names(&self.principal_handle, &self.principal_name);
            (&self.principal_type, &self.principal_id, names)
        }
    }
}

fn unescaped_names(handle: &str, name: &str) -> Names<String> {
    Names {
        handle: unescaped(handle).to_owned(),
        name: unescaped(name).to_owned(),
    }
}

fn read_table(path: &Path, snapshot: &mut Snapshot<'_>) -> Result<(), String> {
    let mut table = csv::Reader::from_path(path).map_err(|error| error.to_string())?;
    let header = table.headers().map_err(|error| error.to_string())?;
    if ["role", "team_id", "user_id"]
        .iter()
        .any(|column| !header.iter().any(|found| found == *column))
    {
        return Err("it is neither a c1z, nor jsonl, nor a table of grants".to_owned());
    }
    for row in table.deserialize::<TableRow>() {
        let row = row.map_err(|error| error.to_string())?;
        let (resource_type, resource, resource_names) = row.resource();
        let (principal_type, principal, principal_names) = row.principal();
        let entitlement = format!("{resource_type}:{resource}:{}", row.role);
        snapshot.grant(&entitlement, principal_type, principal);
        snapshot.names(resource_type, resource, resource_names);
        snapshot.names(principal_type, principal, principal_names);
    }
    Ok(())
}
