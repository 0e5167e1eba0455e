//! What one of each costs: an empty poll, a pushed message, a keepalive, a connection, a subscriber
//! that waits. Measured before the race, so that theory has figures of this very server to start
//! from.
//!
//! Polls are made every 50 ms here, so that many fit into a second and a half; what one of them
//! costs does not depend on the interval. Keepalives are counted on a second server that sends them
//! every 200 ms.

use std::sync::Arc;
use std::time::{Duration, Instant};

use doorbell::{Filter, Meter, Publisher, Server, Since, Subscription, Topic, Traffic, Update};
use futures_util::StreamExt;
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::contender::{Contender, Family, Places};
use super::figure::{float, per};
use super::flags::Way;
use super::schedule::text;
use super::theory::{PollCost, PushCost};
use super::usage::Usage;
use crate::cli::Failure;

/// From one poll to the next while it is measured.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Keepalives of the second server.
pub(crate) const KEEPALIVE: Duration = Duration::from_millis(200);
/// How long is watched.
const WATCH: Duration = Duration::from_millis(1500);
/// Messages that are pushed one by one, and their distance.
const MESSAGES: u32 = 30;
const MESSAGE_STEP: Duration = Duration::from_millis(45);
/// How long traffic may take to come to rest.
const REST: Duration = Duration::from_millis(100);
/// Times that a first event is waited for.
const FIRSTS: usize = 5;
/// Nothing here takes longer.
const DEADLINE: Duration = Duration::from_secs(20);
/// Subscribers whose memory is measured, of each way.
const IDLE_SUBSCRIBERS: usize = 100;
/// The longest that the server holds a long poll's answer back for this client.
pub(crate) const HELD: Duration = Duration::from_secs(30);

/// What one of each costs for one way of receiving, in bytes on the wire both ways.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Unit {
    #[serde(serialize_with = "by_name")]
    pub(crate) via: Way,
    pub(crate) poll: Option<PollCost>,
    pub(crate) push: Option<PushCost>,
    pub(crate) keepalive_bytes: Option<f64>,
    /// Bytes and packets until the server has taken a subscription up.
    pub(crate) connect_bytes: u64,
    pub(crate) connect_packets: u64,
    /// From opening the socket to a message that the server holds; the median.
    pub(crate) first_event_us: u64,
    /// Resident memory of the server for each subscriber that waits; kernel memory is not in it.
    pub(crate) resident_bytes_per_subscriber: Option<f64>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde wants")]
fn by_name<S: serde::Serializer>(way: &Way, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&way.name())
}

/// Where and how it is measured.
pub(crate) struct Bench<'a> {
    /// Where messages are published.
    pub(crate) server: &'a Server,
    /// Where the contenders connect to.
    pub(crate) places: &'a Places,
    /// A server that sends keepalives often.
    pub(crate) lively: Option<&'a Places>,
    /// From one keepalive to the next on the server that is compared.
    pub(crate) keepalive: Duration,
    pub(crate) payload: usize,
    /// Whether as many subscribers may be connected as their memory's measurement takes.
    pub(crate) crowds: bool,
}

