//! How cost grows: connections × topics × rate. Each connection is for one topic, topics being
//! shared evenly; where there are more topics than connections, each is for several and no topic is
//! shared.

use std::collections::BTreeMap;

use super::bench::{Bench, Trial};
use crate::failure::{During, Failure, Result};
use crate::generator::load::Pace;
use crate::report::chart::{self, Drawn, Key, Panel};
use crate::report::figure::Figure;
use crate::report::{Report, measured};
use crate::statistics::{Curves, Summary};

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

/// What grows along a line, while the other two stay.
const AXES: [&str; 3] = ["subscribers of a topic", "topics", "messages a second"];
/// Contenders in the chart, the least important first.
const KEYS: [Key; 2] =
    [Key { name: "floor", color: "#7C8894" }, Key { name: "doorbell-tcp", color: "#1F7A4D" }];
/// A delivery that costs so much more for ten times as many is dearer the more there are.
const DEARER: f64 = 1.5;

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
                let shared = sharing(subscribers, topics);
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
    report.notes = (0..AXES.len()).filter_map(|axis| verdict(&report, axis)).collect();
    if let Some(path) = &flags.chart {
        let panels = AXES.iter().enumerate().map(|(axis, name)| Panel {
            name,
            drawn: KEYS.iter().map(|key| drawn(&report, key, axis)).collect(),
        });
        let panels = panels.filter(|panel| panel.drawn.iter().any(Drawn::is_there));
        let panels: Vec<_> = panels.collect();
        let chart = chart::draw(&panels, &KEYS, &report.notes);
        let nothing = || Failure("--chart: nothing grew, so there is nothing to draw".into());
        std::fs::write(path, chart.ok_or_else(nothing)?)
            .during(|| format!("--chart {}", path.display()))?;
    }
    Ok(report)
}

/// Subscribers of one topic.
fn sharing(connections: usize, topics: usize) -> usize {
    (connections / topics).max(1)
}

fn drawn(report: &Report, key: &Key, axis: usize) -> Drawn {
    Drawn { color: key.color, lines: lines(report, key.name, axis) }
}

/// What a delivery costs in microseconds, along an axis, for each pair of values of the other two.
/// Where connections are fewer than topics, several cases differ by nothing else: their middle is
/// taken.
fn lines(report: &Report, contender: &str, axis: usize) -> Curves {
    let mut lines: BTreeMap<_, BTreeMap<_, Vec<f64>>> = BTreeMap::new();
    for (case, micros) in report.middles(contender, Figure::CpuPerMillion) {
        let numbers = case.iter().filter_map(|(_, value)| value.parse::<f64>().ok());
        let &[connections, topics, rate] = numbers.collect::<Vec<_>>().as_slice() else { continue };
        let shared = sharing(connections as usize, topics as usize) as f64;
        // Positive numbers are in the order of their bits.
        let mut others = [shared, topics, rate].map(f64::to_bits);
        let place = std::mem::take(&mut others[axis]);
        lines.entry(others).or_default().entry(place).or_default().push(micros);
    }
    Curves::new(lines.into_values().map(|line| {
        let middles = line.into_iter().filter_map(|(place, micros)| {
            Some((f64::from_bits(place), Summary::of(&micros)?.median))
        });
        middles.collect()
    }))
}

/// How what a delivery costs grows along an axis.
fn verdict(report: &Report, axis: usize) -> Option<String> {
    let tenfold = |contender| Some(10_f64.powf(lines(report, contender, axis).power()?));
    let own = tenfold("doorbell-tcp")?;
    let floor = tenfold("floor").map_or(String::new(), |floor| format!(" (floor {floor:.2})"));
    let word = if own > DEARER { "superlinear: " } else { "" };
    let name = AXES[axis];
    Some(format!("{word}ten times the {name}: a delivery costs {own:.2} times as much{floor}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Measured;

    /// A report in which a delivery costs that much, by topics and subscribers of each.
    fn report(cost: impl Fn(usize, usize) -> f64) -> Report {
        let mut report = Report::new("growth", COLUMNS, RATIOS);
        for topics in [1, 10, 1000] {
            for shared in [1, 100] {
                let values = [("connections", shared * topics), ("topics", topics), ("rate", 7)];
                let case = values.map(|(name, value)| (name, value.to_string()));
                let figures = Measured::from([(Figure::CpuPerMillion, cost(topics, shared))]);
                report.add(&case, ("doorbell-tcp", "floor"), 0, Ok(figures));
            }
        }
        report
    }

    #[test]
    fn growth_is_told_for_each_thing_that_grew_and_named_where_it_is_more_than_linear() {
        let report = report(|topics, shared| 5.0 * topics as f64 / (shared as f64).sqrt());
        let verdicts: Vec<_> = (0..AXES.len()).map(|axis| verdict(&report, axis)).collect();
        let told = |verdict: &str| Some(verdict.to_owned());
        assert_eq!(
            verdicts,
            [
                told("ten times the subscribers of a topic: a delivery costs 0.32 times as much"),
                told("superlinear: ten times the topics: a delivery costs 10.00 times as much"),
                None,
            ]
        );
    }

    #[test]
    fn connections_that_share_topics_otherwise_are_one_point() {
        let mut report = Report::new("growth", COLUMNS, RATIOS);
        for (connections, topics, cost) in
            [(1, 100, 4.0), (10, 100, 8.0), (100, 100, 6.0), (1, 1, 3.0)]
        {
            let case = [("connections", connections), ("topics", topics), ("rate", 7)];
            let case = case.map(|(name, value): (_, usize)| (name, value.to_string()));
            let figures = Measured::from([(Figure::CpuPerMillion, cost)]);
            report.add(&case, ("doorbell-tcp", "floor"), 0, Ok(figures));
        }
        let lines = lines(&report, "doorbell-tcp", 1);
        assert_eq!(lines.points().collect::<Vec<_>>(), [(1.0, 3.0), (100.0, 6.0)]);
    }
}
