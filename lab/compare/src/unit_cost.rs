//! What one of each costs: an empty poll, a pushed message, a keepalive, a connection, a subscriber
//! that waits. Measured before the race, so that theory has figures of this very server to start
//! from.
//!
//! Polls are made every 50 ms here, so that many fit into a second and a half; what one of them
//! costs does not depend on the interval. Long polls are held back, and leases of datagrams
//! renewed, for so long that an acknowledgement of the question goes by itself, as it does in half
//! a minute. Keepalives are counted on a second server that sends them every 200 ms.

use std::sync::Arc;
use std::time::{Duration, Instant};

use doorbell::laboratory::{HELD, Habits, RENEWED};
use doorbell::{
    Client, Draft, Filter, Receipt, Received, Server, Since, Subscribe, Subscription, Topic,
    Transport, Update,
};
use doorbell_instruments::{Failure, Traffic};
use doorbell_protocol::Family;
use futures_util::{StreamExt, stream};
use serde::Serialize;
use tokio::time::{sleep, timeout};

use crate::compressed::Compressed;
use crate::contender::{Contender, Places};
use crate::figure::{float, float_of, per};
use crate::idle_subscribers::{DEADLINE, IdleSubscribers, REST, fresh_topic};
use crate::memory::Memory;
use crate::schedule::text;
use crate::theory::{PollCost, PushCost};
use crate::way::Way;

/// From one poll to the next while it is measured.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How long a long poll is held back, and after how long a lease is renewed: twice the longest that
/// an acknowledgement waits for company.
const PERIOD: Duration = Duration::from_millis(400);
/// Keepalives of the second server.
pub(crate) const KEEPALIVE: Duration = Duration::from_millis(200);
/// How long is watched.
const WATCH: Duration = Duration::from_millis(1500);
/// Round trips that are watched for longer, so that what waits for an answer counts for little.
const ROUND_TRIPS: u32 = 4;
/// Messages that are pushed one by one, and their distance.
const MESSAGES: u32 = 30;
const MESSAGE_STEP: Duration = Duration::from_millis(45);
/// Messages that are published at once, so that one answer brings many.
const GATHERED: u32 = 40;
/// Times that a first event is waited for.
const FIRSTS: usize = 5;

/// What one of each costs for one way of receiving, in bytes on the wire both ways.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct UnitCost {
    pub(crate) via: Way,
    pub(crate) poll: Option<PollCost>,
    pub(crate) push: Option<PushCost>,
    pub(crate) keepalive_bytes: Option<f64>,
    pub(crate) keepalive_packets: Option<f64>,
    pub(crate) empty_poll_packets: Option<f64>,
    /// From an empty poll on a kept connection to its answer, on average.
    pub(crate) round_trip_us: Option<f64>,
    /// Empty polls or keepalives from which these are, and in how many seconds they came.
    pub(crate) idle_counted: u64,
    pub(crate) idle_watched_s: f64,
    /// Bytes and packets until the server has taken a subscription up.
    pub(crate) connect_bytes: u64,
    pub(crate) connect_packets: u64,
    /// From opening the socket to a message that the server holds; the median.
    pub(crate) first_event_us: u64,
    /// Of the server and of the kernel, for each subscriber that waits.
    #[serde(flatten)]
    pub(crate) memory: Memory,
}

/// The traffic of each way while messages came, and those that came one by one.
struct Pushed {
    one_by_one: Vec<Traffic>,
    at_once: Vec<Traffic>,
    messages: Vec<Received>,
}

/// Where and how it is measured.
pub(crate) struct Costing<'a> {
    /// Where messages are published.
    pub(crate) publish_at: &'a Server,
    /// Where the contenders connect to.
    pub(crate) places: &'a Places,
    /// A server that sends keepalives often.
    pub(crate) lively: Option<&'a Places>,
    /// From one keepalive to the next on the server that is compared.
    pub(crate) keepalive: Duration,
    pub(crate) payload: usize,
}

