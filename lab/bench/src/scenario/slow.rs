//! One reader among others stops reading. What the others notice, what the server's memory does,
//! and whether the one that stalled gets every message once it reads again, or comes back with its
//! id.

use std::time::Duration;

use super::bench::Bench;
use crate::failure::Result;
use crate::generator::Generator;
use crate::generator::load::{Load, Pace};
use crate::generator::subscribers::From;
use crate::peer::{Contender, Running, Setting};
use crate::report::figure::Figure;
use crate::report::{Measured, Report, measured};
use crate::stamp::Payload;
use crate::usage::Memory;

const CONTENDERS: &[&str] =
    &["doorbell-tcp", "doorbell-ws", "doorbell-sse", "redis", "nats", "mosquitto", "nchan-ws"];
const COLUMNS: &[Figure] = &[
    Figure::LatencyP50,
    Figure::LatencyP99,
    Figure::LatencyP999,
    Figure::GrowthBytes,
    Figure::Lost,
    Figure::Closed,
    Figure::ServerCore,
    Figure::GeneratorCore,
];
const SUBSCRIBERS: usize = 20;
const RATE: f64 = 5000.0;
const PAYLOAD_BYTES: usize = 1024;
/// Published before, so that what a server keeps in memory for everybody is there already.
const MESSAGES_BEFORE: u64 = 50_000;
/// A deadline that the stalled reader passes, in the case in which it comes back.
const WRITE_DEADLINE: Duration = Duration::from_secs(1);

/// What the one reader does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// It reads like the others.
    Reads,
    /// It stalls while messages are published, then reads again.
    Stalls,
    /// It stalls for so long that it is closed, then comes back with its id.
    ComesBack,
}

/// Runs it.
pub(super) fn run(bench: &Bench) -> Result<Report> {
    let flags = &bench.flags;
    let mut report = Report::new("slow reader", COLUMNS, &[]);
    let rate = flags.or(&flags.rate, &[RATE], &[RATE])[0];
    let subscribers = flags.or(&flags.subscribers, &[SUBSCRIBERS], &[SUBSCRIBERS])[0];
    let bytes = flags.payload.unwrap_or(PAYLOAD_BYTES);
    for (words, reader) in [
        ("reads", Reader::Reads),
        ("stalls, then reads again", Reader::Stalls),
        ("is closed, comes back with its id", Reader::ComesBack),
    ] {
        let case = [
            ("one of the readers", words.to_owned()),
            ("subscribers", subscribers.to_string()),
            ("messages a second", rate.to_string()),
            ("bytes", bytes.to_string()),
        ];
        let names: &[&str] =
            if reader == Reader::ComesBack { &["doorbell-tcp"] } else { CONTENDERS };
        // Those that are chosen may not be able to come back.
        let contenders = match (reader, bench.contenders(names)) {
            (_, Ok(contenders)) => contenders,
            (Reader::ComesBack, Err(_)) => continue,
            (_, Err(error)) => return Err(error),
        };
        bench.rounds(&mut report, &case, &contenders, same, |contender| {
            measure(bench, contender, reader, (rate, subscribers, bytes))
        });
    }
    Ok(report)
}

/// Compared with nobody.
fn same(_: &str) -> &'static str {
    ""
}

fn measure(
    bench: &Bench,
    contender: Contender,
    reader: Reader,
    (rate, subscribers, bytes): (f64, usize, usize),
) -> Result<Measured> {
    let write_deadline = (reader == Reader::ComesBack).then_some(WRITE_DEADLINE);
    let setting = Setting { payload: bytes, write_deadline, ..bench.setting.clone() };
    let running = bench.start(contender, &setting)?;
    let mut generator = Generator::new(Payload::new(bytes, bench.flags.seed)?, 1)?;
    let ranges = vec![0..1; subscribers];
    let from = if reader == Reader::ComesBack { From::NowToComeBack } else { From::Now };
    generator.subscribe(running.subscribe_at, &running.subscriber, &ranges, from)?;
    if let Some(confirm) = &running.confirm {
        confirm(subscribers)?;
    }
    generator.connect_publishers(running.publish_at, &running.publisher, 1)?;
    if !bench.flags.quick {
        generator.publish_all(MESSAGES_BEFORE)?;
        let wanted = MESSAGES_BEFORE * subscribers as u64;
        generator.run_until("what is published before", |generator| {
            generator.tally.deliveries + generator.tally.faults.lost >= wanted
        })?;
    }
    let load = Load {
        pace: Pace::Rate(rate),
        subscribers: subscribers as u32,
        warm_up: bench.warm_up(),
        duration: bench.flags.duration(2.0, 10.0)?,
    };
    stall_and_return(&mut generator, &running, reader, &load)
}

fn stall_and_return(
    generator: &mut Generator,
    running: &Running,
    reader: Reader,
    load: &Load,
) -> Result<Measured> {
    let pid = running.program.pid();
    let stalled = load.subscribers as usize - 1;
    if reader != Reader::Reads {
        generator.stall(stalled)?;
    }
    let before = Memory::of(pid)?;
    let mut outcome = generator.measure(load, pid)?;
    let growth = Memory::of(pid)?.resident - before.resident;
    match reader {
        Reader::Reads => {}
        Reader::Stalls => generator.resume(stalled)?,
        Reader::ComesBack => {
            generator.resume(stalled)?;
            generator
                .run_until("the stalled reader to be closed", |g| g.tally.faults.closed > 0)?;
            generator.tally.faults.closed = 0;
            generator.come_back(stalled, running.subscribe_at)?;
        }
    }
    generator.settle(load)?;
    outcome.latency = generator.tally.latency.clone();
    outcome.faults = generator.tally.faults;
    let mut figures = measured(&outcome);
    figures.insert(Figure::GrowthBytes, growth);
    Ok(figures)
}
