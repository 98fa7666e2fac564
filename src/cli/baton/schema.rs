//! The settings as `c1.config.v1` describes them, made from the flags themselves.

use std::io;

use clap::{Arg, Command};
use serde_json::{Value, json};

use super::SECRETS;
use super::sources;
use crate::export::Canonical;
use crate::proto::c1::config::v1::{BoolField, Field, IntField, StringField, StringSliceField, field};

/// The required setting.
const REQUIRED: &str = "organization";

/// Flags that are numbers.
const NUMBERS: [&str; 2] = ["task-concurrency", "health-check-port"];

/// The schema, as the family prints it.
///
/// # Errors
/// Where the contract's description lacks a message, which is a mistake of the build.
pub(super) fn schema(command: &Command) -> io::Result<Value> {
    let canonical = Canonical::new()?;
    let fields = sources::settings(command).map(|(flag, arg)| {
        let mut text = Vec::new();
        canonical.append(&field(flag, arg), &mut text)?;
        serde_json::from_slice(&text).map_err(io::Error::other)
    });
    let fields: Vec<Value> = fields.collect::<io::Result<_>>()?;
    Ok(json!({
        "fields": fields,
        "constraints": [
            {"kind": "CONSTRAINT_KIND_REQUIRED_TOGETHER", "fieldNames": ["client-id", "client-secret"]},
            {"kind": "CONSTRAINT_KIND_REQUIRED_TOGETHER", "fieldNames": ["grant-entitlement", "grant-principal"]},
            {"kind": "CONSTRAINT_KIND_MUTUALLY_EXCLUSIVE", "fieldNames": ["grant-entitlement", "revoke-grant"]},
            {"kind": "CONSTRAINT_KIND_MUTUALLY_EXCLUSIVE", "fieldNames": ["api-token", "api-token-file"]},
            {"kind": "CONSTRAINT_KIND_AT_LEAST_ONE", "fieldNames": ["api-token", "api-token-file"]},
        ],
        "displayName": "Buildkite",
        "helpUrl": "https://buildkite.com/docs/platform/team-management/permissions",
    }))
}

fn field(flag: &str, arg: &Arg) -> Field {
    let unless_given = arg
        .get_default_values()
        .first()
        .and_then(|value| value.to_str())
        .unwrap_or_default();
    let default_value = unless_given.to_owned();
    let kind = if arg.get_num_args().is_some_and(|range| range.min_values() == 0) {
        field::Field::BoolField(BoolField {
            default_value: default_value == "true",
            ..Default::default()
        })
    } else if NUMBERS.contains(&flag) {
        field::Field::IntField(IntField {
            default_value: default_value.parse().unwrap_or_default(),
            ..Default::default()
        })
    } else if arg.get_value_delimiter().is_some() {
        field::Field::StringSliceField(StringSliceField::default())
    } else {
        field::Field::StringField(StringField {
            default_value,
            ..Default::default()
        })
    };
    Field {
        name: flag.to_owned(),
        display_name: flag.replace('-', " "),
        description: arg.get_help().map(ToString::to_string).unwrap_or_default(),
        is_required: flag == REQUIRED,
        is_secret: SECRETS.contains(&flag),
        field: Some(kind),
        ..Default::default()
    }
}
