//! What it costs to wait: the contenders are watched while nothing is published.
//!
//! Only whole periods count, as half an empty poll is nothing that can be multiplied. A contender
//! whose period is longer than the watch is scaled from what one empty poll or one keepalive costs.

use std::time::Duration;

use doorbell::laboratory::{BACKOFF_MAX, HELD, RENEWED};
use doorbell::{Filter, Transport};
use doorbell_instruments::{Failure, Traffic};
use doorbell_protocol::Family;
use serde::Serialize;
use tokio::time::{Instant, sleep, sleep_until};

use crate::contender::{Contender, Places};
use crate::figure::float;
use crate::idle_subscribers::{IdleSubscribers, REST, fresh_topic};
use crate::unit_cost::UnitCost;
use crate::way::Way;

/// What the server sends at the end of a period may come so much late.
const SLACK: Duration = Duration::from_millis(500);
const HOUR: f64 = 3600.0;

/// How a figure was come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Basis {
    /// Counted over whole periods on the server that is compared.
    Measured,
    /// From empty polls, or signs of life, that were made to come more often.
    Scaled,
}

/// What a contender costs that waits for an hour.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Idle {
    pub(crate) wire_bytes_per_hour: f64,
    pub(crate) packets_per_hour: Option<f64>,
    pub(crate) basis: Basis,
    /// From one poll or keepalive to the next.
    pub(crate) period_s: f64,
    /// How many of them were counted, and in how many seconds.
    pub(crate) periods: u64,
    pub(crate) measured_s: f64,
}

/// Watches contenders for so long at most; `None` for those whose period is longer.
pub(crate) async fn watch(
    contenders: &[Contender],
    places: &Places,
    keepalive: Duration,
    length: Duration,
) -> Result<Vec<Option<Idle>>, Failure> {
    let filter = Filter::from(fresh_topic()?);
    let open = |contender: &Contender| contender.subscribe(places, filter.clone());
    let subscriptions = contenders.iter().map(open).collect::<Result<_, _>>()?;
    let crowd = IdleSubscribers::connect(places, subscriptions).await?;
    sleep(REST).await;
    let began = Instant::now();
    let before = crowd.traffic();
    let mut idle = vec![None; contenders.len()];
    let mut turns: Vec<Turn> = contenders
        .iter()
        .enumerate()
        .filter_map(|(index, contender)| Turn::new(index, contender, keepalive, length))
        .collect();
    turns.sort_by_key(|turn| turn.end);
    for turn in turns {
        sleep_until(began + turn.end).await;
        let traffic = crowd.traffic_of(turn.index).since(before[turn.index]);
        idle[turn.index] = Some(turn.idle(traffic));
    }
    Ok(idle)
}

/// When one contender's last whole period is over.
struct Turn {
    index: usize,
    period: Duration,
    periods: u32,
    end: Duration,
}

impl Turn {
    fn new(
        index: usize,
        contender: &Contender,
        keepalive: Duration,
        length: Duration,
    ) -> Option<Self> {
        let period = period(contender, keepalive);
        // One that asks less and less often is not watched while it comes to rest.
        if contender.way == Way::PollBackoff {
            return None;
        }
        let periods = length.as_nanos() / period.as_nanos().max(1);
        let periods = u32::try_from(periods).unwrap_or(u32::MAX);
        // Polls come at any time of their interval. What the server sends by its own clock comes at
        // the very end, since the subscription began just before the watch.
        let slack = match contender.way.family() {
            Family::Poll => Duration::ZERO,
            Family::Longpoll | Family::Push => SLACK.min(period / 2),
        };
        (periods > 0).then(|| Self { index, period, periods, end: period * periods + slack })
    }

    fn idle(&self, traffic: Traffic) -> Idle {
        let seconds = (self.period * self.periods).as_secs_f64();
        let packets = traffic.wire.packets_in + traffic.wire.packets_out;
        Idle {
            wire_bytes_per_hour: float(traffic.bytes_on_wire()) / seconds * HOUR,
            packets_per_hour: (packets > 0).then(|| float(packets) / seconds * HOUR),
            basis: Basis::Measured,
            period_s: self.period.as_secs_f64(),
            periods: self.periods.into(),
            measured_s: seconds,
        }
    }
}

/// After how long everything is as it was.
pub(crate) fn period(contender: &Contender, keepalive: Duration) -> Duration {
    match contender.way.family() {
        Family::Poll => {
            let intervals = if contender.way.is_even() { 1 } else { BACKOFF_MAX };
            contender.interval.unwrap_or(HELD) * intervals
        }
        Family::Longpoll => HELD,
        Family::Push if contender.way.transport() == Transport::Udp => RENEWED.min(keepalive),
        Family::Push => keepalive,
    }
}

/// The figure of a contender that was not watched for a whole period.
pub(crate) fn scaled(contender: &Contender, unit: &UnitCost, keepalive: Duration) -> Option<Idle> {
    let period_s = period(contender, keepalive).as_secs_f64();
    let each = |cost: f64| cost * HOUR / period_s;
    let (cost, packets) = match (unit.poll, unit.keepalive_bytes) {
        (Some(poll), _) => (poll.empty, unit.empty_poll_packets),
        (None, Some(bytes)) => (bytes, unit.keepalive_packets),
        (None, None) => return None,
    };
    Some(Idle {
        wire_bytes_per_hour: each(cost),
        packets_per_hour: packets.map(each),
        basis: Basis::Scaled,
        period_s,
        periods: unit.idle_counted,
        measured_s: unit.idle_watched_s,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_periods_are_watched() {
        let poll = |interval| Contender::from(Way::POLL).every(interval);
        let (second, keepalive) = (Duration::from_secs(1), Duration::from_secs(45));
        let turn = |contender: &Contender, length| {
            let turn = Turn::new(0, contender, keepalive, length)?;
            Some((turn.periods, turn.end))
        };
        assert_eq!(turn(&poll(second * 2), second * 5), Some((2, second * 4)));
        assert_eq!(turn(&poll(second * 5), second * 5), Some((1, second * 5)));
        assert_eq!(turn(&poll(second * 6), second * 5), None);
        let push = Contender::from(Way::TCP);
        assert_eq!(turn(&push, second * 44), None);
        assert_eq!(turn(&push, second * 100), Some((2, second * 90 + SLACK)));
        // A lease of datagrams is renewed more often than routers forget them.
        let datagrams = Contender::from(Way::Best(Transport::Udp));
        assert_eq!(turn(&datagrams, second * 31), Some((2, second * 30 + SLACK)));
    }

    #[test]
    fn what_was_counted_is_of_one_hour() {
        let contender = Contender::from(Way::POLL).every(Duration::from_secs(2));
        let length = Duration::from_secs(5);
        let turn = Turn::new(0, &contender, Duration::from_secs(45), length).unwrap();
        let mut traffic = Traffic::default();
        (traffic.wire.bytes_in, traffic.wire.packets_out) = (800, 6);
        let idle = turn.idle(traffic);
        assert!((idle.wire_bytes_per_hour - 720_000.0).abs() < 1e-6, "{idle:?}");
        assert_eq!((idle.packets_per_hour, idle.periods), (Some(5400.0), 2));
    }
}
