//! `doorbell compare`: the same messages, received in many ways.
//!
//! Publisher and receivers share one process and one monotonic clock. The times of sending are
//! planned before the run, so a publisher that is held up is late against its plan and shows it.
//!
//! - `flags`, `plan`, `replay`, `schedule`: what is asked for, and when what is sent
//! - `network`, `road`: where it runs, and over what link
//! - `contender`, `race`, `subscriber`, `measure`: who receives, one run, what is counted in it;
//!   `capture`: the packets themselves, as a check
//! - `unit`, `crowd`: what one of each costs; `idle`: what waiting costs; `memory`, `slab`: what a
//!   subscriber takes of the server's memory and the kernel's; `usage`, `machine`
//! - `theory`: what arithmetic expects; `sweep`, `project`: what follows for other rates and sizes
//! - `tally`, `results`, `report`: the figures; `grid`, `table`, `finding`: for people; `page`: in
//!   pictures

mod capture;
mod contender;
mod crowd;
mod figure;
mod finding;
mod flags;
mod grid;
mod idle;
mod interrupt;
mod lab;
mod machine;
mod measure;
mod memory;
mod network;
mod page;
mod plan;
mod progress;
mod project;
mod race;
mod replay;
mod report;
mod results;
mod road;
mod schedule;
mod slab;
mod subscriber;
mod sweep;
mod table;
mod tally;
mod theory;
mod unit;
mod usage;

use std::io::Write;
use std::path::Path;

use doorbell::Server;
use doorbell_instruments::Failure;

pub use self::flags::{CompareArguments, EXAMPLES};
use self::flags::{CompareCommand, SweepArguments};
use self::interrupt::Interrupt;
use self::lab::Lab;
use self::network::Between;
pub use self::network::isolate;
use self::plan::Plan;
use self::progress::Progress;
use self::sweep::Settings;

/// Runs `doorbell compare`: prints tables, or JSON if that is asked for, on the standard output and
/// writes the files that are named.
///
/// # Errors
///
/// [`Failure::Usage`] for what cannot be measured as asked, [`Failure::Failed`] for what went wrong.
pub async fn run(arguments: CompareArguments, server: Option<Server>) -> Result<(), Failure> {
    if let Some(CompareCommand::Sweep(sweep)) = &arguments.command {
        return run_sweep(&arguments, sweep, server).await;
    }
    let plan = Plan::new(&arguments)?;
    if arguments.check_capture {
        capture::permitted()?;
    }
    // From here on a signal ends the run, not the process, which has a server to end.
    let mut interrupt = Interrupt::new()?;
    let mut progress = Progress::new();
    let between = Between::of(&arguments);
    let lab = Lab::open(server, plan.payload_max(), between, plan.seed).await?;
    let report = lab.compare(&arguments, &plan, &mut interrupt, &mut progress).await;
    lab.close().await;
    drop(progress);
    let report = report?;
    if let Some(path) = &arguments.report {
        write_file(path, &page::render(&report))?;
    }
    if let Some(path) = &arguments.chart {
        let picture = page::picture(&report).ok_or_else(|| {
            Failure::Failed(
                "--chart: nothing was delivered, so there is nothing to show".to_owned(),
            )
        })?;
        write_file(path, &picture)?;
    }
    deliver(arguments.json.as_deref(), &report.to_json(), &table::render(&report))
}

async fn run_sweep(
    arguments: &CompareArguments,
    sweep: &SweepArguments,
    server: Option<Server>,
) -> Result<(), Failure> {
    let settings = Settings::checked(sweep)?;
    for (flag, is_given) in
        [("--chart", arguments.chart.is_some()), ("--check-capture", arguments.check_capture)]
    {
        if is_given {
            let text = format!("{flag} is for a comparison; a sweep has its picture by --report");
            return Err(Failure::Usage(text));
        }
    }
    let mut interrupt = Interrupt::new()?;
    let mut progress = Progress::new();
    let between = Between::of(arguments);
    let lab = Lab::open(server, sweep.payload, between, settings.seed).await?;
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
