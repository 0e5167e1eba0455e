//! `doorbell compare`: the same messages, received in many ways.
//!
//! Publisher and receivers share one process and one monotonic clock. The times of sending are
//! planned before the run, so a publisher that is held up is late against its plan and shows it.
//!
//! - `flags`, `plan`, `replay`, `schedule`: what is asked for, and when what is sent
//! - `experiment`: from set-up to report; `setup`, `network`, `emulated`: where it runs and over
//!   what; `costs`, `rounds`, `results`: what is measured before, what is run, and the sums of it
//! - `way`, `contender`, `race`, `subscriber`, `measure`: what receives, one run, what is counted
//!   in it; `capture`: the packets themselves, as a check
//! - `outage`: a failure in the middle of a run; `condition`, `expect`: what a run is
//!   expected to show
//! - `unit_cost`: what one of each costs; `idle`: what waiting costs; `idle_subscribers`:
//!   subscribers to measure both; `memory`, `slab`: what a subscriber takes of the server's memory
//!   and the kernel's; `usage`, `machine`
//! - `growth`, `line`: how the server's processor time grows, and figures with their errors
//! - `rearm`: long polls over a round trip; `compressed`: what compressed push would save
//! - `radio`, `price`: what a phone's radio and somebody's prices make of it
//! - `theory`: what arithmetic expects; `sweep`, `project`: what follows for other rates and sizes;
//!   `ramp`: how many messages a second are kept
//! - `tally`, `both`, `row`, `report`: the figures; `verdict`: the answer that they give; `grid`,
//!   `table`, `finding`, `strip`: for people at a terminal; `page`: in pictures

mod both;
mod capture;
mod compressed;
mod condition;
mod contender;
mod costs;
mod emulated;
mod expect;
mod experiment;
mod figure;
mod finding;
mod flags;
mod grid;
mod growth;
mod idle;
mod idle_subscribers;
mod interrupt;
mod line;
mod machine;
mod measure;
mod memory;
mod network;
mod outage;
mod page;
mod plan;
mod price;
mod progress;
mod project;
mod race;
mod radio;
mod ramp;
mod rearm;
mod replay;
mod report;
mod results;
mod rounds;
mod row;
mod schedule;
mod setup;
mod slab;
mod strip;
mod subscriber;
mod sweep;
mod table;
mod tally;
mod theory;
mod unit_cost;
mod usage;
mod verdict;
mod way;

use std::io::Write;
use std::path::Path;

use doorbell::Server;
use doorbell_instruments::Failure;
use doorbell_wire::SplitNetwork;

use self::experiment::Experiment;
pub use self::flags::{CompareArguments, EXAMPLES};
use self::flags::{CompareCommand, RampArguments, SweepArguments};
use self::network::Between;
pub use self::network::isolate;
use self::plan::Plan;
use self::sweep::Settings;

/// Runs `doorbell compare`: prints tables, or JSON if that is asked for, on the standard output and
/// writes the files that are named. The network is what [`isolate`] has made of the same arguments.
///
/// # Errors
///
/// [`Failure::Usage`] for what cannot be measured as asked, [`Failure::Failed`] for what went
/// wrong.
pub async fn run(
    arguments: CompareArguments,
    server: Option<Server>,
    split: Option<SplitNetwork>,
) -> Result<(), Failure> {
    match &arguments.command {
        Some(CompareCommand::Sweep(sweep)) => {
            return Box::pin(run_sweep(&arguments, sweep, server, split)).await;
        }
        Some(CompareCommand::Ramp(ramp)) => {
            return Box::pin(run_ramp(&arguments, ramp, server, split)).await;
        }
        None => {}
    }
    let plan = Plan::new(&arguments)?;
    if arguments.check_capture {
        capture::permitted()?;
    }
    let between = Between::of(&arguments)?;
    let mut experiment =
        Experiment::open((server, split), plan.payload_max(), between, plan.seed).await?;
    let report = experiment.compare(&arguments, &plan).await;
    experiment.close().await;
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
    deliver(arguments.json.as_deref(), &report.to_json(), &table::render(&report))?;
    let broken = report.expectations.iter().filter(|checked| !checked.holds).count();
    match broken {
        0 => Ok(()),
        _ => Err(Failure::Failed(format!(
            "{broken} of {} expectations do not hold",
            report.expectations.len()
        ))),
    }
}

async fn run_sweep(
    arguments: &CompareArguments,
    sweep: &SweepArguments,
    server: Option<Server>,
    split: Option<SplitNetwork>,
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
    let between = Between::of(arguments)?;
    let mut experiment =
        Experiment::open((server, split), sweep.payload, between, settings.seed).await?;
    let report = experiment.sweep(&settings).await;
    experiment.close().await;
    let report = report?;
    if let Some(path) = &arguments.report {
        write_file(path, &page::render(&report))?;
    }
    let text = report.sweep.as_ref().map(sweep::render).unwrap_or_default();
    deliver(arguments.json.as_deref(), &report.to_json(), &text)
}

async fn run_ramp(
    arguments: &CompareArguments,
    ramp: &RampArguments,
    server: Option<Server>,
    split: Option<SplitNetwork>,
) -> Result<(), Failure> {
    for (flag, is_given) in [
        ("--chart", arguments.chart.is_some()),
        ("--report", arguments.report.is_some()),
        ("--check-capture", arguments.check_capture),
    ] {
        if is_given {
            return Err(Failure::Usage(format!("{flag} is for a comparison, not for a ramp")));
        }
    }
    let between = Between::of(arguments)?;
    let seed = ramp.seed.unwrap_or_else(rand::random);
    let mut experiment = Experiment::open((server, split), ramp.payload, between, seed).await?;
    let report = experiment.ramp(ramp, seed).await;
    experiment.close().await;
    let report = report?;
    let text = report.ramp.as_ref().map(ramp::render).unwrap_or_default();
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
