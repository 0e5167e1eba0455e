//! What was measured, round by round: medians, spreads, and ratios to what ran beside it in the
//! same round; as tables and as JSON.

pub(crate) mod chart;
pub(crate) mod figure;
pub(crate) mod table;

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use self::figure::Figure;
use crate::batches::Batches;
use crate::generator::load::Outcome;
use crate::machine::{Machine, load};
use crate::statistics::Summary;

/// The number of the JSON's shape. It grows when a member changes its meaning or goes.
const SCHEMA: u32 = 1;
/// A generator that is this busy may have been the limit.
const BUSY_SHARE: f64 = 0.9;

/// A contender that is behind by more at the end has not kept the rate: its latency is the length
/// of its queue.
const BEHIND_SHARE: f64 = 0.1;

/// The figures of one run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Measured {
    figures: BTreeMap<Figure, f64>,
    /// What went together, if the server tells.
    #[serde(skip)]
    batches: Option<Batches>,
}

impl<const COUNT: usize> From<[(Figure, f64); COUNT]> for Measured {
    fn from(figures: [(Figure, f64); COUNT]) -> Self {
        Self { figures: figures.into(), batches: None }
    }
}

impl Deref for Measured {
    type Target = BTreeMap<Figure, f64>;

    fn deref(&self) -> &Self::Target {
        &self.figures
    }
}

impl DerefMut for Measured {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.figures
    }
}

/// The figures of a load.
pub(crate) fn measured(outcome: &Outcome) -> Measured {
    let Outcome { seconds, server, generator, faults, latency, .. } = outcome;
    let deliveries = outcome.deliveries as f64;
    let answered = outcome.acknowledged as f64;
    let mut figures = Measured::from([
        (Figure::PublishesPerSecond, outcome.published as f64 / seconds),
        (Figure::ServerCore, server.total / seconds),
        (Figure::GeneratorCore, generator.total / seconds),
        (Figure::Lost, faults.lost as f64),
        (Figure::Disordered, faults.disordered as f64),
        (Figure::Damaged, faults.damaged as f64),
        (Figure::Closed, faults.closed as f64),
    ]);
    figures.extend(outcome.behind.map(|behind| (Figure::Behind, behind)));
    if outcome.deliveries > 0 {
        let million = deliveries / 1e6;
        figures.extend([
            (Figure::DeliveriesPerSecond, deliveries / seconds),
            (Figure::CpuPerMillion, server.total / million),
            (Figure::UserPerMillion, server.user / million),
            (Figure::SystemPerMillion, server.system / million),
        ]);
    }
    if outcome.acknowledged > 0 {
        figures.extend([
            (Figure::AnswersPerSecond, answered / seconds),
            (Figure::CpuPerMillionAnswers, server.total / (answered / 1e6)),
        ]);
    }
    figures.batches.clone_from(&outcome.batches);
    if !latency.is_empty() {
        let at = |quantile: f64| latency.value_at_quantile(quantile) as f64 / 1e6;
        figures.extend([
            (Figure::LatencyP50, at(0.5)),
            (Figure::LatencyP99, at(0.99)),
            (Figure::LatencyP999, at(0.999)),
            (Figure::LatencyMost, latency.max() as f64 / 1e6),
        ]);
    }
    figures
}

/// One contender in one case.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) case: Vec<(&'static str, String)>,
    pub(crate) contender: &'static str,
    /// The contender that it is compared with.
    base: &'static str,
    /// By round; a round that failed has none.
    rounds: Vec<Option<Measured>>,
    /// What the reader must know.
    notes: Vec<String>,
}

impl Row {
    /// The rounds of one figure.
    fn series(&self, figure: Figure) -> Vec<f64> {
        let measured = self.rounds.iter().flatten();
        measured.filter_map(|figures| figures.get(&figure).copied()).collect()
    }

    /// The middle of the rounds.
    pub(crate) fn summary(&self, figure: Figure) -> Option<Summary> {
        Summary::of(&self.series(figure))
    }

