//! Sessions without sockets, a million of them in one process: what one costs that waits, and what
//! a delivery costs where no kernel has a part in it. Each has a stream in memory, whose own memory
//! is told apart, and is told each message once. The floors are given the same streams. Every
//! session must get every message, whole and once, or the run has failed.

use std::collections::BTreeMap;

use super::bench::Bench;
use crate::failure::{Failure, Result};
use crate::memory::{By, Job};
use crate::peer::Named;
use crate::report::Report;
use crate::report::figure::Figure;

const COLUMNS: &[Figure] = &[
    Figure::BytesEach,
    Figure::StreamBytesEach,
    Figure::GrowthBytes,
    Figure::CpuPerMillionOpened,
    Figure::CpuPerMillion,
    Figure::DeliveriesPerSecond,
    Figure::CpuPerMillionAnswers,
];
const RATIOS: &[Figure] = &[Figure::CpuPerMillion];

/// Runs it.
pub(super) fn run(bench: &Bench) -> Result<Report> {
    let flags = &bench.flags;
    let mut report = Report::new("sessions", COLUMNS, RATIOS);
    let messages = flags.messages.unwrap_or(if flags.quick { 2 } else { 5 }).max(1);
    let mut wanted = By::ALL.to_vec();
    wanted.retain(|by| flags.wants(by.name()));
    if wanted.is_empty() {
        let names = By::ALL.map(By::name).join(", ");
        return Err(Failure(format!("nobody is left to be measured of {names}")));
    }
    for sessions in flags.or(&flags.subscribers, &[10_000], &[100_000, 1_000_000]) {
        for topics in flags.or(&flags.topics, &[1, 10_000], &[1, 100_000]) {
            if topics == 0 || topics > sessions {
                continue;
            }
            let case = [
                ("sessions", sessions.to_string()),
                ("topics", topics.to_string()),
                ("messages", messages.to_string()),
                ("bytes", flags.payload().to_string()),
            ];
            bench.rounds(
                &mut report,
                &case,
                &wanted,
                |_| "floor-copy",
                |by| {
                    let (payload, seed) = (flags.payload(), flags.seed);
                    Job { by, sessions, topics, messages, payload, seed }.measure()
                },
            );
        }
    }
    report.notes = topics_against_one(&report);
    Ok(report)
}

/// What a session and a delivery cost with many topics, as a multiple of what they cost with one:
/// the publishing of so many messages is taken off.
fn topics_against_one(report: &Report) -> Vec<String> {
    let figures = |figure| {
        let middles = report.middles(By::Sessions.name(), figure);
        let places = middles.filter_map(|(case, value)| {
            let number = |at: usize| case.get(at)?.1.parse::<usize>().ok();
            Some(((number(0)?, number(1)?), value))
        });
        places.collect::<BTreeMap<_, _>>()
    };
    let (memory, total) = (figures(Figure::BytesEach), figures(Figure::CpuPerMillion));
    let published = figures(Figure::CpuPerMillionAnswers);
    let against_one = |((sessions, topics), publish): (&(usize, usize), &f64)| {
        let (one, many) = ((*sessions, 1), (*sessions, *topics));
        let bytes = memory.get(&many)? / memory.get(&one)?;
        let delivered = total.get(&many)? - publish * *topics as f64 / *sessions as f64;
        let cost = delivered / total.get(&one)?;
        Some(format!(
            "{sessions} sessions of {topics} topics against one topic: a session takes {bytes:.2} \
             times the memory; a delivery, without its publish, {cost:.2} times the processor time"
        ))
    };
    published.iter().filter_map(against_one).collect()
}
