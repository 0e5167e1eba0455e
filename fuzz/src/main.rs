//! The program: so many inputs for each target, and the first failure of each.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use doorbell_fuzz::run::{Inputs, run};
use doorbell_fuzz::{TARGETS, named};

/// Inputs that nobody meant, for everything that reads what comes from outside
#[derive(Debug, Parser)]
struct Arguments {
    /// Only these; all if none is named
    #[arg(value_parser = PossibleValuesParser::new(TARGETS.iter().map(|target| target.name)))]
    targets: Vec<String>,

    /// How many for each
    #[arg(long, default_value_t = 100_000, value_name = "COUNT")]
    inputs: u64,

    /// What they are made of
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,

    /// The number of the first
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    from: u64,
}

fn main() -> ExitCode {
    let Arguments { targets, inputs: count, seed, from } = Arguments::parse();
    let chosen = targets.iter().filter_map(|name| named(name));
    let chosen: Vec<_> =
        if targets.is_empty() { TARGETS.iter().collect() } else { chosen.collect() };
    let mut code = ExitCode::SUCCESS;
    for target in chosen {
        let began = Instant::now();
        let done = run(target, Inputs { seed, from, count });
        let took = began.elapsed().as_secs_f64();
        match done {
            Ok(()) => println!("{}: {count} inputs of seed {seed} in {took:.1} s", target.name),
            Err(failure) => {
                eprintln!("{failure}");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}
