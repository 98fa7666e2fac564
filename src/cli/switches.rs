//! Flags that are on or off. One stands alone or has its value behind an equals sign, so that it can precede any other argument. A
//! value that is a separate word is rejected with a hint.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

use super::settings::SettingError;

/// The rejection of a value that follows such a flag as a separate word, if that is why `cli` rejected `arguments` with `error`.
pub(super) fn rejection(cli: &Command, arguments: &[OsString], error: &clap::Error) -> Option<SettingError> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let Some(ContextValue::String(unknown)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let command = arguments.iter().find_map(|word| cli.find_subcommand(word))?;
    let (flag, arg) = arguments.windows(2).find_map(|pair| match pair {
        [flag, value] if value == unknown.as_str() => Some((flag, switch(command, flag.to_str()?)?)),
        _ => None,
    })?;
    let flag = flag.display();
    Some(SettingError::of_arg(
        arg,
        format!("the value stands behind an equals sign: write `{flag}={unknown}`"),
    ))
}

/// The declaration of a flag that takes a value only behind an equals sign.
fn switch<'a>(command: &'a Command, flag: &str) -> Option<&'a Arg> {
    let long = flag.strip_prefix("--")?;
    let mut declared = command.get_arguments();
    declared.find(|arg| arg.get_long() == Some(long) && arg.is_require_equals_set())
}
