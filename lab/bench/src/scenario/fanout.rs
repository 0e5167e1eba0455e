//! One publisher, one topic, many subscribers; so many messages in flight.

use super::bench::{Bench, Trial};
use crate::failure::Result;
use crate::generator::load::{Pace, Refill};
use crate::launch::Place;
use crate::report::figure::Figure;
use crate::report::{Report, measured};

const CONTENDERS: &[&str] = &[
    "floor",
    "floor-batch",
    "doorbell-tcp",
    "doorbell-cluster",
    "doorbell-ws",
    "doorbell-sse",
    "floor-tls",
    "floor-batch-tls",
    "doorbell-tcp-tls",
    "floor-longpoll",
    "doorbell-longpoll",
    "redis",
    "nats",
    "jetstream",
    "mosquitto",
    "nchan-ws",
    "nchan-sse",
    "nchan-longpoll",
];
/// The figures of fan-out, for every scenario that delivers.
pub(super) const COLUMNS: &[Figure] = &[
    Figure::DeliveriesPerSecond,
    Figure::CpuPerMillion,
    Figure::UserPerMillion,
    Figure::SystemPerMillion,
    Figure::ServerCore,
    Figure::GeneratorCore,
];
/// The figures that are compared with a floor's.
pub(super) const RATIOS: &[Figure] = &[Figure::CpuPerMillion, Figure::DeliveriesPerSecond];

/// Runs it: on any cores and with server and generator each on its own, and with each way of
/// filling a window again.
pub(super) fn run(bench: &Bench) -> Result<Report> {
    let flags = &bench.flags;
    let mut report = Report::new("fan-out", COLUMNS, RATIOS);
    for place in flags.or(&flags.pin, &[Place::Free], &[Place::Free, Place::Apart]) {
        let bench = bench.at(place);
        for subscribers in flags.or(&flags.subscribers, &[100], &[1, 100, 1000, 10_000]) {
            for most in flags.or(&flags.inflight, &[1, 16], &[1, 16]) {
                let both = [Refill::Quarter, Refill::Any];
                // With one in flight they are the same.
                let both = if most == 1 { &both[..1] } else { &both };
                for refill in flags.or(&flags.refill, &both[..1], both) {
                    case(&bench, &mut report, subscribers, most, refill)?;
                }
            }
        }
    }
    Ok(report)
}

fn case(
    bench: &Bench,
    report: &mut Report,
    subscribers: usize,
    most: u32,
    refill: Refill,
) -> Result<()> {
    let trial = Trial {
        publishers: 1,
        topics: 1,
        subscribers,
        topics_each: 1,
        pace: Pace::InFlight { most, refill },
        duration: bench.flags.duration(0.2, 2.0)?,
    };
    let mut case = vec![
        ("subscribers", subscribers.to_string()),
        ("in flight", most.to_string()),
        ("bytes", bench.flags.payload().to_string()),
    ];
    if refill == Refill::Any && most > 1 {
        case.push(("refilled", "at any free place".into()));
    }
    if bench.place == Place::Apart {
        case.push(("pinned", "apart".into()));
    }
    let contenders = bench.contenders(CONTENDERS)?;
    bench.rounds(
        report,
        &case,
        &contenders,
        |name| floor_of(name, most),
        |contender| Ok(measured(&bench.trial(contender, &trial)?)),
    );
    Ok(())
}

/// The floor of a contender: messages that queue may be written together.
pub(super) fn floor_of(name: &str, in_flight: u32) -> &'static str {
    match in_flight {
        _ if name.ends_with("longpoll") => "floor-longpoll",
        1 if name.ends_with("-tls") => "floor-tls",
        1 => "floor",
        _ if name.ends_with("-tls") => "floor-batch-tls",
        _ => "floor-batch",
    }
}
