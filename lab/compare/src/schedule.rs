//! What is sent and when: drawn before the run, so that nothing in the run can change it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use doorbell::{Draft, Filter, Topic};
use doorbell_instruments::Failure;
use futures_core::Stream;
use futures_util::stream;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::mpsc;

use crate::flags::Process;

/// The first word of a message of a run; its sequence number is the second.
const WORD: &str = "ring";
/// Due messages that wait for the publisher to take them.
const DUE_MAX: usize = 1024;
/// Messages of one burst.
pub(crate) const BURST: u32 = 10;
/// From one message of a burst to the next.
const BURST_STEP: Duration = Duration::from_millis(1);

/// One message of a plan.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Planned {
    /// When it is due, counted from the start.
    pub(crate) at: Duration,
    /// Which of the run's topics it goes to.
    pub(crate) topic: u32,
    /// Bytes of its text.
    pub(crate) bytes: u32,
}

/// Draws the times of a process within a duration.
pub(crate) fn draw(process: Process, rate: f64, duration: Duration, seed: u64) -> Vec<Duration> {
    let mut random = StdRng::seed_from_u64(seed);
    match process {
        Process::Steady => steady(rate, duration, random.random()),
        Process::Burst => {
            let first = poisson(rate / f64::from(BURST), duration, &mut random);
            let members =
                first.into_iter().flat_map(|at| (0..BURST).map(move |n| at + BURST_STEP * n));
            let mut times: Vec<Duration> = members.filter(|at| *at < duration).collect();
            times.sort_unstable();
            times
        }
        Process::Poisson | Process::Replay => poisson(rate, duration, &mut random),
    }
}

fn poisson(rate: f64, duration: Duration, random: &mut StdRng) -> Vec<Duration> {
    let mut planned = Vec::new();
    let mut at = 0.0;
    loop {
        // From (0, 1], so that the logarithm is finite.
        let uniform = 1.0 - random.random::<f64>();
        at -= uniform.ln() / rate;
        if at >= duration.as_secs_f64() {
            return planned;
        }
        planned.push(Duration::from_secs_f64(at));
    }
}

/// At equal distances, the first after a random part of one.
fn steady(rate: f64, duration: Duration, phase: f64) -> Vec<Duration> {
    let mut planned = Vec::new();
    let mut at = phase / rate;
    while at < duration.as_secs_f64() {
        planned.push(Duration::from_secs_f64(at));
        at += 1.0 / rate;
    }
    planned
}

/// A plan under way: its clock, and what became of each message.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// What all topics of this run begin with.
    stem: String,
    topics: Vec<Topic>,
    planned: Arc<[Planned]>,
    duration: Duration,
    start: OnceLock<Instant>,
    /// When an outage was over.
    outage_end: OnceLock<Instant>,
    /// The most by which a message was handed over late, in microseconds.
    latest: AtomicU64,
    /// When each message's acknowledgement was heard, in microseconds after the start and one
    /// more; 0 until then.
    accepted: Vec<AtomicU64>,
}

impl Schedule {
    /// A plan with topics of its own.
    pub(crate) fn new(planned: Arc<[Planned]>, duration: Duration) -> Result<Self, Failure> {
        let stem = format!("compare-{:016x}", rand::random::<u64>());
        let topics = planned.iter().map(|message| message.topic).max().unwrap_or(0) + 1;
        let topics = (0..topics).map(|number| format!("{stem}.{number}").parse());
        let topics = topics.collect::<Result<_, _>>();
        Ok(Self {
            topics: topics.map_err(|error| Failure::Failed(format!("{error}")))?,
            stem,
            accepted: planned.iter().map(|_| AtomicU64::new(0)).collect(),
            planned,
            duration,
            start: OnceLock::new(),
            outage_end: OnceLock::new(),
            latest: AtomicU64::new(0),
        })
    }

    /// All topics of this run: the topic itself if it is the only one, or a pattern.
    pub(crate) fn filter(&self) -> Result<Filter, Failure> {
        match self.topics.as_slice() {
            [topic] => Ok(topic.clone().into()),
            _ => format!("{}.>", self.stem)
                .parse()
                .map_err(|error| Failure::Failed(format!("{error}"))),
        }
    }

    /// How many messages are planned.
    pub(crate) fn len(&self) -> usize {
        self.planned.len()
    }

    /// Starts the clock, once.
    pub(crate) fn start(&self) -> Instant {
        *self.start.get_or_init(Instant::now)
    }

    /// Notes that an outage is over.
    pub(crate) fn end_outage(&self, at: Instant) {
        self.outage_end.get_or_init(|| at);
    }

    /// How long after an outage `now` is; `None` if there was none so far.
    pub(crate) fn heard_again(&self, now: Instant) -> Option<Duration> {
        now.checked_duration_since(*self.outage_end.get()?)
    }

    /// The middle of the plan, where an outage begins: so that it is over by its end, and most of
    /// what follows is after it.
    pub(crate) fn middle(&self) -> Instant {
        self.start() + self.duration / 4
    }

    /// When the last message may be published.
    pub(crate) fn end(&self) -> Instant {
        self.start() + self.duration
    }

    /// When a message is due.
    fn due(&self, sequence: usize) -> Option<Instant> {
        Some(*self.start.get()? + self.planned.get(sequence)?.at)
    }

    /// The sequence number in a message of this run.
    pub(crate) fn sequence(&self, message: &str) -> Option<usize> {
        let digits = message.strip_prefix(WORD)?.trim_start().split(' ').next()?;
        digits.parse().ok().filter(|sequence| *sequence < self.planned.len())
    }

