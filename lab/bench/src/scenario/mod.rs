//! What is measured. A scenario is a list of cases; in each round every contender runs each case
//! once, in another order each round, on a server of its own.

mod attack;
mod bench;
mod catchup;
mod fanout;
mod grow;
mod idle;
mod large;
mod latency;
mod polls;
mod publish;
mod sessions;
mod slow;

use std::num::NonZeroU64;

use rustix::thread::set_current_timer_slack;

use self::bench::Bench;
use crate::cli::{Command, Flags};
use crate::failure::{During, Failure, Result};
use crate::launch::{Cores, Place};
use crate::machine::{Machine, load, raise_descriptors};
use crate::report::{Report, document, table};
use crate::stamp::Payload;

/// Runs what was asked for and shows it.
pub(crate) fn run(command: Command) -> Result<()> {
    type Scenario = fn(&Bench) -> Result<Report>;
    let (flags, scenarios): (Flags, &[Scenario]) = match command {
        Command::Floor(floor) => return floor.run(),
        Command::Memory(job) => return job.run(),
        Command::Attacker(job) => return job.run(),
        Command::Sink => return crate::attack::run_sink(),
        Command::Fanout(flags) => (flags, &[fanout::run]),
        Command::Latency(flags) => (flags, &[latency::run]),
        Command::Publish(flags) => (flags, &[publish::run]),
        Command::Catchup(flags) => (flags, &[catchup::run]),
        Command::Polls(flags) => (flags, &[polls::run]),
        Command::Large(flags) => (flags, &[large::run]),
        Command::Idle(flags) => (flags, &[idle::run]),
        Command::Slow(flags) => (flags, &[slow::run]),
        Command::Grow(flags) => (flags, &[grow::run]),
        Command::Sessions(flags) => (flags, &[sessions::run]),
        Command::Attack(flags) => (flags, &[attack::run]),
        Command::All(flags) => (
            flags,
            &[
                fanout::run,
                latency::run,
                publish::run,
                catchup::run,
                polls::run,
                large::run,
                idle::run,
                slow::run,
                grow::run,
                sessions::run,
            ],
        ),
    };
    raise_descriptors();
    // Planned moments are met as exactly as the kernel can.
    set_current_timer_slack(NonZeroU64::new(1))?;
    let payload = Payload::new(flags.payload(), flags.seed)?;
    let place = flags.pin.first().copied().unwrap_or(Place::Free);
    let bench = Bench { setting: flags.setting()?, payload, cores: Cores::given()?, place, flags };
    println!("{}", Machine::this().line());
    let place = match place {
        Place::Free => "not pinned, the same for all, unless a case says so",
        Place::Apart => "pinned apart",
    };
    println!("load before: {:.2}; servers and generator {place}", load().unwrap_or(f64::NAN));
    let (versions, left_out) = bench.installed();
    for line in &left_out {
        println!("{line}");
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut reports = Vec::new();
    for scenario in scenarios {
        bench.cores.measure(bench.place)?;
        let report = scenario(&bench)?;
        print!("{}", table::render(&report));
        reports.push(report);
        // After each one, so that a long run that is cut short has not been for nothing.
        if let Some(path) = &bench.flags.json {
            let json = document(&reports, &versions, &left_out, &words, bench.flags.seed);
            std::fs::write(path, format!("{json:#}\n"))
                .during(|| format!("--json {}", path.display()))?;
        }
    }
    match reports.iter().map(Report::failed).sum() {
        0 => Ok(()),
        failed => Err(Failure(format!("runs that failed: {failed}; the notes say why"))),
    }
}
