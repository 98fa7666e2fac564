//! `docs/configuration.md` lists exactly the settings that the commands declare.

use std::collections::BTreeMap;

use buildkite_connector::cli::Cli;
use buildkite_connector::providers::buildkite::budget::BudgetOptions;
use clap::{Arg, ArgAction, Command, CommandFactory};

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
fn required_settings_are_marked_as_required() {
    let mut cli = Cli::command();
    cli.build();
    let documented = documented();
    for command in cli.get_subcommands().filter(|command| command.get_name() != "help") {
        for arg in command.get_arguments().filter(|arg| arg.is_required_set()) {
            let name = arg.get_long().map_or_else(|| values(arg), |long| format!("--{long}"));
            let rows = &documented[command.get_name()];
            let row = rows.iter().find(|row| row.setting.flag.starts_with(&name)).unwrap();
            assert_eq!(row.default, "required", "{name}");
        }
    }
}

#[test]
fn the_longest_wait_of_a_server_is_the_one_documented() {
    let rows = &documented()["serve"];
    let row = rows.iter().find(|row| row.setting.flag == "--max-wait TIME").unwrap();
    let default = humantime::format_duration(BudgetOptions::default().max_wait).to_string();
    assert!(row.default.starts_with(&format!("{default};")), "{}", row.default);
}
