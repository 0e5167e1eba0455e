//! When to publish, for how long, and what is measured meanwhile.

use std::time::{Duration, Instant};

use clap::ValueEnum;
use hdrhistogram::Histogram;

use super::tally::{Faults, Window};
use super::{Generator, PATIENCE};
use crate::batches::Batches;
use crate::failure::{Failure, Result};
use crate::usage::Cpu;

/// When the next message is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pace {
    /// When fewer than so many of a publisher's messages are on their way. One has arrived when all
    /// its subscribers have it, or, without subscribers, when it is acknowledged.
    InFlight { most: u32, refill: Refill },
    /// So many a second by the clock, whatever happens; latency counts from the planned moment.
    Rate(f64),
}

impl Pace {
    /// When the one before has arrived.
    pub(crate) const ONE_BY_ONE: Self = Self::InFlight { most: 1, refill: Refill::Any };
}

/// How much of a window must be free before it is filled again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Refill {
    /// A quarter, so that messages go together as they would from a busy publisher.
    Quarter,
    /// Any place: what the server takes apart stays apart.
    Any,
}

impl Refill {
    /// The free places of a window of so many that are worth filling.
    fn places(self, most: u32) -> u32 {
        match self {
            Self::Quarter => most.div_ceil(4),
            Self::Any => 1,
        }
    }
}

/// How one run goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) pace: Pace,
    /// Subscribers of each topic.
    pub(crate) subscribers: u32,
    /// Not measured.
    pub(crate) warm_up: Duration,
    pub(crate) duration: Duration,
}

/// What one run measured.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) seconds: f64,
    pub(crate) published: u64,
    pub(crate) deliveries: u64,
    /// Which share of what was due by the clock had not arrived at the end of the measured time.
    pub(crate) behind: Option<f64>,
    pub(crate) acknowledged: u64,
    /// Of the server.
    pub(crate) server: Cpu,
    /// Of this process.
    pub(crate) generator: Cpu,
    pub(crate) latency: Histogram<u64>,
    pub(crate) faults: Faults,
    /// What went together, if the server tells.
    pub(crate) batches: Option<Batches>,
}

/// Counts at one moment.
struct Mark {
    at: Instant,
    published: u64,
    deliveries: u64,
    acknowledged: u64,
    server: Cpu,
    generator: Cpu,
}

impl Mark {
    fn of(generator: &Generator, server: u32) -> Result<Self> {
        Ok(Self {
            at: Instant::now(),
            published: generator.sent,
            deliveries: generator.tally.deliveries,
            acknowledged: generator.tally.acknowledged,
            server: Cpu::of(server)?,
            generator: Cpu::own()?,
        })
    }
}

/// Messages published together where speed is all that matters.
const BURST: u64 = 1000;
/// A window in which nothing arrives for this long has lost a message.
const STALLED_AFTER: Duration = Duration::from_secs(10);

impl Generator {
    /// Publishes as told and measures; then waits until everything has arrived. `server` is the
    /// process whose time is taken.
    pub(crate) fn run(&mut self, load: &Load, server: u32) -> Result<Outcome> {
        let mut outcome = self.measure(load, server)?;
        self.settle(load)?;
        outcome.latency = self.tally.latency.clone();
        outcome.faults = self.tally.faults;
        Ok(outcome)
    }

    /// The same without the wait: latencies of what is still on its way are not in it.
    pub(crate) fn measure(&mut self, load: &Load, server: u32) -> Result<Outcome> {
        let mut pacer = self.pacer(load);
        self.publish_for(&mut pacer, load.warm_up)?;
        let begin = Mark::of(self, server)?;
        self.tally.latency_from_ns = self.now_ns();
        self.publish_for(&mut pacer, load.duration)?;
        let end = Mark::of(self, server)?;
        let wanted = (end.published * u64::from(load.subscribers)) as f64;
        let missing = wanted - end.deliveries as f64;
        let due = wanted - (begin.published * u64::from(load.subscribers)) as f64;
        let by_the_clock = matches!(load.pace, Pace::Rate(_)) && due > 0.0;
        Ok(Outcome {
            behind: by_the_clock.then(|| missing / due),
            seconds: (end.at - begin.at).as_secs_f64(),
            published: end.published - begin.published,
            deliveries: end.deliveries - begin.deliveries,
            acknowledged: end.acknowledged - begin.acknowledged,
            server: end.server - begin.server,
            generator: end.generator - begin.generator,
            latency: self.tally.latency.clone(),
            faults: self.tally.faults,
            batches: None,
        })
    }

