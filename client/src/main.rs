//! The program `doorbell`: subscribe, publish, compare, trace.

mod cli;
mod compare;
mod trace;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
