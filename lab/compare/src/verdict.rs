//! The answer, before everything else: for messages that may be so late, at such a rate, which way
//! moves the fewest bytes. Worked out from what one of each costs, as it was measured.

use doorbell::Transport;
use doorbell_protocol::Family;
use serde::Serialize;

use crate::figure::{bytes, count, short_time};
use crate::grid::Grid;
use crate::theory::{LONGPOLL_HELD, crossover};
use crate::unit_cost::UnitCost;
use crate::way::Way;

/// Messages a second for which it is said, besides the rate of the run.
const RATES: [f64; 5] = [0.01, 0.1, 1.0, 10.0, 100.0];
const HOUR: f64 = 3600.0;

/// Which way is cheapest, by lateness and rate.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Verdict {
    pub(crate) rates: Vec<AtRate>,
    pub(crate) crossings: Vec<Crossing>,
}

/// The cheapest ways at one rate.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct AtRate {
    /// Messages a second.
    pub(crate) rate: f64,
    /// Whether it is the rate of the run.
    pub(crate) is_of_run: bool,
    pub(crate) at_once: Option<Cheapest>,
    /// One for each window in which what is pushed is gathered.
    pub(crate) gathered: Vec<Cheapest>,
    /// One for each interval, the shortest first.
    pub(crate) polls: Vec<Cheapest>,
}

/// The cheapest way of some.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Cheapest {
    pub(crate) via: Way,
    /// From one poll to the next, if it polls.
    pub(crate) interval_s: Option<f64>,
    /// How long its messages wait for others, if they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) coalesce_s: Option<f64>,
    pub(crate) wire_bytes_per_hour: f64,
}

/// The rate above which polling at an interval moves fewer bytes than what comes at once, or
/// gathered in a window of the run that is no longer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Crossing {
    pub(crate) interval_s: f64,
    /// `None` if push is cheaper at every rate.
    pub(crate) rate: Option<f64>,
}

impl Verdict {
    /// From unit costs, for polls at these intervals and push gathered in these windows; `None`
    /// without both polls and push.
    pub(crate) fn new(
        units: &[UnitCost],
        intervals: &[f64],
        windows: &[f64],
        rate: f64,
    ) -> Option<Self> {
        let told = |rate: f64| cheapest(units, rate, How::AtOnce);
        let gathered = |rate: f64, window: f64| cheapest(units, rate, How::Gathered(window));
        let asked = |rate: f64, interval: f64| cheapest(units, rate, How::Asked(interval));
        told(rate)?;
        let crossings = intervals.iter().map(|interval| {
            let of = |cheapest: Option<Cheapest>| {
                cheapest.map_or(f64::INFINITY, |cheapest| cheapest.wire_bytes_per_hour)
            };
            let in_time = || windows.iter().filter(|window| *window <= interval);
            let push = |rate: f64| {
                let gathered = in_time().map(|window| of(gathered(rate, *window)));
                gathered.fold(of(told(rate)), f64::min)
            };
            let rate = crossover(|rate| of(asked(rate, *interval)), push);
            Crossing { interval_s: *interval, rate }
        });
        let mut rates: Vec<f64> = RATES.into_iter().chain([rate]).collect();
        rates.sort_by(f64::total_cmp);
        rates.dedup();
        let at_rates = rates.into_iter().map(|each| AtRate {
            rate: each,
            is_of_run: each.total_cmp(&rate).is_eq(),
            at_once: told(each),
            gathered: windows.iter().filter_map(|window| gathered(each, *window)).collect(),
            polls: intervals.iter().filter_map(|interval| asked(each, *interval)).collect(),
        });
        let rates: Vec<AtRate> = at_rates.collect();
        let has_polls = rates.iter().any(|at| !at.polls.is_empty());
        has_polls.then(|| Self { rates, crossings: crossings.collect() })
    }

    /// The table of it.
    pub(crate) fn grid(&self) -> Grid {
        let intervals = self.crossings.iter().map(|crossing| crossing.interval_s);
        let gathered = self.rates.first().map_or(&[][..], |at| &at.gathered);
        let windows = gathered.iter().filter_map(|cheapest| cheapest.coalesce_s);
        let mut columns = vec!["messages/s".to_owned(), "at once".to_owned()];
        columns.extend(windows.map(|window| format!("gathered for {}", shown(window))));
        columns.extend(intervals.map(|interval| format!("{} late at most", shown(interval))));
        columns.push("fewest bytes".to_owned());
        let mut grid = Grid::new("Bytes an hour of one client, by the cheapest way", &columns);
        for at in &self.rates {
            let all = || at.at_once.iter().chain(&at.gathered).chain(&at.polls);
            let fewest =
                all().min_by(|a, b| a.wire_bytes_per_hour.total_cmp(&b.wire_bytes_per_hour));
            let cell = |cheapest: &Cheapest| {
                format!("{} by {}", bytes(cheapest.wire_bytes_per_hour), cheapest.via.name())
            };
            let mut cells = vec![count(at.rate) + if at.is_of_run { " (this run)" } else { "" }];
            cells.extend(all().map(cell));
            cells.push(fewest.map_or_else(String::new, |fewest| {
                match (fewest.interval_s, fewest.coalesce_s) {
                    (Some(interval), _) => format!("asking every {}", shown(interval)),
                    (None, Some(window)) => format!("gathered for {}", shown(window)),
                    (None, None) => "at once".to_owned(),
                }
            }));
            grid.row(cells);
        }
        grid
    }