impl Costing<'_> {
    /// Measures these ways, and what compressing the same messages would save; memory is left
    /// out.
    pub(crate) async fn measure(
        &self,
        ways: &[Way],
    ) -> Result<(Vec<UnitCost>, Option<Compressed>), Failure> {
        let firsts = self.firsts(ways).await?;
        let lively = async {
            match self.lively {
                Some(places) => Self::quiet(ways, places).await.map(Some),
                None => Ok(None),
            }
        };
        let (idle, lively, pushed) =
            tokio::try_join!(Self::quiet(ways, self.places), lively, self.pushed(ways))?;
        let content = content(&pushed.messages);
        let mut units = Vec::new();
        for (index, way) in ways.iter().enumerate() {
            let (first, connect) = firsts[index];
            let mut unit = UnitCost {
                idle_watched_s: (WATCH + ROUND_TRIPS * self.places.round_trip).as_secs_f64(),
                connect_bytes: connect.bytes_on_wire(),
                connect_packets: connect.packets(),
                first_event_us: first,
                ..UnitCost::unmeasured(*way)
            };
            unit.set_keepalive(lively.as_ref().map(|lively| lively[index]));
            let sent = (pushed.one_by_one[index], pushed.at_once[index]);
            unit.set_costs(idle[index], sent, content, self.keepalive);
            units.push(unit);
        }
        Ok((units, Compressed::of(&pushed.messages)))
    }

    /// How long a message that is held takes from opening the socket, and the traffic until the
    /// subscription stands.
    async fn firsts(&self, ways: &[Way]) -> Result<Vec<(u64, Traffic)>, Failure> {
        let topic = fresh_topic()?;
        self.publish(&topic, 1, Duration::ZERO).await?;
        let mut firsts = Vec::new();
        for way in ways {
            // Nothing is held on this topic, so that nothing but the subscription crosses.
            let meter = self.places.meter();
            let subscribe = open(*way, self.places, &fresh_topic()?)?;
            let mut updates = subscribe.observed(Arc::clone(&meter) as _).stream();
            until(&mut updates, |update| matches!(update, Update::Connected)).await?;
            let connect = meter.read();
            let mut times = Vec::new();
            for _ in 0..FIRSTS {
                let subscribe = open(*way, self.places, &topic)?.since(Since::All);
                let mut updates = subscribe.stream();
                let began = Instant::now();
                until(&mut updates, |update| matches!(update, Update::Message(_))).await?;
                times.push(super::measure::micros(began.elapsed()));
            }
            times.sort_unstable();
            firsts.push((times[times.len() / 2], connect));
        }
        Ok(firsts)
    }

    /// The traffic of each way while nothing happens.
    async fn quiet(ways: &[Way], places: &Places) -> Result<Vec<Traffic>, Failure> {
        let topic = fresh_topic()?;
        let crowd = IdleSubscribers::connect(places, open_all(ways, places, &topic)?).await?;
        sleep(REST + places.round_trip).await;
        let before = crowd.traffic();
        sleep(WATCH + ROUND_TRIPS * places.round_trip).await;
        Ok(difference(&crowd.traffic(), &before))
    }

    /// The traffic of each way while messages come one by one, and while many come at once.
    async fn pushed(&self, ways: &[Way]) -> Result<Pushed, Failure> {
        let topic = fresh_topic()?;
        let crowd =
            IdleSubscribers::connect(self.places, open_all(ways, self.places, &topic)?).await?;
        sleep(REST + self.places.round_trip).await;
        let before = crowd.traffic();
        let messages = self.publish(&topic, MESSAGES, MESSAGE_STEP).await?;
        let rest = POLL_INTERVAL + REST + ROUND_TRIPS * self.places.round_trip;
        sleep(rest).await;
        let between = crowd.traffic();
        let client = Client::new(Server::Lines(self.publish_at.lines().await?, None));
        let drafts = (0..GATHERED)
            .map(|number| Draft::unchecked(topic.clone(), text(number as usize, self.payload)));
        let receipts: Vec<_> = client.publisher().publish_all(stream::iter(drafts)).collect().await;
        if receipts.iter().any(|receipt| !matches!(receipt, Ok(Receipt::Accepted(_)))) {
            return Err(Failure::Failed("the server did not take every message".to_owned()));
        }
        sleep(rest).await;
        Ok(Pushed {
            one_by_one: difference(&between, &before),
            at_once: difference(&crowd.traffic(), &between),
            messages,
        })
    }

    /// Publishes messages of the run's size, and says what came of them.
    async fn publish(
        &self,
        topic: &Topic,
        count: u32,
        step: Duration,
    ) -> Result<Vec<Received>, Failure> {
        let client = Client::new(Server::Lines(self.publish_at.lines().await?, None));
        let mut reader = client.subscribe(Filter::from(topic.clone())).stream();
        let mut messages = Vec::new();
        until(&mut reader, |update| matches!(update, Update::Connected)).await?;
        for number in 0..count {
            let text = text(number as usize, self.payload);
            client.publish(topic.clone(), text).send().await?;
            let update = until(&mut reader, |update| matches!(update, Update::Message(_))).await?;
            if let Update::Message(received) = update {
                messages.push(received);
            }
            sleep(step).await;
        }
        Ok(messages)
    }
}

