//! Many publishers: acknowledged publishes by lines and over HTTP, stored in each way; and messages
//! of many topics from publisher to subscriber.

use super::bench::{Bench, Trial};
use crate::failure::Result;
use crate::generator::load::{Pace, Refill};
use crate::report::figure::Figure;
use crate::report::{Report, measured};

const COLUMNS: &[Figure] = &[
    Figure::DeliveriesPerSecond,
    Figure::AnswersPerSecond,
    Figure::CpuPerMillion,
    Figure::CpuPerMillionAnswers,
    Figure::ServerCore,
    Figure::GeneratorCore,
];
const RATIOS: &[Figure] = &[
    Figure::DeliveriesPerSecond,
    Figure::AnswersPerSecond,
    Figure::CpuPerMillion,
    Figure::CpuPerMillionAnswers,
];

/// A case of this scenario.
struct Case {
    what: &'static str,
    contenders: &'static [&'static str],
    publishers: usize,
    topics: usize,
    /// Of each topic.
    subscribers: usize,
    in_flight: &'static [u32],
    base: fn(&str) -> &'static str,
}

const LINES: &[&str] = &[
    "floor-append",
    "floor-sync",
    "doorbell-tcp-ephemeral",
    "doorbell-tcp",
    "doorbell-tcp-always",
    "jetstream",
];
const HTTP: &[&str] =
    &["floor-http", "doorbell-http-ephemeral", "doorbell-http", "doorbell-http-always"];
const DELIVERED: &[&str] = &[
    "floor",
    "floor-batch",
    "doorbell-tcp-ephemeral",
    "doorbell-tcp",
    "doorbell-tcp-always",
    "redis",
    "nats",
    "mosquitto",
    "jetstream",
    "nchan-ws",
];

/// A cluster, and a server that syncs as the cluster does.
const CLUSTER: &[&str] = &["jetstream-cluster", "doorbell-cluster", "doorbell-tcp-always"];

const CASES: &[Case] = &[
    Case {
        what: "cluster, lines of one publisher",
        contenders: CLUSTER,
        publishers: 1,
        topics: 64,
        subscribers: 0,
        in_flight: &[1, 16, 256, 1024, 4096],
        base: |_| "jetstream-cluster",
    },
    Case {
        what: "lines, one at a time",
        contenders: LINES,
        publishers: 64,
        topics: 64,
        subscribers: 0,
        in_flight: &[1],
        base: stored_like,
    },
    Case {
        what: "lines, pipelined",
        contenders: LINES,
        publishers: 8,
        topics: 1000,
        subscribers: 0,
        in_flight: &[64],
        base: stored_like,
    },
    Case {
        what: "HTTP, one at a time",
        contenders: HTTP,
        publishers: 64,
        topics: 64,
        subscribers: 0,
        in_flight: &[1],
        base: |_| "floor-http",
    },
    Case {
        what: "HTTP, pipelined",
        contenders: HTTP,
        publishers: 8,
        topics: 1000,
        subscribers: 0,
        in_flight: &[16],
        base: |_| "floor-http",
    },
    Case {
        what: "lines to a subscriber of each topic",
        contenders: DELIVERED,
        publishers: 8,
        topics: 1000,
        subscribers: 1,
        in_flight: &[64],
        base: |_| "floor",
    },
];

/// Contenders that wait for the disk are compared with a floor that does.
fn stored_like(name: &str) -> &'static str {
    if name.ends_with("always") || name == "floor-sync" { "floor-sync" } else { "floor-append" }
}

/// Runs it.
pub(super) fn run(bench: &Bench) -> Result<Report> {
    let flags = &bench.flags;
    let mut report = Report::new("publish", COLUMNS, RATIOS);
    let refill = flags.or(&flags.refill, &[Refill::Quarter], &[Refill::Quarter])[0];
    for case in CASES {
        let Ok(contenders) = bench.contenders(case.contenders) else { continue };
        for in_flight in flags.or(&flags.inflight, case.in_flight, case.in_flight) {
            let trial = Trial {
                publishers: case.publishers,
                topics: case.topics,
                subscribers: case.subscribers,
                topics_each: 1,
                pace: Pace::InFlight { most: in_flight, refill },
                duration: flags.duration(0.2, 2.0)?,
            };
            let words = [
                ("by", case.what.to_owned()),
                ("publishers", case.publishers.to_string()),
                ("topics", case.topics.to_string()),
                ("in flight each", in_flight.to_string()),
                ("bytes", flags.payload().to_string()),
            ];
            bench.rounds(&mut report, &words, &contenders, case.base, |contender| {
                Ok(measured(&bench.trial(contender, &trial)?))
            });
        }
    }
    Ok(report)
}