    /// Round by round this row's figure divided by another's.
    fn ratio(&self, base: &Self, figure: Figure) -> Option<Summary> {
        let pairs = self.rounds.iter().zip(&base.rounds);
        let ratios: Vec<f64> = pairs
            .filter_map(|(own, base)| {
                let base = *base.as_ref()?.get(&figure)?;
                (base != 0.0).then_some(own.as_ref()?.get(&figure)? / base)
            })
            .collect();
        Summary::of(&ratios)
    }

    /// What went together in all rounds, if the server tells.
    fn batches(&self) -> Option<Batches> {
        let rounds = self.rounds.iter().flatten().filter_map(|round| round.batches.clone());
        rounds.reduce(|all, round| all.plus(&round))
    }

    fn figures(&self) -> Vec<Figure> {
        let mut figures: Vec<Figure> =
            self.rounds.iter().flatten().flat_map(|figures| figures.keys().copied()).collect();
        figures.sort_unstable();
        figures.dedup();
        figures
    }
}

/// One scenario's results.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) scenario: &'static str,
    /// What is shown, in this order.
    pub(crate) columns: Vec<Figure>,
    /// Of these the ratio to the row's base is shown too.
    pub(crate) ratios: Vec<Figure>,
    rows: Vec<Row>,
    /// What the rows say together.
    pub(crate) notes: Vec<String>,
}

