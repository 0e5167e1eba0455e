//! How cost grows: connections × topics × rate. Each connection is for one topic, topics being shared
//! evenly; where there are more topics than connections, each is for several and no topic is shared.

use super::{Bench, Trial};
use crate::failure::Result;
use crate::generator::load::Pace;
use crate::report::figure::Figure;
use crate::report::{Report, measured};

const CONTENDERS: &[&str] = &["floor", "doorbell-tcp"];
const COLUMNS: &[Figure] = &[
    Figure::DeliveriesPerSecond,
    Figure::CpuPerMillion,
    Figure::UserPerMillion,
    Figure::SystemPerMillion,
    Figure::LatencyP50,
    Figure::LatencyP99,
    Figure::ServerCore,
    Figure::GeneratorCore,
];
const RATIOS: &[Figure] = &[Figure::CpuPerMillion];
/// Deliveries a second beyond which a machine of two cores is the limit, not the server.
const DELIVERIES_PER_SECOND_MAX: f64 = 50_000.0;

/// Topics that one connection may ask for: 64 subscriptions of 64 topics.
const TOPICS_EACH_MAX: usize = 4096;

/// Runs it.
pub(super) fn run(bench: &Bench) -> Result<Report> {
    let flags = &bench.flags;
    let mut report = Report::new("growth", COLUMNS, RATIOS);
    let contenders = bench.contenders(CONTENDERS)?;
    let tens = [1, 10, 100, 1000, 10_000];
    let rates = flags.or(&flags.rate, &[1000.0], &tens.map(|ten| ten as f64));
    for subscribers in flags.or(&flags.subscribers, &[10, 100], &tens) {
        for topics in flags.or(&flags.topics, &[1, 10], &tens) {
            for rate in rates.iter().copied() {
                let shared = (subscribers / topics).max(1);
                let topics_each = topics.div_ceil(subscribers);
                if rate * shared as f64 > DELIVERIES_PER_SECOND_MAX || topics_each > TOPICS_EACH_MAX
                {
                    continue;
                }
                let trial = Trial {
                    publishers: 1,
                    topics,
                    subscribers: shared,
                    topics_each,
                    pace: Pace::Rate(rate),
                    duration: flags.duration(0.2, 1.0)?,
                };
                let case = [
                    ("connections", subscribers.to_string()),
                    ("topics", topics.to_string()),
                    ("messages a second", rate.to_string()),
                ];
                bench.rounds(
                    &mut report,
                    &case,
                    &contenders,
                    |_| "floor",
                    |contender| Ok(measured(&bench.trial(contender, &trial)?)),
                );
            }
        }
    }
    Ok(report)
}
