//! The program `doorbell`: subscribe, publish, compare, trace, link.
//!
//! Data goes to the standard output, talk to the standard error. Exit codes: 0 done, 1 failed, 2 a
//! command line that makes no sense. A reader that goes away (`| head -1`) is not a failure.

mod arguments;
mod connection;
mod link;
mod prompt;
mod publish;
mod subscribe;
mod text;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::builder::Resettable;
use clap::{Arg, CommandFactory, FromArgMatches};
use doorbell::{Server, Transport};
use doorbell_instruments::Failure;
use tokio::runtime::{Builder, Runtime};

use self::arguments::{Arguments, Command};
use self::text::talk;

fn main() -> ExitCode {
    let (text, code) = match run(arguments()) {
        Ok(()) | Err(Failure::ReaderGone) => return ExitCode::SUCCESS,
        Err(Failure::Failed(text)) => (text, 1),
        Err(Failure::Usage(text)) => (text, 2),
    };
    talk(&text);
    ExitCode::from(code)
}

/// Reads the command line. A variable that is empty counts as unset.
fn arguments() -> Arguments {
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
    let matches = command.get_matches();
    Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

fn run(Arguments { connection, command }: Arguments) -> Result<(), Failure> {
    match command {
        Command::Subscribe(command) => {
            let server = connection.server_or(Server::local(command.via))?;
            wait(1, subscribe::run(command, server))
        }
        Command::Publish(command) => {
            let server = connection.server_or(Server::local(Transport::Tcp))?;
            wait(1, publish::run(command, server))
        }
        Command::Compare(command) => {
            let server = connection.measured()?;
            doorbell_compare::isolate(&command, server.as_ref())?;
            wait(2, doorbell_compare::run(*command, server))
        }
        Command::Link(command) => wait(1, link::run(command)),
        Command::Trace(command) => wait(1, doorbell_trace::run(command, connection.measured()?)),
        Command::Completions { shell } => completions(shell),
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

fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "doorbell", &mut script);
    Ok(io::stdout().write_all(&script)?)
}
