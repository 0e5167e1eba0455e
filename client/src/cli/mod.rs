//! The command line: what may be written on it, and what the program ends with.
//!
//! Data goes to the standard output, talk to the standard error. Exit codes: 0 done, 1 failed, 2 a
//! command line that makes no sense. A reader that goes away (`| head -1`) is not a failure.

mod arguments;
mod link;
mod publish;
mod subscribe;
mod text;

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use doorbell::Error;
use tokio::runtime::{Builder, Runtime};

use self::arguments::{Arguments, Command};
use self::text::escape;

/// Why a command ends before it is done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line asks for what cannot be.
    Usage(String),
    /// It was tried and did not work.
    Failed(String),
    /// Nobody reads the standard output any more.
    ReaderGone,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Address(text) => Self::Usage(text),
            error => Self::Failed(error.to_string()),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Says something to the person at the terminal; that it can't be heard is no reason to stop.
pub(crate) fn talk(text: &str) {
    let _ = writeln!(anstream::stderr(), "doorbell: {}", escape(text, " "));
}

/// Runs the command line of this process.
pub(crate) fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        Command::Subscribe(command) => wait(1, subscribe::run(command, arguments.server)),
        Command::Publish(command) => wait(1, publish::run(command, arguments.server)),
        Command::Compare(command) => {
            let isolated = crate::compare::isolate(&command, arguments.server.as_ref());
            isolated.and_then(|()| wait(2, crate::compare::run(*command, arguments.server)))
        }
        Command::Link(command) => wait(1, link::run(command)),
        Command::Trace(command) => wait(1, crate::trace::run(command, arguments.server)),
        Command::Completions { shell } => completions(shell),
    };
    let (text, code) = match outcome {
        Ok(()) | Err(Failure::ReaderGone) => return ExitCode::SUCCESS,
        Err(Failure::Failed(text)) => (text, 1),
        Err(Failure::Usage(text)) => (text, 2),
    };
    talk(&text);
    ExitCode::from(code)
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
