//! Parsers of values. An argument names one of them, so that its flag, variable, default and type stand in one declaration.

use std::ffi::OsStr;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Command};

use super::SettingError;

/// A parser whose error names the setting's flag and variable instead of showing the usage.
#[derive(Debug)]
pub(in crate::cli) struct SettingParser<T, E>(fn(&str) -> Result<T, E>);

/// Parses a setting with `parse`, whose error is a sentence that says what to give.
pub(in crate::cli) fn parsed_by<T, E>(parse: fn(&str) -> Result<T, E>) -> SettingParser<T, E> {
    SettingParser(parse)
}

impl<T, E> Clone for SettingParser<T, E> {
    fn clone(&self) -> Self {
        Self(self.0)
    }
}

impl<T, E> TypedValueParser for SettingParser<T, E>
where
    T: Clone + Send + Sync + 'static,
    E: fmt::Display + 'static,
{
    type Value = T;

    fn parse_ref(&self, _command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<T, clap::Error> {
        let parsed = match value.to_str() {
            Some(text) => (self.0)(text).map_err(|error| error.to_string()),
            None => Err("the value is not valid UTF-8".to_owned()),
        };
        parsed.map_err(|problem| rejection(arg, &problem))
    }
}

/// Takes a path, which need not be UTF-8.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct PathParser;

impl TypedValueParser for PathParser {
    type Value = PathBuf;

    fn parse_ref(&self, _command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<PathBuf, clap::Error> {
        if value.is_empty() {
            return Err(rejection(arg, "give a path, or leave it out"));
        }
        Ok(value.into())
    }
}

fn rejection(arg: Option<&Arg>, problem: &str) -> clap::Error {
    match arg {
        Some(arg) => SettingError::of_arg(arg, problem).into(),
        None => clap::Error::raw(ErrorKind::ValueValidation, format!("{problem}\n")),
    }
}

/// A time longer than zero, written as `30s` or `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct PositiveDuration(pub(in crate::cli) Duration);

impl FromStr for PositiveDuration {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = humantime::parse_duration(text).ok();
        let positive = parsed.filter(|duration| !duration.is_zero());
        positive
            .map(Self)
            .ok_or("give a time such as `30s` or `2m`, longer than zero")
    }
}

impl fmt::Display for PositiveDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `humantime` writes `7days`; the help and the documentation write `7d`.
        let text = humantime::format_duration(self.0).to_string();
        f.write_str(&text.replace("days", "d").replace("day", "d"))
    }
}

/// Parses a flag that is on or off.
pub(in crate::cli) fn parse_bool(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("give `true` or `false`"),
    }
}

/// Parses the arguments of `A` without the environment.
#[cfg(test)]
pub(super) fn parse<A: clap::FromArgMatches + clap::Args>(arguments: &[&str]) -> Result<A, clap::Error> {
    let command = A::augment_args(Command::new("test").no_binary_name(true));
    let command = command.mut_args(|arg| arg.env(clap::builder::Resettable::Reset));
    A::from_arg_matches(&command.try_get_matches_from(arguments)?)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("30s", 30)]
    #[case("10m", 600)]
    #[case("7d", 7 * 24 * 60 * 60)]
    #[case("1d 12h", 36 * 60 * 60)]
    fn a_time_is_written_as_it_is_read(#[case] text: &str, #[case] seconds: u64) {
        let duration = PositiveDuration(Duration::from_secs(seconds));
        assert_eq!(text.parse(), Ok(duration));
        assert_eq!(duration.to_string(), text);
    }

    #[rstest]
    #[case("Yes", Ok(true))]
    #[case("0", Ok(false))]
    #[case("", Err("give `true` or `false`"))]
    #[case("perhaps", Err("give `true` or `false`"))]
    fn a_switch_is_on_or_off(#[case] text: &str, #[case] parsed: Result<bool, &'static str>) {
        assert_eq!(parse_bool(text), parsed);
    }
}