impl Bench<'_> {
    /// Measures these ways.
    pub(crate) async fn measure(&self, ways: &[Way]) -> Result<Vec<Unit>, Failure> {
        let firsts = self.firsts(ways).await?;
        let (idle, lively, pushed) = tokio::join!(
            Self::quiet(ways, self.places),
            async {
                match self.lively {
                    Some(places) => Self::quiet(ways, places).await.map(Some),
                    None => Ok(None),
                }
            },
            self.pushed(ways),
        );
        let (idle, lively, (pushed, content)) = (idle?, lively?, pushed?);
        let memory = if self.crowds { self.crowd(ways).await? } else { vec![None; ways.len()] };
        let mut units = Vec::new();
        for (index, way) in ways.iter().enumerate() {
            let keepalive = lively.as_ref().and_then(|lively| keepalive_bytes(*way, lively[index]));
            let (first, connect) = firsts[index];
            let mut unit = Unit {
                via: *way,
                poll: None,
                push: None,
                keepalive_bytes: keepalive,
                connect_bytes: on_wire(connect),
                connect_packets: connect.wire.packets_in + connect.wire.packets_out,
                first_event_us: first,
                resident_bytes_per_subscriber: memory[index],
            };
            unit.set_costs(idle[index], pushed[index], content, self.keepalive);
            units.push(unit);
        }
        Ok(units)
    }

    /// How long a message that is held takes from opening the socket, and the traffic until the
    /// subscription stands.
    async fn firsts(&self, ways: &[Way]) -> Result<Vec<(u64, Traffic)>, Failure> {
        let topic = fresh_topic()?;
        self.publish(&topic, 1, Duration::ZERO).await?;
        let mut firsts = Vec::new();
        for way in ways {
            let mut times = Vec::new();
            let mut connect = Traffic::default();
            for _ in 0..FIRSTS {
                let mut updates = open(*way, self.places, &topic, Since::All)?;
                let meter = updates.meter();
                let began = Instant::now();
                until(&mut updates, |update| matches!(update, Update::Connected)).await?;
                connect = meter.read();
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
        let crowd = Crowd::connect(open_all(ways, places, &topic)?).await?;
        sleep(REST).await;
        let before = crowd.traffic();
        sleep(WATCH).await;
        Ok(difference(&crowd.traffic(), &before))
    }

    /// The traffic of each way while messages come one by one, and the bytes of one message.
    async fn pushed(&self, ways: &[Way]) -> Result<(Vec<Traffic>, f64), Failure> {
        let topic = fresh_topic()?;
        let crowd = Crowd::connect(open_all(ways, self.places, &topic)?).await?;
        sleep(REST).await;
        let before = crowd.traffic();
        let content = self.publish(&topic, MESSAGES, MESSAGE_STEP).await?;
        sleep(POLL_INTERVAL + REST).await;
        Ok((difference(&crowd.traffic(), &before), content))
    }

    /// Publishes messages of the run's size, and says how many bytes one has as a line.
    async fn publish(&self, topic: &Topic, count: u32, step: Duration) -> Result<f64, Failure> {
        let mut publisher = Publisher::new(Server::Lines(self.server.lines().await?));
        let (mut bytes, limit) = (0, doorbell_protocol::limits::MESSAGE_BYTES_MAX);
        let filter = Filter::from(topic.clone());
        let lines = Server::Lines(self.server.lines().await?);
        let mut reader = Subscription::new(lines, filter, Since::None, doorbell::Via::Tcp)?;
        until(&mut reader, |update| matches!(update, Update::Connected)).await?;
        for number in 0..count {
            let text = text(number as usize, self.payload);
            let draft = doorbell::Draft::text(topic.clone(), &text, limit);
            let draft = draft.map_err(|error| Failure::Usage(error.to_string()))?;
            if let doorbell::Receipt::Refused(refusal) = publisher.publish(draft).await? {
                return Err(Failure::Failed(format!("the server refused a message: {refusal}")));
            }
            let update = until(&mut reader, |update| matches!(update, Update::Message(_))).await?;
            if let Update::Message(received) = update {
                bytes += received.json.len() as u64 + 1;
            }
            sleep(step).await;
        }
        Ok(float(bytes) / f64::from(count))
    }

    /// The server's memory for each of many subscribers that wait. They all stay until the last is
    /// measured, so that none takes the room that another has left.
    async fn crowd(&self, ways: &[Way]) -> Result<Vec<Option<f64>>, Failure> {
        let topic = fresh_topic()?;
        let mut crowds = Vec::new();
        let mut memory = Vec::new();
        for way in ways {
            let before = Usage::of(self.server).await.and_then(|usage| usage.resident_bytes);
            let interval = (way.family() == Family::Poll).then_some(Duration::from_secs(3600));
            let contender = Contender { way: *way, interval };
            let filter = Filter::from(topic.clone());
            let open = |_| contender.subscription(self.places, filter.clone(), Since::None);
            let updates = (0..IDLE_SUBSCRIBERS).map(open).collect::<Result<_, _>>()?;
            crowds.push(Crowd::connect(updates).await?);
            let after = Usage::of(self.server).await.and_then(|usage| usage.resident_bytes);
            let grown = before.zip(after).map(|(before, after)| after.saturating_sub(before));
            // A poll on a new connection leaves nothing behind.
            let kept = *way != Way::PollNew;
            memory.push(
                grown.filter(|_| kept).map(|grown| float(grown) / float(IDLE_SUBSCRIBERS as u64)),
            );
        }
        Ok(memory)
    }
}

/// A subscription of a way; if it polls, at the interval of this bench.
fn open(way: Way, places: &Places, topic: &Topic, since: Since) -> Result<Subscription, Failure> {
    let interval = (way.family() == Family::Poll).then_some(POLL_INTERVAL);
    Contender { way, interval }.subscription(places, Filter::from(topic.clone()), since)
}

/// One subscription of each way, from now on.
fn open_all(ways: &[Way], places: &Places, topic: &Topic) -> Result<Vec<Subscription>, Failure> {
    ways.iter().map(|way| open(*way, places, topic, Since::None)).collect()
}

impl Unit {
    fn set_costs(&mut self, idle: Traffic, pushed: Traffic, content: f64, keepalive: Duration) {
        let count = u64::from(MESSAGES);
        let all = float(on_wire(pushed));
        match self.via.family() {
            Family::Poll => {
                let empty = per(float(on_wire(idle)), idle.requests).unwrap_or_default();
                let answers = pushed.requests.saturating_sub(pushed.empty);
                let rest = all - empty * float(pushed.requests) - content * float(count);
                let full = per(rest, answers).unwrap_or_default();
                self.poll = Some(PollCost { empty, full, message: content });
            }
            Family::Held => {
                // An empty answer comes after half a minute at the earliest: it is taken to cost
                // what one with a message does, less the message.
                let empty = all / float(count) - content;
                self.poll = Some(PollCost { empty, full: 0.0, message: content });
            }
            Family::Push => {
                let idle = self.keepalive_bytes.unwrap_or_default() / keepalive.as_secs_f64();
                self.push = Some(PushCost { message: all / float(count), content, idle });
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

/// Bytes both ways, with the headers of TCP and IP; a Unix socket has none.
pub(crate) fn on_wire(traffic: Traffic) -> u64 {
    match traffic.wire.bytes_in + traffic.wire.bytes_out {
        0 => traffic.bytes_in + traffic.bytes_out,
        bytes => bytes,
    }
}

/// Each keepalive is a packet with data from the server, if packets there are.
fn keepalive_bytes(way: Way, quiet: Traffic) -> Option<f64> {
    let expected = WATCH.as_millis() / KEEPALIVE.as_millis();
    let count = match way.family() {
        Family::Push if way == Way::Unix => u64::try_from(expected).unwrap_or(0),
        // Its pings are seldom, too seldom to be seen here.
        Family::Push if way == Way::Udp => 0,
        Family::Push => quiet.wire.packets_in.saturating_sub(quiet.wire.acks_in),
        _ => 0,
    };
    per(float(on_wire(quiet)), count)
}

fn difference(after: &[Traffic], before: &[Traffic]) -> Vec<Traffic> {
    after.iter().zip(before).map(|(after, before)| after.since(*before)).collect()
}

fn fresh_topic() -> Result<Topic, Failure> {
    let topic = format!("compare-unit-{:016x}", rand::random::<u64>());
    topic.parse().map_err(|error| Failure::Failed(format!("{error}")))
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

/// Subscriptions that are read for as long as it is there.
struct Crowd {
    meters: Vec<Arc<Meter>>,
    _readers: JoinSet<()>,
}

impl Crowd {
    /// Waits until the server has taken all of them up.
    async fn connect(subscriptions: Vec<Subscription>) -> Result<Self, Failure> {
        let (sender, mut connected) = watch::channel(0_usize);
        let sender = Arc::new(sender);
        let count = subscriptions.len();
        let mut readers = JoinSet::new();
        let mut meters = Vec::new();
        for mut updates in subscriptions {
            meters.push(updates.meter());
            let sender = Arc::clone(&sender);
            readers.spawn(async move {
                while let Some(Ok(update)) = updates.next().await {
                    if matches!(update, Update::Connected) {
                        sender.send_modify(|connected| *connected += 1);
                    }
                }
            });
        }
        let all = connected.wait_for(|connected| *connected >= count);
        match timeout(DEADLINE, all).await {
            Ok(Ok(_)) => Ok(Self { meters, _readers: readers }),
            _ => Err(Failure::Failed(format!(
                "{count} subscribers are not connected after {} s",
                DEADLINE.as_secs()
            ))),
        }
    }

    fn traffic(&self) -> Vec<Traffic> {
        self.meters.iter().map(|meter| meter.read()).collect()
    }
}