    /// For what lateness and rate which way moves fewer bytes.
    pub(crate) fn sentences(&self) -> Vec<String> {
        let sentence = |crossing: &Crossing| {
            let interval = shown(crossing.interval_s);
            match crossing.rate {
                Some(rate) => format!(
                    "If a message may be {interval} late, polling every {interval} moves fewer bytes \
                     than push where there are more than {} messages a second, and more where there \
                     are fewer.",
                    count(rate)
                ),
                None => format!(
                    "If a message may be {interval} late, push moves fewer bytes than polling every \
                     {interval} all the same, at every rate."
                ),
            }
        };
        self.crossings.iter().map(sentence).collect()
    }
}

fn shown(interval_s: f64) -> String {
    short_time(interval_s * 1e6)
}

/// How messages come.
#[derive(Debug, Clone, Copy)]
enum How {
    AtOnce,
    /// Pushed, after so many seconds.
    Gathered(f64),
    /// By polls, one each time that so many seconds have passed.
    Asked(f64),
}

/// The cheapest way by which messages come like this. Texts alone are not what the others bring,
/// and a Unix socket has no packets.
fn cheapest(units: &[UnitCost], rate: f64, how: How) -> Option<Cheapest> {
    let compared = units.iter().filter(|unit| {
        !matches!(
            unit.via,
            Way::PollBackoff | Way::PollSteered | Way::Best(Transport::Raw | Transport::Unix)
        )
    });
    let costs = compared.filter_map(|unit| {
        let bytes_per_s = match (how, unit.via.family(), unit.poll, unit.push) {
            (How::Asked(interval), Family::Poll, Some(poll), _) => poll.rate(rate, interval),
            (How::AtOnce, Family::Longpoll, Some(poll), _) => poll.held_rate(rate, LONGPOLL_HELD),
            (How::AtOnce, Family::Push, _, Some(push)) => push.rate(rate),
            (How::Gathered(window), _, _, Some(push)) if unit.via.gathers() => {
                push.coalesced(rate, window)
            }
            _ => return None,
        };
        let wire_bytes_per_hour = bytes_per_s * HOUR;
        let (interval_s, coalesce_s) = match how {
            How::AtOnce => (None, None),
            How::Gathered(window) => (None, Some(window)),
            How::Asked(interval) => (Some(interval), None),
        };
        Some(Cheapest { via: unit.via, interval_s, coalesce_s, wire_bytes_per_hour })
    });
    costs.min_by(|a, b| a.wire_bytes_per_hour.total_cmp(&b.wire_bytes_per_hour))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theory::{PollCost, PushCost};

    fn unit(via: Way, empty: f64, message: f64) -> UnitCost {
        let mut unit = UnitCost::unmeasured(via);
        match via.family() {
            Family::Push => {
                unit.push = Some(PushCost { message, content: 100.0, idle: 2.0 });
            }
            _ => unit.poll = Some(PollCost { empty, full: 0.0, message }),
        }
        unit
    }

    #[test]
    fn the_verdict_names_the_cheapest_way_and_where_it_changes() {
        let units = [
            unit(Way::POLL, 600.0, 100.0),
            unit(Way::PollHttp2, 200.0, 100.0),
            unit(Way::Best(Transport::Longpoll), 600.0, 100.0),
            unit(Way::TCP, 0.0, 200.0),
            unit(Way::Best(Transport::Raw), 0.0, 1.0),
        ];
        let verdict = Verdict::new(&units, &[1.0, 10.0], &[], 3.0).unwrap();
        // 200/T + 100λ = 200λ + 2.
        let rates: Vec<f64> = verdict.crossings.iter().filter_map(|at| at.rate).collect();
        assert!((rates[0] - 1.98).abs() < 0.01 && (rates[1] - 0.18).abs() < 0.01, "{rates:?}");
        let at =
            |rate: f64| verdict.rates.iter().find(|at| at.rate.total_cmp(&rate).is_eq()).unwrap();
        assert_eq!(at(3.0).at_once.unwrap().via, Way::TCP);
        assert_eq!(at(3.0).polls[0].via, Way::PollHttp2);
        assert!(at(3.0).is_of_run && !at(1.0).is_of_run);
        let table = verdict.grid().render();
        assert!(table.contains("asking every 10 s") && table.contains("at once"), "{table}");
        let told = verdict.sentences();
        assert!(told[0].contains("more than 1.98 messages a second"), "{told:?}");
        assert!(Verdict::new(&units[3..], &[1.0], &[], 3.0).is_none());
    }

    #[test]
    fn push_that_gathers_is_compared_where_its_window_is_not_longer_than_the_interval() {
        let units = [unit(Way::POLL, 600.0, 100.0), unit(Way::TCP, 0.0, 200.0)];
        let verdict = Verdict::new(&units, &[0.5, 2.0], &[1.0], 3.0).unwrap();
        let rates: Vec<Option<f64>> = verdict.crossings.iter().map(|at| at.rate).collect();
        // A send a second at most costs less than a poll every two: 300 B/s.
        assert!((rates[0].unwrap() - 11.98).abs() < 0.01 && rates[1].is_none(), "{rates:?}");
        let table = verdict.grid().render();
        assert!(table.contains("gathered for 1 s") && table.contains("by tcp"), "{table}");
        assert!(verdict.sentences()[1].contains("at every rate"), "{:?}", verdict.sentences());
    }
}
