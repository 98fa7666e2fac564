//! `.baton.yaml`: settings by the names of their flags.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::PathBuf;

use serde_json::Value;

/// The variable that names another file.
const PATH: &str = "BATON_CONFIG_PATH";

/// The file in the working directory.
const FILE: &str = ".baton.yaml";

/// The settings of a configuration file.
#[derive(Debug, Default)]
pub(super) struct ConfigFile {
    /// The file's path, for refusals.
    pub(super) path: PathBuf,
    values: BTreeMap<String, String>,
}

impl ConfigFile {
    /// The value of a key, which is a flag's name.
    pub(super) fn value(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// The keys that are not `known`.
    pub(super) fn keys_without(&self, known: impl Fn(&str) -> bool) -> impl Iterator<Item = String> {
        self.values.keys().filter(move |key| !known(key)).cloned()
    }
}

/// Reads the file; one that nothing names need not exist.
///
/// # Errors
/// One sentence, where it cannot be read or is no mapping of names to plain values. Values are not repeated: they may be secret.
pub(super) fn read(variable: &impl Fn(&str) -> Option<OsString>) -> Result<ConfigFile, String> {
    let named = variable(PATH).filter(|path| !path.is_empty()).map(PathBuf::from);
    let is_yaml = |path: &PathBuf| {
        path.extension()
            .is_some_and(|ending| ending == "yaml" || ending == "yml")
    };
    if named.as_ref().is_some_and(|path| !is_yaml(path)) {
        return Err(format!("{PATH}: give the path of a file that ends with .yaml or .yml"));
    }
    let is_named = named.is_some();
    let path = named.unwrap_or_else(|| PathBuf::from(FILE));
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !is_named => return Ok(ConfigFile::default()),
        Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
    };
    let values = parse(&text).map_err(|problem| format!("{} {problem}", path.display()))?;
    Ok(ConfigFile { path, values })
}

fn parse(text: &str) -> Result<BTreeMap<String, String>, String> {
    if text
        .lines()
        .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
    {
        return Ok(BTreeMap::new());
    }
    // The parser's own words quote the file, which may hold a secret; the place is enough to find what is wrong.
    let settings: BTreeMap<String, Value> = serde_saphyr::from_str(text).map_err(|error| {
        let place = error
            .location()
            .map(|at| format!(" (line {})", at.line()))
            .unwrap_or_default();
        format!("is no YAML mapping of settings to values{place}: write lines such as `organization: acme`")
    })?;
    let mut values = BTreeMap::new();
    for (key, value) in settings {
        let plain = plain(&value).ok_or_else(|| {
            format!("has no plain value for `{key}`: give a text, a number, `true`, `false` or a list of these")
        })?;
        values.insert(key.to_ascii_lowercase(), plain);
    }
    Ok(values)
}

/// A value as a flag would have it; a list as its parts with commas between.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::Bool(on) => Some(on.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => {
            let parts: Option<Vec<String>> = parts
                .iter()
                .map(|part| match part {
                    Value::Array(_) => None,
                    part => plain(part),
                })
                .collect();
            Some(parts?.join(","))
        }
        Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_values_and_lists_become_what_a_flag_would_have() {
        let parsed = parse(
            "# comment\nOrganization: acme\nprovisioning: true\ntask-concurrency: 5\nsync-resource-types: [user, team]\nfile:\n",
        )
        .unwrap();
        let expected = [
            ("file", ""),
            ("organization", "acme"),
            ("provisioning", "true"),
            ("sync-resource-types", "user,team"),
            ("task-concurrency", "5"),
        ];
        let parsed: Vec<_> = parsed
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        assert_eq!(parsed, expected);
    }

    #[test]
    fn an_empty_file_has_no_settings() {
        assert!(parse("").unwrap().is_empty());
        assert!(parse("# nothing yet\n").unwrap().is_empty());
    }

    #[test]
    fn errors_do_not_repeat_a_value() {
        for text in [
            "api-token: [secretvalue\n",
            "api-token: {a: secretvalue}\n",
            "- secretvalue\n",
        ] {
            let problem = parse(text).unwrap_err();
            assert!(!problem.contains("secretvalue") && !problem.contains('\n'), "{problem}");
        }
    }
}
