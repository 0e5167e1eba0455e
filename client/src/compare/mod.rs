//! `doorbell compare`: the same messages, received in many ways.
//!
//! Publisher and receivers share one process and one monotonic clock. The times of sending are
//! planned before the run, so a publisher that is held up is late against its plan and shows it.
//!
//! - `flags`, `plan`, `replay`, `schedule`: what is asked for, and when what is sent
//! - `contender`, `road`, `race`, `measure`: who receives, over what, one run, what is counted in it
//! - `unit`, `usage`, `machine`, `own_server`: what one of each costs; processes; the machine
//! - `theory`: what arithmetic expects; `sweep`, `project`: what follows for other rates and sizes
//! - `tally`, `report`: the figures; `grid`, `table`, `finding`: for people; `page`: in pictures

mod contender;
mod figure;
mod finding;
mod flags;
mod grid;
mod interrupt;
mod lab;
mod machine;
mod measure;
pub(crate) mod own_server;
mod page;
mod plan;
mod progress;
mod project;
mod race;
mod replay;
mod report;
mod road;
mod schedule;
mod sweep;
mod table;
mod tally;
mod theory;
mod unit;
mod usage;

use std::io::Write;
use std::path::Path;

use doorbell::Server;

pub(crate) use self::flags::{CompareArguments, EXAMPLES};
use self::flags::{CompareCommand, SweepArguments};
use self::interrupt::Interrupt;
use self::lab::Lab;
use self::plan::Plan;
use self::progress::Progress;
use self::sweep::Settings;
use crate::cli::Failure;

/// Runs the command.
pub(crate) async fn run(
    arguments: CompareArguments,
    server: Option<Server>,
) -> Result<(), Failure> {
    if let Some(CompareCommand::Sweep(sweep)) = &arguments.command {
        return run_sweep(&arguments, sweep, server).await;
    }
    let plan = Plan::new(&arguments)?;
    // From here on a signal ends the run, not the process, which has a server to end.
    let mut interrupt = Interrupt::new()?;
    let mut progress = Progress::new();
    let lab = Lab::open(server, plan.payload_max(), arguments.link, plan.seed).await?;
    let report = lab.compare(&arguments, &plan, &mut interrupt, &mut progress).await;
    lab.close().await;
    drop(progress);
    let report = report?;
    if let Some(path) = &arguments.report {
        write_file(path, &page::render(&report))?;
    }
    deliver(arguments.json.as_deref(), &report.to_json(), &table::render(&report))
}

async fn run_sweep(
    arguments: &CompareArguments,
    sweep: &SweepArguments,
    server: Option<Server>,
) -> Result<(), Failure> {
    let settings = Settings::checked(sweep)?;
    let mut interrupt = Interrupt::new()?;
    let mut progress = Progress::new();
    let lab = Lab::open(server, sweep.payload, arguments.link, settings.seed).await?;
    let report = lab.sweep(&settings, &mut interrupt, &mut progress).await;
    lab.close().await;
    drop(progress);
    let report = report?;
    if let Some(path) = &arguments.report {
        write_file(path, &page::render(&report))?;
    }
    let text = report.sweep.as_ref().map(sweep::render).unwrap_or_default();
    deliver(arguments.json.as_deref(), &report.to_json(), &text)
}

/// Gives the result to whom it was asked for: JSON in a file and a table, or JSON alone.
fn deliver(json: Option<&Path>, report: &str, table: &str) -> Result<(), Failure> {
    let alone = json == Some(Path::new("-"));
    if let Some(path) = json.filter(|_| !alone) {
        write_file(path, report)?;
    }
    let mut output = anstream::stdout();
    output.write_all(if alone { report } else { table }.as_bytes())?;
    output.flush()?;
    Ok(())
}

fn write_file(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text)
        .map_err(|error| Failure::Failed(format!("{} cannot be written: {error}", path.display())))
}