/// Bytes that a message has as a line.
fn content(messages: &[Received]) -> f64 {
    let bytes: usize = messages.iter().map(|received| received.json.len() + 1).sum();
    float_of(bytes) / float_of(messages.len().max(1))
}

/// A subscription of a way; if it polls, at the interval of this measurement.
fn open(way: Way, places: &Places, topic: &Topic) -> Result<Subscribe, Failure> {
    let interval = (way.family() == Family::Poll).then_some(POLL_INTERVAL);
    let subscribe =
        Contender { interval, ..way.into() }.subscribe(places, Filter::from(topic.clone()))?;
    let habits = Habits { period: Some(PERIOD), heeds_server: false, ..way.habits(places.style) };
    Ok(subscribe.habits(habits))
}

/// One subscription of each way, from now on.
fn open_all(ways: &[Way], places: &Places, topic: &Topic) -> Result<Vec<Subscribe>, Failure> {
    ways.iter().map(|way| open(*way, places, topic)).collect()
}

impl UnitCost {
    /// Of a way of which nothing is known yet.
    pub(crate) fn unmeasured(via: Way) -> Self {
        Self {
            via,
            poll: None,
            push: None,
            keepalive_bytes: None,
            keepalive_packets: None,
            empty_poll_packets: None,
            round_trip_us: None,
            idle_counted: 0,
            idle_watched_s: 0.0,
            connect_bytes: 0,
            connect_packets: 0,
            first_event_us: 0,
            memory: Memory::default(),
        }
    }

    /// Takes down what a keepalive costs, from the traffic of the server that sends many.
    fn set_keepalive(&mut self, quiet: Option<Traffic>) {
        let Some(quiet) = quiet else {
            return;
        };
        let count = keepalives(self.via, quiet);
        self.keepalive_bytes = per(float(quiet.bytes_on_wire()), count);
        self.keepalive_packets = per(float(quiet.packets()), count).filter(|count| *count > 0.0);
        self.idle_counted = count;
    }

    fn set_costs(
        &mut self,
        idle: Traffic,
        (pushed, gathered): (Traffic, Traffic),
        content: f64,
        keepalive: Duration,
    ) {
        let is_datagrams = self.via.transport() == Transport::Udp;
        match self.via.family() {
            Family::Poll | Family::Longpoll => {
                let polls =
                    if self.via.family() == Family::Poll { idle.requests } else { idle.empty };
                let empty = per(float(idle.bytes_on_wire()), polls).unwrap_or_default();
                self.poll = Some(poll_cost(empty, pushed, gathered, content));
                self.empty_poll_packets = per(float(idle.packets()), polls);
                self.idle_counted = polls;
                let is_quick = self.via.family() == Family::Poll && !self.via.connects_anew();
                self.round_trip_us =
                    per(idle.answers.as_secs_f64() * 1e6, polls).filter(|_| is_quick);
            }
            Family::Push => {
                if is_datagrams {
                    let renewals = idle.wire.packets_out;
                    self.keepalive_bytes = per(float(idle.bytes_on_wire()), renewals);
                    self.keepalive_packets = per(float(idle.packets()), renewals);
                    self.idle_counted = renewals;
                }
                let period = if is_datagrams { RENEWED.min(keepalive) } else { keepalive };
                let idle = self.keepalive_bytes.unwrap_or_default() / period.as_secs_f64();
                self.push = Some(push_cost(pushed, gathered, content, idle));
            }
        }
    }

    /// Bytes an hour while nothing happens: what one poll or one keepalive costs, as often as they
    /// come.
    pub(crate) fn idle_bytes_per_hour(&self, interval: Option<Duration>) -> Option<f64> {
        match (self.poll, self.push) {
            (Some(poll), _) => Some(poll.empty * 3600.0 / interval.unwrap_or(HELD).as_secs_f64()),
            (None, Some(push)) => self.keepalive_bytes.map(|_| push.idle * 3600.0),
            (None, None) => None,
        }
    }
}

/// What a poll costs, from answers with one message and answers with many. A message among many
/// takes less than one alone if answers are compressed, and more if it fills packets. Where no
/// answer brought many, as of long polls, it is taken to have the bytes of its line.
fn poll_cost(empty: f64, single: Traffic, gathered: Traffic, content: f64) -> PollCost {
    // Bytes beyond empty polls, answers with messages, and messages.
    let parts = |traffic: Traffic, messages: u32| {
        let answers = float(traffic.requests.saturating_sub(traffic.empty));
        let bytes = float(traffic.bytes_on_wire()) - empty * float(traffic.requests);
        (bytes, answers, f64::from(messages))
    };
    let (bytes, answers, messages) = parts(single, MESSAGES);
    let (more_bytes, few_answers, many) = parts(gathered, GATHERED);
    let is_gathered = few_answers > 0.0 && few_answers < many / 4.0;
    let message = if is_gathered {
        let apart = answers * more_bytes - few_answers * bytes;
        // Compressed, one message more takes so little that chance may make it less than nothing.
        (apart / (answers * many - few_answers * messages)).max(0.0)
    } else {
        content
    };
    let full = if answers > 0.0 { (bytes - message * messages) / answers } else { 0.0 };
    PollCost { empty, full, message }
}

