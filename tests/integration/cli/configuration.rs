//! `docs/configuration.md` lists exactly the settings that the commands declare.

use std::collections::{BTreeMap, BTreeSet};

use buildkite_connector::cli::Cli;
use buildkite_connector::providers::buildkite::budget::BudgetOptions;
use clap::{Arg, ArgAction, Command, CommandFactory};
use rstest::rstest;

use crate::support::process::connector;

const PAGE: &str = include_str!("../../../docs/configuration.md");

/// What a command declares, or the page says, of one setting.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Setting {
    /// `--flag VALUE`, or the value alone of an argument that is known by its place.
    flag: String,
    variable: String,
    /// None where it follows from something else: the page then says so in words.
    default: Option<String>,
}

/// A row of the page: its setting, and the default as it stands there.
struct Row {
    setting: Setting,
    default: String,
}

type Commands<T> = BTreeMap<String, Vec<T>>;

/// What is between backticks, where the whole cell is.
fn code(cell: &str) -> Option<String> {
    let code = cell.strip_prefix('`')?.strip_suffix('`')?;
    (!code.contains('`')).then(|| code.replace("\\|", "|"))
}

/// The rows of the page, by the commands that the sentence below their heading names.
fn documented() -> Commands<Row> {
    let mut commands: Commands<Row> = Commands::new();
    for section in PAGE.split("\n## ").skip(1) {
        let title = section.lines().next().unwrap();
        let takers = section.lines().find_map(|line| line.strip_prefix("Commands: "));
        let takers = takers.unwrap_or_else(|| panic!("`{title}` does not say which commands it is about"));
        let names = takers.trim_end_matches('.').split(", ");
        let names: Vec<String> = names.map(|name| code(name).unwrap()).collect();
        for line in section.lines().filter(|line| line.starts_with('|')) {
            let line = line.trim_start_matches("| ").trim_end_matches(" |");
            let cells: Vec<&str> = line.split(" | ").collect();
            let [flag, variable, default, meaning] = cells[..] else {
                panic!("not four cells: {line}");
            };
            if flag == "flag" || flag == "---" {
                continue;
            }
            assert!(!meaning.is_empty(), "{line}");
            let given = if default == "off" {
                Some("false".to_owned())
            } else {
                code(default)
            };
            for name in &names {
                commands.entry(name.clone()).or_default().push(Row {
                    setting: Setting {
                        flag: code(flag).unwrap_or_else(|| flag.to_owned()),
                        variable: code(variable).unwrap_or_else(|| variable.to_owned()),
                        default: given.clone(),
                    },
                    default: default.to_owned(),
                });
            }
        }
    }
    commands
}

/// The values that an argument takes, as the page writes them.
fn values(arg: &Arg) -> String {
    let possible = arg.get_possible_values();
    if possible.is_empty() {
        let names = arg.get_value_names().unwrap_or_default();
        return names
            .iter()
            .map(clap::builder::Str::as_str)
            .collect::<Vec<_>>()
            .join(" ");
    }
    let names: Vec<&str> = possible.iter().map(clap::builder::PossibleValue::get_name).collect();
    names.join("|")
}

fn declared_by(command: &Command) -> Vec<Setting> {
    let settings = command.get_arguments().filter(|arg| arg.get_id() != "help");
    let settings = settings.map(|arg| {
        let is_flag = matches!(arg.get_action(), ArgAction::SetTrue);
        let value = if is_flag { String::new() } else { values(arg) };
        let flag = arg.get_long().map_or(String::new(), |long| format!("--{long}"));
        let variable = arg.get_env().map(|name| name.to_str().unwrap().to_owned());
        let defaults: Vec<&str> = arg.get_default_values().iter().map(|it| it.to_str().unwrap()).collect();
        Setting {
            flag: format!("{flag} {value}").trim().to_owned(),
            variable: variable.unwrap_or_else(|| "none".to_owned()),
            default: (!defaults.is_empty()).then(|| defaults.join(" ")),
        }
    });
    settings.collect()
}

/// The settings that a command needs although they are not required arguments: their own error says what to give.
const NEEDED: [&str; 3] = ["organization", "output", "client-id"];

/// Applies `check` to every argument of every command, with its row of the page.
fn for_each_setting(mut check: impl FnMut(&Arg, &Row)) {
    let mut cli = Cli::command();
    cli.build();
    let documented = documented();
    for command in cli.get_subcommands().filter(|command| command.get_name() != "help") {
        for arg in command.get_arguments().filter(|arg| arg.get_id() != "help") {
            let is_flag = matches!(arg.get_action(), ArgAction::SetTrue);
            let value = if is_flag { String::new() } else { values(arg) };
            let flag = arg.get_long().map_or(String::new(), |long| format!("--{long}"));
            let flag = format!("{flag} {value}").trim().to_owned();
            let rows = &documented[command.get_name()];
            let row = rows.iter().find(|row| row.setting.flag == flag);
            check(
                arg,
                row.unwrap_or_else(|| panic!("{flag} of {} is not documented", command.get_name())),
            );
        }
    }
}

#[test]
fn the_page_lists_every_setting_of_every_command_with_its_variable_and_default_and_nothing_else() {
    let mut cli = Cli::command();
    cli.build();
    let mut declared: Commands<Setting> = cli
        .get_subcommands()
        .filter(|command| command.get_name() != "help")
        .map(|command| (command.get_name().to_owned(), declared_by(command)))
        .collect();
    for (command, rows) in documented() {
        let mut expected = declared
            .remove(&command)
            .unwrap_or_else(|| panic!("there is no command `{command}`"));
        // A secret is never an argument, so this one is not declared.
        let is_token = |row: &&Row| row.setting.flag == "none" && row.setting.variable == "BUILDKITE_API_TOKEN";
        let connects = expected.iter().any(|setting| setting.flag == "--organization SLUG");
        assert_eq!(rows.iter().filter(is_token).count(), usize::from(connects), "{command}");
        let settings = rows.iter().filter(|row| !is_token(row));
        let mut settings: Vec<Setting> = settings.map(|row| row.setting.clone()).collect();
        settings.sort_unstable();
        expected.sort_unstable();
        assert_eq!(settings, expected, "`{command}`, as documented and as declared");
    }
    assert!(declared.is_empty(), "not documented: {declared:?}");
}

