//! One publisher, one topic, many subscribers; so many messages in flight.

use super::{Bench, Trial};
use crate::failure::Result;
use crate::generator::load::Pace;
use crate::report::figure::Figure;
use crate::report::{Report, measured};

const CONTENDERS: &[&str] = &[
    "floor",
    "floor-batch",
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

/// Runs it.
pub(super) fn run(bench: &Bench) -> Result<Report> {
    let flags = &bench.flags;
    let mut report = Report::new("fan-out", COLUMNS, RATIOS);
    let contenders = bench.contenders(CONTENDERS)?;
    for subscribers in flags.or(&flags.subscribers, &[100], &[1, 100, 1000, 10_000]) {
        for in_flight in flags.or(&flags.inflight, &[1, 16], &[1, 16]) {
            let trial = Trial {
                publishers: 1,
                topics: 1,
                subscribers,
                topics_each: 1,
                pace: Pace::InFlight(in_flight),
                duration: flags.duration(0.2, 2.0)?,
            };
            let case = [
                ("subscribers", subscribers.to_string()),
                ("in flight", in_flight.to_string()),
                ("bytes", flags.payload().to_string()),
            ];
            let base = |name: &str| floor_of(name, in_flight);
            bench.rounds(&mut report, &case, &contenders, base, |contender| {
                Ok(measured(&bench.trial(contender, &trial)?))
            });
        }
    }
    Ok(report)
}

/// The floor of a contender: messages that queue may be written together.
pub(super) fn floor_of(name: &str, in_flight: u32) -> &'static str {
    match in_flight {
        _ if name.ends_with("longpoll") => "floor-longpoll",
        1 => "floor",
        _ => "floor-batch",
    }
}
