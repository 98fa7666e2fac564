//! `completions` and `man`: what a package installs beside the binary.

use std::io::{self, Write};

use clap::Command as CommandLine;
use clap::ValueEnum;
use clap_complete::{Shell as Completed, generate};
use clap_mangen::Man;

use super::{CommandError, VERSION, command_line};

/// The program's name.
const NAME: &str = env!("CARGO_PKG_NAME");

/// The arguments of `completions`.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// The arguments of `man`.
#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// The command whose page is printed, in place of that of the program
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
}

/// A shell with a completion script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Shell {
    /// GNU Bash
    Bash,
    /// Z shell
    Zsh,
    /// fish
    Fish,
}

impl Shell {
    /// The script that completes `command`, a program with this name.
    pub(super) fn script(self, command: &mut CommandLine, name: &str) -> Vec<u8> {
        let shell = match self {
            Self::Bash => Completed::Bash,
            Self::Zsh => Completed::Zsh,
            Self::Fish => Completed::Fish,
        };
        let mut text = Vec::new();
        generate(shell, command, name, &mut text);
        text
    }
}

/// Prints a completion script.
pub(super) fn completions(args: &CompletionsArgs) -> Result<(), CommandError> {
    print(&args.shell.script(&mut command_line(|arg| arg), NAME))
}

/// Prints a manual page.
pub(super) fn page(args: &ManArgs) -> Result<(), CommandError> {
    let mut program = command_line(|arg| arg);
    program.build();
    let command = match &args.command {
        None => program,
        Some(name) => match program.find_subcommand(name) {
            Some(command) => command.clone(),
            None => {
                return Err(CommandError::Refused(format!(
                    "there is no command `{name}`: `{NAME} --help` lists them"
                )));
            }
        },
    };
    let mut text = Vec::new();
    Man::new(command.version(VERSION))
        .render(&mut text)
        .map_err(|error| CommandError::Failed(format!("the page cannot be written: {error}")))?;
    print(&text)
}

fn print(text: &[u8]) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        // A reader such as `head` closes the pipe when it has enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CommandError::Failed(format!("nothing can be printed: {error}")))
        }
        _ => Ok(()),
    }
}