    fn pacer(&mut self, load: &Load) -> Pacer {
        match load.pace {
            Pace::InFlight { most, refill } => {
                let (topics, publishers) = (self.topics(), self.publishers.len());
                let window = Window::new(topics, load.subscribers, publishers, most);
                self.tally.window = Some(window);
                Pacer::InFlight { most, refill }
            }
            Pace::Rate(rate) => {
                Pacer::Rate { next_ns: self.now_ns() as f64, every_ns: 1e9 / rate, publisher: 0 }
            }
        }
    }

    fn publish_for(&mut self, pacer: &mut Pacer, duration: Duration) -> Result<()> {
        let end = Instant::now() + duration;
        let mut progress = (Instant::now(), self.tally.deliveries + self.tally.acknowledged);
        loop {
            let until_next = match pacer {
                Pacer::InFlight { most, refill } => self.fill_windows(*most, *refill)?,
                Pacer::Rate { .. } => self.publish_due(pacer)?,
            };
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.turn(Some(until_next.map_or(left, |next| left.min(next))))?;
            let arrived = self.tally.deliveries + self.tally.acknowledged;
            if arrived > progress.1 {
                progress = (Instant::now(), arrived);
            } else if progress.0.elapsed() > STALLED_AFTER {
                return Err(Failure(format!(
                    "nothing arrived for {STALLED_AFTER:?}; {:?}",
                    self.tally.faults
                )));
            }
        }
    }

    /// Publishes as long as windows have room. Returns no time: what arrives makes room.
    fn fill_windows(&mut self, most: u32, refill: Refill) -> Result<Option<Duration>> {
        for publisher in 0..self.publishers.len() {
            let in_flight = self.tally.window.as_ref().map_or(0, |w| w.in_flight[publisher]);
            if in_flight > most - refill.places(most) || self.is_held_up(publisher) {
                continue;
            }
            let now = self.now_ns();
            (in_flight..most).for_each(|_| self.publish(publisher, now));
            if let Some(window) = &mut self.tally.window {
                window.in_flight[publisher] = most;
            }
            self.send_scratch(publisher)?;
        }
        Ok(None)
    }

    /// Publishes what is due by the clock; returns the time until the next is.
    fn publish_due(&mut self, pacer: &mut Pacer) -> Result<Option<Duration>> {
        let Pacer::Rate { next_ns, every_ns, publisher } = pacer else { return Ok(None) };
        loop {
            let now = self.now_ns() as f64;
            if *next_ns > now {
                return Ok(Some(Duration::from_nanos((*next_ns - now) as u64)));
            }
            self.publish(*publisher, *next_ns as u64);
            self.send_scratch(*publisher)?;
            *publisher = (*publisher + 1) % self.publishers.len();
            *next_ns += *every_ns;
        }
    }

    /// Waits until all that was published has arrived; what has not by then is lost.
    pub(crate) fn settle(&mut self, load: &Load) -> Result<()> {
        let wanted = self.sent * u64::from(load.subscribers);
        let mut progress = (Instant::now(), self.tally.deliveries);
        loop {
            let arrived = self.tally.deliveries + self.tally.faults.lost;
            let answered = !self.publisher_acknowledges() || self.tally.acknowledged >= self.sent;
            if arrived >= wanted && answered {
                return Ok(());
            }
            self.turn(Some(Duration::from_millis(100)))?;
            if self.tally.deliveries > progress.1 {
                progress = (Instant::now(), self.tally.deliveries);
            } else if progress.0.elapsed() > PATIENCE.min(STALLED_AFTER) {
                self.tally.faults.lost += wanted.saturating_sub(arrived);
                return Ok(());
            }
        }
    }

    /// Publishes so many messages, as fast as they are taken, and waits until they are answered,
    /// where they are.
    pub(crate) fn publish_all(&mut self, count: u64) -> Result<()> {
        let before = self.tally.acknowledged;
        let answered = |generator: &Self| {
            if generator.publisher_acknowledges() {
                generator.tally.acknowledged - before
            } else {
                u64::MAX
            }
        };
        for sent in 0..count {
            let now = self.now_ns();
            self.publish(0, now);
            if (sent + 1) % BURST == 0 || sent + 1 == count {
                self.send_scratch(0)?;
                self.run_until("publishes to be taken", |generator| {
                    !generator.is_held_up(0)
                        && answered(generator) >= (sent + 1).saturating_sub(BURST)
                })?;
            }
        }
        self.run_until("publishes to be answered", |generator| answered(generator) >= count)
    }

    fn publisher_acknowledges(&self) -> bool {
        let first = self.publishers.first();
        first.is_some_and(|first| self.connections[first.connection].dialect.acknowledges())
    }
}

/// Where a pace stands.
enum Pacer {
    InFlight { most: u32, refill: Refill },
    Rate { next_ns: f64, every_ns: f64, publisher: usize },
}