#[test]
fn exactly_the_required_settings_are_marked_as_required() {
    for_each_setting(|arg, row| {
        let needed = arg.get_long().is_some_and(|long| NEEDED.contains(&long));
        assert_eq!(
            row.default == "required",
            arg.is_required_set() || needed,
            "{}",
            row.setting.flag
        );
    });
}

#[test]
fn a_default_in_words_is_the_one_of_the_help() {
    let mut in_words = 0;
    for_each_setting(|arg, row| {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let Some((_, default)) = help.split_once("[default: ") else {
            return;
        };
        in_words += 1;
        assert_eq!(
            default.strip_suffix(']'),
            Some(row.default.as_str()),
            "{}",
            row.setting.flag
        );
    });
    assert!(in_words >= 4, "{in_words}");
}

#[test]
fn the_longest_wait_of_a_server_is_the_one_of_the_help() {
    let mut cli = Cli::command();
    let serve = cli.find_subcommand_mut("serve").unwrap();
    let max_wait = serve.get_arguments().find(|arg| arg.get_long() == Some("max-wait"));
    let help = max_wait.unwrap().get_help().unwrap().to_string();
    let default = humantime::format_duration(BudgetOptions::default().max_wait);
    assert!(
        help.ends_with(&format!("[default: {default}; none for jobs and `service`]")),
        "{help}"
    );
}

#[test]
fn a_variable_is_named_after_its_flag() {
    // Named as Buildkite's own tools, or as all Baton connectors, name them.
    let own = [
        ("organization", "BUILDKITE_ORGANIZATION_SLUG"),
        ("api-token-file", "BUILDKITE_API_TOKEN_FILE"),
        ("api-url", "BUILDKITE_REST_URL"),
        ("client-id", "BATON_CLIENT_ID"),
        ("client-secret-file", "BATON_CLIENT_SECRET_FILE"),
        ("task-concurrency", "BATON_TASK_CONCURRENCY"),
    ];
    for_each_setting(|arg, _| {
        let (Some(long), Some(variable)) = (arg.get_long(), arg.get_env()) else {
            assert_eq!(arg.get_env(), None, "{arg}: a variable without a flag");
            return;
        };
        let derived = format!("BUILDKITE_CONNECTOR_{}", long.replace('-', "_").to_ascii_uppercase());
        let own = own.iter().find(|(flag, _)| *flag == long);
        let expected = own.map_or(derived, |(_, variable)| (*variable).to_owned());
        assert_eq!(variable.to_str(), Some(expected.as_str()));
    });
}

/// The variables of all settings.
fn variables() -> BTreeSet<String> {
    let mut variables = BTreeSet::new();
    for_each_setting(|arg, _| variables.extend(arg.get_env().map(|name| name.to_str().unwrap().to_owned())));
    assert!(variables.len() > 25, "{variables:?}");
    variables
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("access.csv");
    let mut command = connector(&["sync", "--sandbox", "--output", output.to_str().unwrap()]);
    let result = command
        .envs(variables().iter().map(|name| (name, "")))
        .output()
        .unwrap();
    assert!(result.status.success(), "{result:?}");

    // The listener's variables: the address is rejected after all of them are parsed.
    let mut command = connector(&["serve", "--sandbox", "--listen", "0.0.0.0:0"]);
    let result = command
        .envs(variables().iter().map(|name| (name, "")))
        .output()
        .unwrap();
    let errors = String::from_utf8(result.stderr).unwrap();
    assert!(errors.contains("0.0.0.0:0 can be reached by others"), "{errors}");
    assert_eq!(result.status.code(), Some(2), "{errors}");
}

#[test]
fn help_names_every_variable_and_shows_no_value() {
    for value in ["", "secret-in-a-variable"] {
        for name in ["serve", "sync"] {
            let mut command = connector(&[name, "--help"]);
            let result = command
                .envs(variables().iter().map(|name| (name, value)))
                .output()
                .unwrap();
            let help = String::from_utf8(result.stdout).unwrap();
            let words: Vec<&str> = help.split_whitespace().collect();
            assert!(words.join(" ").contains("[env: BUILDKITE_CONNECTOR_LOG]"), "{help}");
            assert!(!help.contains("secret-in-a-variable"), "{help}");
        }
    }
}

#[rstest]
#[case::credentials("https://user:secret-in-a-variable@buildkite.example/")]
#[case::not_http("ftp://user:secret-in-a-variable@buildkite.example/")]
#[case::not_a_url("https//user:secret-in-a-variable@buildkite.example")]
fn an_error_shows_no_secret_of_a_variable(#[case] url: &str) {
    let mut command = connector(&["serve", "--sandbox"]);
    command.env("BUILDKITE_REST_URL", url);
    let result = command.output().unwrap();
    let errors = String::from_utf8(result.stderr).unwrap();
    assert_eq!(result.status.code(), Some(2), "{errors}");
    assert!(
        errors.starts_with("error: --api-url (BUILDKITE_REST_URL): "),
        "{errors}"
    );
    assert!(!errors.contains("secret-in-a-variable"), "{errors}");
}