    /// How long after its planned time `now` is.
    pub(crate) fn age(&self, sequence: usize, now: Instant) -> Option<Duration> {
        Some(now.saturating_duration_since(self.due(sequence)?))
    }

    /// How long after the publisher heard the acknowledgement `now` is; `None` if it has not.
    pub(crate) fn age_accepted(&self, sequence: usize, now: Instant) -> Option<Duration> {
        let accepted = self.accepted.get(sequence)?.load(Ordering::Relaxed).checked_sub(1)?;
        let at = *self.start.get()? + Duration::from_micros(accepted);
        Some(now.saturating_duration_since(at))
    }

    /// Notes that the acknowledgement of a message is there.
    pub(crate) fn accept(&self, sequence: usize) {
        if let (Some(start), Some(accepted)) = (self.start.get(), self.accepted.get(sequence)) {
            let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX - 1);
            accepted.store(micros + 1, Ordering::Relaxed);
        }
    }

    /// The most by which a message was handed to the publisher late.
    pub(crate) fn latest(&self) -> Duration {
        Duration::from_micros(self.latest.load(Ordering::Relaxed))
    }

    fn draft(&self, sequence: usize) -> Draft {
        if let Some(late) = self.age(sequence, Instant::now()) {
            let late = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
            self.latest.fetch_max(late, Ordering::Relaxed);
        }
        let planned = self.planned[sequence];
        let topic = self.topics[planned.topic as usize].clone();
        Draft::unchecked(topic, text(sequence, planned.bytes as usize))
    }

    /// The messages, each when it is due. A thread keeps the time, as the runtime's timers have
    /// steps of a millisecond; it ends with the plan or when nobody listens.
    pub(crate) fn drafts(self: &Arc<Self>) -> Pin<Box<dyn Stream<Item = Draft> + Send>> {
        let (sender, receiver) = mpsc::channel(DUE_MAX);
        let schedule = Arc::clone(self);
        thread::spawn(move || {
            for sequence in 0..schedule.len() {
                let Some(due) = schedule.due(sequence) else {
                    return;
                };
                thread::sleep(due.saturating_duration_since(Instant::now()));
                if sender.blocking_send(sequence).is_err() {
                    return;
                }
            }
        });
        let source = (Arc::clone(self), receiver);
        Box::pin(stream::unfold(source, async |(schedule, mut receiver)| {
            let sequence = receiver.recv().await?;
            Some((schedule.draft(sequence), (schedule, receiver)))
        }))
    }
}

/// The text of a message: its number, filled up to so many bytes.
pub(crate) fn text(sequence: usize, bytes: usize) -> String {
    let number = format!("{WORD} {sequence:07}");
    let fill = bytes.saturating_sub(number.len() + 1);
    if fill == 0 { number } else { format!("{number} {}", "x".repeat(fill)) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// A plan of messages to one topic at these times.
    pub(crate) fn plan(times: &[Duration]) -> Arc<[Planned]> {
        times.iter().map(|at| Planned { at: *at, topic: 0, bytes: 12 }).collect()
    }

    #[test]
    fn one_seed_gives_one_plan_with_the_rate_asked_for() {
        for process in [Process::Poisson, Process::Steady, Process::Burst] {
            let planned = draw(process, 100.0, MINUTE, 7);
            assert_eq!(planned, draw(process, 100.0, MINUTE, 7));
            assert_ne!(planned, draw(process, 100.0, MINUTE, 8));
            assert!(planned.is_sorted());
            assert!(planned.iter().all(|at| *at < MINUTE));
            // Four standard deviations of a Poisson count of 600 bursts of ten.
            assert!(planned.len().abs_diff(6000) < 980, "{process:?} {}", planned.len());
        }
    }

    #[test]
    fn a_message_carries_its_number_and_is_aged_from_its_plan() {
        let schedule = Schedule::new(plan(&[MINUTE; 4]), MINUTE).unwrap();
        let message = schedule.draft(3).message;
        assert_eq!(schedule.sequence(&message), Some(3));
        assert_eq!(schedule.age(3, Instant::now()), None);
        let now = schedule.start() + MINUTE + Duration::from_millis(5);
        assert_eq!(schedule.age(3, now), Some(Duration::from_millis(5)));
        assert_eq!(schedule.age_accepted(3, now), None);
        schedule.accept(3);
        assert!(schedule.age_accepted(3, now).unwrap() > Duration::from_secs(59));
        for other in ["hello 3", "ring 9999999", "ring"] {
            assert_eq!(schedule.sequence(other), None);
        }
    }

    #[test]
    fn a_text_has_the_bytes_asked_for_and_keeps_its_number() {
        let schedule = Schedule::new(plan(&[MINUTE; 40]), MINUTE).unwrap();
        for bytes in [12, 14, 100] {
            assert_eq!(text(31, bytes).len(), bytes);
            assert_eq!(schedule.sequence(&text(31, bytes)), Some(31));
        }
        assert_eq!(text(31, 13).len(), 12);
    }

    #[test]
    fn several_topics_are_read_by_one_pattern() {
        let planned: Vec<Planned> =
            (0..3).map(|topic| Planned { at: MINUTE, topic, bytes: 12 }).collect();
        let schedule = Schedule::new(planned.into(), MINUTE).unwrap();
        let filter = schedule.filter().unwrap().to_string();
        assert!(filter.ends_with(".>"), "{filter}");
        assert!(schedule.draft(2).topic.as_str().ends_with(".2"));
    }
}
