//! Measures what doorbell costs, beside floor programs and peers in one run.
//!
//! - `scenario`: what is measured; one file each
//! - `generator`: connections, publishing by the clock or by what arrives, and the check of every
//!   message
//! - `peer`: the contenders: how each is started and spoken to; `floor`: programs that do the least
//! - `attack`: what one client can do on purpose, and one who behaves beside it
//! - `memory`: sessions of the server's own code over streams in memory, more than sockets can be
//!   had
//! - `report`: medians, spreads, ratios; tables and JSON
//! - `usage`, `machine`: processor time, memory, and where it was measured
//! - `launch`, `poller`, `tls`: programs and sockets, also encrypted ones
//!
//! It asserts nothing about speed, and but for `memory` it knows nothing of the server's inside.
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "64-bit Linux; counts and nanoseconds become figures of a few digits"
)]

mod attack;
mod batches;
mod cli;
mod failure;
mod floor;
mod generator;
mod launch;
mod machine;
mod memory;
mod peer;
mod poller;
mod report;
mod scenario;
mod stamp;
mod statistics;
mod tls;
mod usage;

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

/// The server's own: what is compared with it, or runs its code in memory, is to have the same.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    match scenario::run(cli::Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bench: {failure}");
            ExitCode::FAILURE
        }
    }
}
