//! Reads what `sync` wrote, with nothing of the writer: the bytes, `SQLite`, protobuf and JSON by themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use buildkite_connector::proto::c1::connector::v2::{Entitlement, Grant, Resource, ResourceType};
use prost::Message;
use rusqlite::Connection;
use serde_json::Value;

use super::job::Truth;

/// The database inside of a c1z, after the checks that its readers make of the bytes around it.
pub struct C1z {
    pub database: Connection,
    /// Holds the database's file.
    _file: tempfile::NamedTempFile,
}

impl C1z {
    pub fn open(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        let frame = bytes.strip_prefix(b"C1ZF\0").expect("not a c1z of version 1");
        let declared = zstd::zstd_safe::get_frame_content_size(frame)
            .unwrap()
            .expect("no size is declared");
        let database = zstd::decode_all(frame).unwrap();
        assert_eq!(u64::try_from(database.len()).unwrap(), declared);
        let one_frame = zstd::zstd_safe::find_frame_compressed_size(frame).unwrap();
        assert_eq!(one_frame, frame.len(), "more than one frame");
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), database).unwrap();
        let database = Connection::open(file.path()).unwrap();
        let opened = Self { database, _file: file };
        assert_eq!(opened.text("pragma integrity_check"), ["ok"]);
        assert_eq!(opened.text("pragma journal_mode"), ["delete"]);
        assert_eq!(opened.number("pragma page_size"), 4096);
        assert_eq!(opened.number("pragma user_version"), 0);
        opened
    }

    pub fn number(&self, query: &str) -> i64 {
        self.database.query_row(query, [], |row| row.get(0)).unwrap()
    }

    pub fn text(&self, query: &str) -> Vec<String> {
        self.column(query)
    }

    pub fn column<T: rusqlite::types::FromSql>(&self, query: &str) -> Vec<T> {
        let mut query = self.database.prepare(query).unwrap();
        let rows = query.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    /// The messages of a table, decoded.
    pub fn messages<M: Message + Default>(&self, table: &str, run: &str) -> Vec<M> {
        let query = format!("select data from {table} where sync_id = '{run}' order by id");
        let blobs: Vec<Vec<u8>> = self.column(&query);
        blobs.iter().map(|blob| M::decode(blob.as_slice()).unwrap()).collect()
    }

    /// Runs that were finished, the oldest first.
    pub fn finished(&self) -> Vec<String> {
        self.text("select sync_id from v1_sync_runs where ended_at is not null order by ended_at")
    }

    /// What the newest finished run holds; every column is compared with the message beside it.
    pub fn truth(&self) -> Truth {
        let run = self.finished().pop().expect("no run was finished");
        let types: Vec<ResourceType> = self.messages("v1_resource_types", &run);
        assert_eq!(
            types.iter().map(|kind| kind.id.as_str()).collect::<Vec<_>>(),
            ["user", "team"]
        );
        let mut truth = Truth::default();
        let resources: Vec<Resource> = self.messages("v1_resources", &run);
        let ids = self.text(&format!(
            "select external_id from v1_resources where sync_id = '{run}' order by id"
        ));
        assert_eq!(ids.len(), resources.len());
        for (resource, stored) in resources.iter().zip(ids) {
            let id = resource.id.as_ref().unwrap();
            assert_eq!(stored, format!("{}:{}", id.resource_type, id.resource));
            named(&mut truth, &id.resource_type).insert(id.resource.clone(), resource.display_name.clone());
        }
        let entitlements: Vec<Entitlement> = self.messages("v1_entitlements", &run);
        assert_eq!(entitlements.len(), truth.teams.len() * 2);
        let grants: Vec<Grant> = self.messages("v1_grants", &run);
        let columns = self.text(&format!(
            "select resource_type_id || ' ' || resource_id || ' ' || entitlement_id || ' ' || principal_resource_type_id \
             || ' ' || principal_resource_id || ' ' || external_id from v1_grants where sync_id = '{run}' order by id"
        ));
        let entitlements: BTreeSet<&str> = entitlements.iter().map(|held| held.id.as_str()).collect();
        for (grant, columns) in grants.iter().zip(columns) {
            let held = grant.entitlement.as_ref().unwrap();
            let team = held.resource.as_ref().unwrap().id.as_ref().unwrap();
            let user = grant.principal.as_ref().unwrap().id.as_ref().unwrap();
            assert!(entitlements.contains(held.id.as_str()), "{}", held.id);
            let expected = [
                &team.resource_type,
                &team.resource,
                &held.id,
                &user.resource_type,
                &user.resource,
                &grant.id,
            ];
            assert_eq!(columns, expected.map(String::as_str).join(" "));
            assert!(truth.grants.insert(grant.id.clone()), "{} comes twice", grant.id);
        }
        truth
    }
}

fn named<'a>(truth: &'a mut Truth, kind: &str) -> &'a mut BTreeMap<String, String> {
    match kind {
        "user" => &mut truth.users,
        "team" => &mut truth.teams,
        other => panic!("a resource of type {other}"),
    }
}

fn message(row: &Value, kind: &str, truth: &mut Truth) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    match kind {
        "resource" => {
            let names = named(truth, row["id"]["resourceType"].as_str().unwrap());
            assert!(
                names
                    .insert(text(&row["id"]["resource"]), text(&row["displayName"]))
                    .is_none()
            );
        }
        "grant" => assert!(truth.grants.insert(text(&row["id"]))),
        _ => {}
    }
}

/// A file of any format.
pub fn truth(place: &Path) -> Truth {
    let mut truth = Truth::default();
    match place.extension().unwrap().to_str().unwrap() {
        "c1z" => return C1z::open(place).truth(),
        "jsonl" => {
            let text = fs::read_to_string(place).unwrap();
            assert!(text.ends_with('\n'));
            for line in text.lines() {
                let row: Value = serde_json::from_str(line).unwrap();
                message(&row, row["kind"].as_str().unwrap(), &mut truth);
            }
        }
        "json" => {
            for (file, kind) in [("users", "resource"), ("teams", "resource"), ("grants", "grant")] {
                let text = fs::read(place.join(file).with_extension("json")).unwrap();
                let rows: Vec<Value> = serde_json::from_slice(&text).unwrap();
                for row in &rows {
                    message(row, kind, &mut truth);
                }
            }
        }
        other => panic!("a {other} is read by its own test"),
    }
    truth
}