impl Report {
    /// An empty one.
    pub(crate) fn new(scenario: &'static str, columns: &[Figure], ratios: &[Figure]) -> Self {
        Self {
            scenario,
            columns: columns.into(),
            ratios: ratios.into(),
            rows: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Notes what one round measured, or why it did not.
    pub(crate) fn add(
        &mut self,
        case: &[(&'static str, String)],
        (contender, base): (&'static str, &'static str),
        round: usize,
        result: Result<Measured, String>,
    ) {
        let known = self.rows.iter().position(|r| r.contender == contender && r.case == case);
        let index = known.unwrap_or_else(|| {
            let (rounds, notes) = (Vec::new(), Vec::new());
            self.rows.push(Row { case: case.into(), contender, base, rounds, notes });
            self.rows.len() - 1
        });
        let row = &mut self.rows[index];
        row.rounds.resize_with(row.rounds.len().max(round + 1), || None);
        match result {
            Ok(figures) => {
                row.notes.extend(warnings(&figures, round));
                row.rounds[round] = Some(figures);
            }
            Err(why) => row.notes.push(format!("round {} failed: {why}", round + 1)),
        }
    }

    /// One contender's middle figure in each case that has one.
    pub(crate) fn middles(
        &self,
        contender: &str,
        figure: Figure,
    ) -> impl Iterator<Item = (&[(&'static str, String)], f64)> {
        let rows = self.rows.iter().filter(move |row| row.contender == contender);
        rows.filter_map(move |row| Some((row.case.as_slice(), row.summary(figure)?.median)))
    }

    /// How many runs failed.
    pub(crate) fn failed(&self) -> usize {
        self.rows.iter().flat_map(|row| &row.rounds).filter(|round| round.is_none()).count()
    }

    /// The rows of one case, in the order in which they came.
    fn cases(&self) -> Vec<Vec<&Row>> {
        let mut cases: Vec<Vec<&Row>> = Vec::new();
        for row in &self.rows {
            match cases.iter_mut().find(|case| case[0].case == row.case) {
                Some(case) => case.push(row),
                None => cases.push(vec![row]),
            }
        }
        cases
    }

    fn json(&self) -> Value {
        let rows = self.cases().into_iter().flat_map(|case| {
            let rows: Vec<Value> = case.iter().map(|row| row_json(row, &case)).collect();
            rows
        });
        json!({"scenario": self.scenario, "rows": rows.collect::<Vec<_>>(), "notes": self.notes})
    }
}

/// What makes a round's figures doubtful.
fn warnings(figures: &Measured, round: usize) -> Vec<String> {
    let mut warnings = Vec::new();
    let value = |figure| figures.get(&figure).copied().unwrap_or(0.0);
    let busy = value(Figure::GeneratorCore);
    if busy > BUSY_SHARE {
        let percent = busy * 100.0;
        warnings.push(format!(
            "round {}: the generator took {percent:.0} % of a core and may have been the limit; \
             the server's processor time holds all the same",
            round + 1
        ));
    }
    let behind = value(Figure::Behind);
    if behind > BEHIND_SHARE {
        let percent = behind * 100.0;
        warnings.push(format!(
            "round {}: {percent:.0} % of what was due had not arrived: the rate was not kept, and the \
             latency says only for how long",
            round + 1
        ));
    }
    for figure in [Figure::Lost, Figure::Disordered, Figure::Damaged, Figure::Closed] {
        if value(figure) > 0.0 {
            let word = figure.look().heading;
            warnings.push(format!("round {}: {} {word}", round + 1, value(figure)));
        }
    }
    warnings
}

fn row_json(row: &Row, case: &[&Row]) -> Value {
    let figures = row.figures().into_iter().filter_map(|figure| {
        let look = figure.look();
        let rounds = row.series(figure);
        let mut value = json!({"unit": look.unit, "rounds": rounds});
        value["summary"] = json!(Summary::of(&rounds)?);
        let floors = case.iter().filter(|base| base.contender.starts_with("floor"));
        let ratios: Map<String, Value> = floors
            .filter_map(|base| Some((base.contender.to_owned(), json!(row.ratio(base, figure)?))))
            .collect();
        value["ratio_to"] = ratios.into();
        Some((look.key.to_owned(), value))
    });
    let case: Map<String, Value> =
        row.case.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    json!({
        "case": case,
        "contender": row.contender,
        "base": row.base,
        "figures": figures.collect::<Map<_, _>>(),
        "batches": row.batches().map(|batches| batches.json()),
        "notes": row.notes,
    })
}

/// Everything that one call measured.
pub(crate) fn document(
    reports: &[Report],
    versions: &BTreeMap<&'static str, String>,
    left_out: &[String],
    flags: &[String],
    seed: u64,
) -> Value {
    json!({
        "schema": SCHEMA,
        "program": concat!("bench ", env!("CARGO_PKG_VERSION")),
        "machine": Machine::this(),
        "load_average": load(),
        "versions": versions,
        "left_out": left_out,
        "flags": flags,
        "seed": seed,
        "reports": reports.iter().map(Report::json).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "small whole numbers are exact")]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::new("test", &[Figure::CpuPerMillion], &[Figure::CpuPerMillion]);
        let case = [("subscribers", "10".to_owned())];
        for (round, (floor, own)) in [(1.0, 2.0), (10.0, 30.0), (2.0, 5.0)].into_iter().enumerate()
        {
            let figures = |value| Ok(Measured::from([(Figure::CpuPerMillion, value)]));
            report.add(&case, ("floor", "floor"), round, figures(floor));
            report.add(&case, ("doorbell-tcp", "floor"), round, figures(own));
        }
        report
    }

    #[test]
    fn a_ratio_is_taken_inside_its_round() {
        let report = report();
        let cases = report.cases();
        let ratio = cases[0][1].ratio(cases[0][0], Figure::CpuPerMillion).unwrap();
        assert_eq!(ratio, Summary { median: 2.5, low: 2.0, high: 3.0 });
    }

    #[test]
    fn a_round_that_failed_leaves_a_note_and_no_figure() {
        let mut report = report();
        let case = [("subscribers", "10".to_owned())];
        report.add(&case, ("doorbell-tcp", "floor"), 3, Err("it was not there".into()));
        let json = report.json();
        let own = &json["rows"][1];
        let rounds = own["figures"]["server_cpu_per_million"]["rounds"].as_array().unwrap();
        assert_eq!(rounds.len(), 3);
        assert_eq!(own["notes"][0], "round 4 failed: it was not there");
        assert_eq!(own["case"]["subscribers"], "10");
    }

    #[test]
    fn a_generator_at_its_limit_and_lost_messages_are_told() {
        let figures = Measured::from([(Figure::GeneratorCore, 0.95), (Figure::Lost, 2.0)]);
        let warnings = warnings(&figures, 0);
        assert!(warnings[0].contains("95 % of a core"), "{warnings:?}");
        assert_eq!(warnings[1], "round 1: 2 lost");
        let calm = Measured::from([(Figure::GeneratorCore, 0.5), (Figure::Lost, 0.0)]);
        assert!(self::warnings(&calm, 0).is_empty());
    }
}
