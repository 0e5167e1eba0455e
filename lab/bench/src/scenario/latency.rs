//! How late messages are at fixed rates, from the moment at which each was planned; and a lone
//! publisher's message to a lone subscriber, beside an echo.

use super::bench::{Bench, Trial};
use crate::failure::Result;
use crate::generator::load::Pace;
use crate::report::figure::Figure;
use crate::report::{Report, measured};

const CONTENDERS: &[&str] = &[
    "floor",
    "floor-log",
    "doorbell-tcp",
    "doorbell-ws",
    "doorbell-sse",
    "floor-longpoll",
    "doorbell-longpoll",
    "redis",
    "nats",
    "jetstream",
    "mosquitto",
    "nchan-ws",
    "nchan-sse",
];
/// Without a log, with one, and with one that is synchronised.
const LONE: &[&str] = &[
    "floor-echo",
    "floor",
    "doorbell-tcp-ephemeral",
    "doorbell-tcp",
    "doorbell-tcp-always",
    "redis",
    "nats",
];
const COLUMNS: &[Figure] = &[
    Figure::LatencyP50,
    Figure::LatencyP99,
    Figure::LatencyP999,
    Figure::LatencyMost,
    Figure::ServerCore,
    Figure::GeneratorCore,
];
const RATIOS: &[Figure] = &[Figure::LatencyP50, Figure::LatencyP99];
/// Messages a second, and subscribers.
const CASES: &[(f64, usize)] = &[(1000.0, 100), (100.0, 1000)];

/// Runs it.
pub(super) fn run(bench: &Bench) -> Result<Report> {
    let flags = &bench.flags;
    let mut report = Report::new("latency", COLUMNS, RATIOS);
    let cases: Vec<(f64, usize)> = match (flags.rate.is_empty(), flags.subscribers.is_empty()) {
        (true, true) => CASES.into(),
        _ => {
            let rates = flags.or(&flags.rate, &[1000.0], &[1000.0]);
            let subscribers = flags.or(&flags.subscribers, &[100], &[100]);
            rates.iter().flat_map(|r| subscribers.iter().map(|s| (*r, *s))).collect()
        }
    };
    for (rate, subscribers) in cases {
        let base = |name: &str| if name.ends_with("longpoll") { "floor-longpoll" } else { "floor" };
        let pace = Pace::Rate(rate);
        case(bench, &mut report, pace, subscribers, CONTENDERS, base)?;
    }
    if flags.subscribers.is_empty() {
        // Each is sent when the one before has arrived: nothing but the way there and back.
        case(bench, &mut report, Pace::ONE_BY_ONE, 1, LONE, |_| "floor-echo")?;
    }
    Ok(report)
}

fn case(
    bench: &Bench,
    report: &mut Report,
    pace: Pace,
    subscribers: usize,
    contenders: &[&str],
    base: impl Fn(&str) -> &'static str,
) -> Result<()> {
    let flags = &bench.flags;
    let Ok(contenders) = bench.contenders(contenders) else { return Ok(()) };
    let case = [
        match pace {
            Pace::Rate(rate) => ("messages a second", rate.to_string()),
            Pace::InFlight { most, .. } => ("in flight", most.to_string()),
        },
        ("subscribers", subscribers.to_string()),
        ("bytes", flags.payload().to_string()),
    ];
    let duration = flags.duration(0.3, 3.0)?;
    bench.rounds(report, &case, &contenders, base, |contender| {
        // An echo has no subscriber: what comes back to the publisher counts.
        let echo = contender.name == "floor-echo";
        let trial = Trial { publishers: 1, topics: 1, subscribers, topics_each: 1, pace, duration };
        let outcome =
            if echo { bench.echo(contender, &trial) } else { bench.trial(contender, &trial) };
        Ok(measured(&outcome?))
    });
    Ok(())
}