/// What a pushed message costs, from those that came one by one and those that came together. Where
/// they did not, one more in a write is taken to have the bytes of its line.
fn push_cost(single: Traffic, gathered: Traffic, content: f64, idle: f64) -> PushCost {
    let (bytes, many) = (|traffic: Traffic| float(traffic.bytes_on_wire()), f64::from(GATHERED));
    let message = bytes(single) / f64::from(MESSAGES);
    let writes = float(written(gathered));
    let is_gathered = writes > 0.0 && writes <= many / 2.0;
    let one_more =
        if is_gathered { (bytes(gathered) - writes * message) / (many - writes) } else { content };
    PushCost { message, content: one_more.clamp(0.0, message), idle }
}

/// Packets with data from the server.
fn written(traffic: Traffic) -> u64 {
    traffic.wire.packets_in.saturating_sub(traffic.wire.acks_in)
}

/// How many keepalives came: each is a packet with data from the server, if packets there are.
fn keepalives(way: Way, quiet: Traffic) -> u64 {
    let expected = WATCH.as_millis() / KEEPALIVE.as_millis();
    match way.family() {
        Family::Push if way.transport() == Transport::Unix => u64::try_from(expected).unwrap_or(0),
        // What keeps it is its client's to send, and is counted on the server that is compared.
        Family::Push if way.transport() == Transport::Udp => 0,
        Family::Push => written(quiet),
        _ => 0,
    }
}

fn difference(after: &[Traffic], before: &[Traffic]) -> Vec<Traffic> {
    after.iter().zip(before).map(|(after, before)| after.since(*before)).collect()
}

/// The first update of a kind.
async fn until(
    updates: &mut Subscription,
    wanted: impl Fn(&Update) -> bool,
) -> Result<Update, Failure> {
    let wait = async {
        while let Some(update) = updates.next().await {
            let update = update?;
            if wanted(&update) {
                return Ok(update);
            }
        }
        Err(Failure::Failed("a subscription ended by itself".to_owned()))
    };
    let late = || Err(Failure::Failed(format!("nothing came within {} s", DEADLINE.as_secs())));
    timeout(DEADLINE, wait).await.unwrap_or_else(|_| late())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_and_a_message_in_it_are_told_apart() {
        // A poll costs 400, an answer 50 more, a message 60 in it.
        let traffic = |requests: u64, empty: u64, messages: u64| {
            let mut traffic = Traffic { requests, empty, ..Traffic::default() };
            traffic.wire.bytes_in = 400 * requests + 50 * (requests - empty) + 60 * messages;
            traffic
        };
        let cost = poll_cost(400.0, traffic(35, 5, 30), traffic(4, 2, 40), 177.0);
        assert!((cost.full - 50.0).abs() < 1e-9 && (cost.message - 60.0).abs() < 1e-9, "{cost:?}");
        // Nothing was gathered: what is not the message's line is the answer's.
        let held = poll_cost(400.0, traffic(30, 0, 30), traffic(40, 0, 40), 100.0);
        assert!((held.message - 100.0).abs() < 1e-9 && (held.full - 10.0).abs() < 1e-9, "{held:?}");
        // Pushed alone 281, and 180 in a write with others.
        let pushed = |messages: u64, writes: u64| {
            let mut traffic = Traffic::default();
            traffic.wire.bytes_in = 101 * writes + 180 * messages;
            (traffic.wire.packets_in, traffic.wire.acks_in) = (writes + 3, 3);
            traffic
        };
        for (writes, one_more) in [(4, 180.0), (20, 180.0), (40, 177.0)] {
            let cost = push_cost(pushed(30, 30), pushed(40, writes), 177.0, 1.0);
            assert!((cost.message - 281.0).abs() < 1e-9, "{cost:?}");
            assert!((cost.content - one_more).abs() < 1e-9, "{cost:?}");
        }
        // No message costs less than nothing.
        let cheap = poll_cost(400.0, traffic(30, 0, 90), traffic(4, 2, 0), 177.0);
        assert!(cheap.message.abs() < 1e-9 && cheap.full > 0.0, "{cheap:?}");
    }
}
