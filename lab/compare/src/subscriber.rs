//! One subscriber in a race: receives, takes the times down, and says when it is complete.

use std::sync::Arc;
use std::time::Instant;

use doorbell::{Subscription, Update};
use futures_util::StreamExt;
use tokio::sync::{mpsc, watch};

use crate::measure::{Dot, Measure, Shared, micros};
use crate::schedule::Schedule;

/// What all subscribers are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Receive.
    Running,
    /// Receive nothing, and let it wait.
    Stalled,
    /// Receive, and say when this many messages are there.
    Draining(usize),
    /// End.
    Done,
}

/// What a subscriber says.
pub(crate) enum Signal {
    Connected,
    Complete,
}

/// One subscriber of one contender.
pub(super) struct Subscriber {
    pub(super) team: usize,
    pub(super) updates: Subscription,
    pub(super) schedule: Arc<Schedule>,
    pub(super) shared: Arc<Shared>,
    /// Whether its deliveries are kept for the picture.
    pub(super) draws: bool,
    pub(super) measure: Measure,
}

impl Subscriber {
    /// Receives until it is told to end.
    pub(super) async fn receive(
        mut self,
        mut phase: watch::Receiver<Phase>,
        signals: mpsc::Sender<Signal>,
    ) -> (usize, Measure) {
        let mut complete = false;
        let mut connected = false;
        loop {
            let is_stalled = *phase.borrow() == Phase::Stalled;
            tokio::select! {
                update = self.updates.next(), if !is_stalled => match update {
                    Some(Ok(Update::Connected)) => {
                        if !std::mem::replace(&mut connected, true) {
                            let _ = signals.send(Signal::Connected).await;
                        }
                    }
                    Some(Ok(update)) => self.take(update),
                    Some(Err(error)) => {
                        self.measure.trouble = Some(error.to_string());
                        break;
                    }
                    None => break,
                },
                changed = phase.changed() => {
                    if changed.is_err() {
                        break;
                    }
                }
            }
            match *phase.borrow() {
                Phase::Running | Phase::Stalled => {}
                Phase::Draining(messages) => {
                    if self.measure.delivered >= messages && !complete {
                        complete = signals.try_send(Signal::Complete).is_ok();
                    }
                }
                Phase::Done => break,
            }
        }
        (self.team, self.measure)
    }

    fn take(&mut self, update: Update) {
        match update {
            Update::Message(received) => {
                let now = Instant::now();
                self.deliver(received.event.message.as_deref().unwrap_or_default(), now);
            }
            Update::Gap(_) => self.measure.gaps += 1,
            Update::Repeated(_) => self.measure.repeated += 1,
            Update::Disconnected { error, .. } => {
                self.measure.disconnects += 1;
                self.measure.trouble = Some(error.to_string());
            }
            _ => {}
        }
    }

    fn deliver(&mut self, text: &str, now: Instant) {
        let Some(sequence) = self.schedule.sequence(text) else {
            return;
        };
        let Some(age) = self.schedule.age(sequence, now) else {
            return;
        };
        if !self.measure.deliver(sequence) {
            return;
        }
        let delivered_us = micros(now.saturating_duration_since(self.schedule.start()));
        let planned_us = delivered_us.saturating_sub(micros(age));
        let dot = Dot { sequence, planned_us, delivered_us };
        if let Some(again) = self.schedule.heard_again(now)
            && self.measure.heard_again.is_none()
        {
            self.measure.heard_again = Some(again);
            self.shared.heard_again();
        }
        let accepted = self.schedule.age_accepted(sequence, now);
        self.shared.record(age, accepted, self.draws.then_some(dot));
    }
}
