//! Sessions without sockets: as many in one process as its memory holds, over streams in memory.
//!
//! - `by`: what may be measured; `stream`: such a stream
//! - `crowd`: the clients' ends: they subscribe, get a message each, and check it
//! - `served`: what is at the other ends: doorbell's sessions, or a floor
//!
//! This is a process of its own, so that its memory is that of the sessions and of the streams
//! alone.

mod by;
mod crowd;
mod served;
mod stream;

use std::process::Command;
use std::time::Instant;

pub(crate) use self::by::By;
use self::crowd::Crowd;
use self::served::{Round, Served};
use crate::failure::{During, Failure, Result};
use crate::peer::Named;
use crate::report::Measured;
use crate::report::figure::Figure;
use crate::stamp::Payload;
use crate::usage::{Memory, other_threads_seconds};

/// Sessions that are opened before the next are: what they are told meanwhile takes no more memory.
const OPENED_TOGETHER: usize = 1000;
/// Below so many topics the publishes of one round are too few for a figure.
const TOPICS_FOR_A_FIGURE: usize = 100;
/// Topics to which messages are published that nobody hears.
const UNHEARD_MAX: usize = 100_000;

/// One run.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Job {
    /// What serves them
    #[arg(value_parser = By::named)]
    pub(crate) by: By,
    /// How many there are
    pub(crate) sessions: usize,
    /// Topics that they share evenly
    pub(crate) topics: usize,
    /// Messages to each of them that are measured, after one that is not
    pub(crate) messages: u64,
    /// Bytes of a message's text
    pub(crate) payload: usize,
    /// For the texts of messages
    pub(crate) seed: u64,
}

impl Job {
    /// Runs it in a process of its own.
    pub(crate) fn measure(&self) -> Result<Measured> {
        let Self { by, sessions, topics, messages, payload, seed } = self;
        let words = format!("{} {sessions} {topics} {messages} {payload} {seed}", by.name());
        let output = Command::new(std::env::current_exe()?)
            .arg("memory")
            .args(words.split(' '))
            .output()
            .during(|| "there is no process for the sessions".into())?;
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            return Err(Failure(format!("{}: {}", output.status, errors.trim())));
        }
        let strange = |error| Failure(format!("their figures are not understood: {error}"));
        serde_json::from_slice(&output.stdout).map_err(strange)
    }

    /// Runs it here, and prints its figures.
    pub(crate) fn run(&self) -> Result<()> {
        let figures = self.figures()?;
        let figures =
            serde_json::to_string(&figures).map_err(|error| Failure(error.to_string()))?;
        println!("{figures}");
        Ok(())
    }

    fn figures(&self) -> Result<Measured> {
        let payload = Payload::new(self.payload, self.seed)?;
        let mut served = Served::start(self.by)?;
        let resident = || Memory::of(std::process::id()).map(|memory| memory.resident);
        let (sessions, million) = (self.sessions as f64, self.sessions as f64 / 1e6);

        let before = resident()?;
        let (mut crowd, others) = Crowd::new(self.sessions, self.topics, payload.clone());
        let mut others = others.into_iter();
        let streams = resident()?;
        let spent = other_threads_seconds();
        for first in (0..self.sessions).step_by(OPENED_TOGETHER) {
            let next = first..(first + OPENED_TOGETHER).min(self.sessions);
            served.open(others.by_ref().take(next.len()), next, &mut crowd)?;
        }
        let spent = other_threads_seconds() - spent;
        let opened = resident()?;
        let mut figures = Measured::from([
            (Figure::StreamBytesEach, (streams - before) / sessions),
            (Figure::BytesEach, (opened - streams) / sessions),
            (Figure::CpuPerMillionOpened, spent / million),
        ]);

        let (mut spent, mut seconds) = (0.0, 0.0);
        for number in 0..=self.messages {
            let round = Round::new(&payload, 0..self.topics, number)?;
            crowd.wait()?;
            let (spent_before, began) = (other_threads_seconds(), Instant::now());
            served.publish(&round)?;
            crowd.hear()?;
            if number > 0 {
                seconds += began.elapsed().as_secs_f64();
                spent += other_threads_seconds() - spent_before;
            }
            crowd.check(number)?;
        }
        let deliveries = sessions * self.messages as f64;
        figures.extend([
            (Figure::DeliveriesPerSecond, deliveries / seconds),
            (Figure::CpuPerMillion, spent * 1e6 / deliveries),
            (Figure::GrowthBytes, resident()? - opened),
        ]);
        if self.by == By::Sessions && self.topics >= TOPICS_FOR_A_FIGURE {
            figures.insert(Figure::CpuPerMillionAnswers, self.unheard(&payload, &mut served)?);
        }
        Ok(figures)
    }

    /// Seconds of processor time for a million publishes that nobody hears: what a message costs
    /// before it is delivered.
    fn unheard(&self, payload: &Payload, served: &mut Served) -> Result<f64> {
        let others = self.topics..self.topics + self.topics.min(UNHEARD_MAX);
        let count = others.len() as f64;
        let mut spent = 0.0;
        for number in 0..2 {
            let round = Round::new(payload, others.clone(), number)?;
            let before = other_threads_seconds();
            served.publish(&round)?;
            spent = other_threads_seconds() - before;
        }
        Ok(spent * 1e6 / count)
    }
}
