//! The program `doorbell`: subscribe, publish, talk, top, compare, trace, link.
//!
//! Data goes to the standard output, talk to the standard error. Exit codes: 0 done, 1 failed, 2 a
//! command line that makes no sense. A reader that goes away (`| head -1`) is not a failure.

mod arguments;
mod connection;
mod conversation;
mod hook;
mod link;
mod notifier;
mod prompt;
mod publish;
mod settings;
mod subscribe;
mod text;
mod top;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::Resettable;
use clap::{Arg, CommandFactory, FromArgMatches};
use clap_complete::Shell;
use doorbell::{Server, Transport};
use doorbell_instruments::Failure;
use futures_util::future::try_join_all;
use tokio::runtime::{Builder, Runtime};

use self::arguments::{Arguments, Command};
use self::connection::Connection;
use self::settings::Settings;
use self::text::talk;

fn main() -> ExitCode {
    let (text, code) = match arguments().and_then(run) {
        Ok(()) | Err(Failure::ReaderGone) => return ExitCode::SUCCESS,
        Err(Failure::Failed(text)) => (text, 1),
        Err(Failure::Usage(text)) => (text, 2),
    };
    talk(&text);
    ExitCode::from(code)
}

/// Reads the command line and the file of settings: one command, or one for each topic of the file.
/// A variable that is empty counts as unset.
fn arguments() -> Result<Vec<Arguments>, Failure> {
    let mut command = Arguments::command();
    let is_empty = |arg: &&Arg| {
        let value = arg.get_env().and_then(std::env::var_os);
        value.is_some_and(|value| value.is_empty())
    };
    let empty: Vec<_> =
        command.get_arguments().filter(is_empty).map(Arg::get_id).cloned().collect();
    for id in empty {
        command = command.mut_arg(id, |arg| arg.env(Resettable::<clap::builder::OsStr>::Reset));
    }
    let typed = command.clone().get_matches();
    match Settings::find(typed.get_one::<PathBuf>("config"))? {
        Some(settings) => settings.arguments(command, &typed),
        None => Ok(vec![Arguments::from_arg_matches(&typed).unwrap_or_else(|error| error.exit())]),
    }
}

/// Runs all of them at once. They are several only where topics are listened to.
fn run(commands: Vec<Arguments>) -> Result<(), Failure> {
    let mut subscriptions = Vec::new();
    for Arguments { connection, command } in commands {
        match command {
            Command::Subscribe(command) => {
                let server = connection.server_or(Server::local(command.via))?;
                subscriptions.push(subscribe::run(command, server));
            }
            command => return run_one(&connection, command),
        }
    }
    wait(1, async { try_join_all(subscriptions).await.map(drop) })
}

fn run_one(connection: &Connection, command: Command) -> Result<(), Failure> {
    match command {
        Command::Subscribe(command) => {
            let server = connection.server_or(Server::local(command.via))?;
            wait(1, subscribe::run(command, server))
        }
        Command::Talk(command) => {
            let server = connection.server_or(Server::local(Transport::Tcp))?;
            wait(2, conversation::run(command, server))
        }
        Command::Top(command) => {
            let server = connection.server_or(Server::local(Transport::Poll))?;
            wait(1, top::run(command, server))
        }
        Command::Publish(command) => {
            // Files go over HTTP.
            let via = if command.file.is_some() { Transport::Poll } else { Transport::Tcp };
            let server = connection.server_or(Server::local(via))?;
            wait(1, publish::run(command, server))
        }
        Command::Compare(command) => {
            let server = connection.measured()?;
            let split = doorbell_compare::isolate(&command, server.as_ref())?;
            wait(2, doorbell_compare::run(*command, server, split))
        }
        Command::Link(command) => wait(1, link::run(command)),
        Command::Trace(command) => wait(1, doorbell_trace::run(command, connection.measured()?)),
        Command::Completions { shell } => completions(shell),
        Command::Papers { folder } => papers(&folder),
    }
}

/// Runs a command to its end. What still reads the standard input then is left behind.
fn wait(threads: usize, command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime: Runtime = match threads {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    }
    .enable_all()
    .build()?;
    let outcome = runtime.block_on(command);
    runtime.shutdown_background();
    outcome
}

/// The manual pages of this program, and what shells complete of it.
fn papers(folder: &Path) -> Result<(), Failure> {
    clap_mangen::generate_to(Arguments::command(), folder)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut Arguments::command(), "doorbell", folder)?;
    }
    Ok(())
}

fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "doorbell", &mut script);
    Ok(io::stdout().write_all(&script)?)
}
