//! The one wait: what a reader of any transport waits for, and what comes first.
//!
//! A session, a group, a long poll and a subscription by datagrams all wait here: for the order to
//! stop, for their peer, for news, and for a moment. It knows no transport and sends nothing.

use std::task::{Context, Poll, ready};

use doorbell_protocol::Error;
use tokio::time::Instant;

use crate::alarm::Alarm;
use crate::cursor::{Batch, Cursor, PageLimit};
use crate::stop::{Stop, StopSignal};

/// What ended a wait.
#[derive(Debug)]
pub(crate) enum Wakeup {
    /// The server is stopping.
    Stop,
    /// The peer has something to be dealt with.
    Heard,
    /// The cursor has something, or could not be read.
    News(Result<Batch, Error>),
    /// The moment has come.
    Due,
}

/// What is listened to beside the cursor. The task is woken when there is something, and what was
/// heard stays with the listener until it is dealt with.
pub(crate) trait Hear {
    /// Ready when there is something that goes before news, such as an answer that is owed.
    fn poll_urgent(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    /// Ready when the peer has said something, or has gone.
    fn poll_heard(&mut self, context: &mut Context<'_>) -> Poll<()>;
}

/// Nobody is listened to.
pub(crate) struct Nobody;

impl Hear for Nobody {
    fn poll_heard(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

/// What the waits of one reader keep from one to the next.
#[derive(Debug)]
pub(crate) struct Wait {
    stopped: StopSignal,
    /// Made by the first wait for a moment. The next moment is hardly ever before it.
    alarm: Option<Alarm>,
    /// Whether the peer has its turn before the cursor: a peer that talks without a pause still
    /// hears, and one that hears without a pause may talk.
    hears_first: bool,
}

impl Wait {
    /// There was none yet.
    pub(crate) fn new(stop: &Stop) -> Self {
        Self { stopped: stop.signal(), alarm: None, hears_first: true }
    }

    /// Whether the order to stop was given.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.is_stopped()
    }

    /// Ready when the order to stop was given.
    pub(crate) fn poll_stopped(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.stopped.poll_stopped(context)
    }

    /// What comes first. Nothing of it is lost if it is not waited for.
    ///
    /// `due` says until when there is to be waited; it is asked only if there is nothing else. What
    /// has come to a cursor that gathers is news at the end of its window.
    /// Whatever ends the wait, the cursor is told that nobody waits for its news any more.
    pub(crate) fn poll<H: Hear>(
        &mut self,
        cursor: &mut Cursor,
        limit: PageLimit,
        hear: &mut H,
        due: impl Fn(&H, &Cursor) -> Instant,
        context: &mut Context<'_>,
    ) -> Poll<Wakeup> {
        let wakeup = loop {
            if let Poll::Ready(wakeup) = self.poll_events(cursor, limit, hear, context) {
                break wakeup;
            }
            let due = due(hear, cursor);
            match cursor.gathers_until().filter(|until| *until < due) {
                // Then there is something to read.
                Some(until) => ready!(self.poll_due(until, context)),
                None => break ready!(self.poll_due(due, context)),
            };
        };
        cursor.stop_waiting();
        Poll::Ready(wakeup)
    }

    /// The same for a reader for whom nothing is read until its peer says something.
    pub(crate) fn poll_heard(
        &mut self,
        hear: &mut impl Hear,
        due: Instant,
        context: &mut Context<'_>,
    ) -> Poll<Wakeup> {
        if self.stopped.poll_stopped(context).is_ready() {
            return Poll::Ready(Wakeup::Stop);
        }
        if hear.poll_urgent(context).is_ready() || hear.poll_heard(context).is_ready() {
            return Poll::Ready(Wakeup::Heard);
        }
        self.poll_due(due, context)
    }

    fn poll_due(&mut self, due: Instant, context: &mut Context<'_>) -> Poll<Wakeup> {
        let alarm = self.alarm.get_or_insert_with(|| Alarm::new(due));
        alarm.poll_until(due, context).map(|()| Wakeup::Due)
    }

    fn poll_events(
        &mut self,
        cursor: &mut Cursor,
        limit: PageLimit,
        hear: &mut impl Hear,
        context: &mut Context<'_>,
    ) -> Poll<Wakeup> {
        if self.stopped.poll_stopped(context).is_ready() {
            return Poll::Ready(Wakeup::Stop);
        }
        if hear.poll_urgent(context).is_ready() {
            return Poll::Ready(Wakeup::Heard);
        }
        for hears in [self.hears_first, !self.hears_first] {
            if hears {
                if hear.poll_heard(context).is_ready() {
                    self.hears_first = false;
                    return Poll::Ready(Wakeup::Heard);
                }
            } else if let Poll::Ready(batch) = cursor.poll_next(limit, context) {
                self.hears_first = true;
                return Poll::Ready(Wakeup::News(batch));
            }
        }
        Poll::Pending
    }
}

/// Waits with a cursor for so long.
#[cfg(test)]
pub(crate) async fn wait_for(
    cursor: &mut Cursor,
    duration: std::time::Duration,
    limit: PageLimit,
) -> Result<Batch, Error> {
    let mut wait = Wait::new(&Stop::default());
    let until = Instant::now() + duration;
    let wakeup = std::future::poll_fn(|context| {
        wait.poll(cursor, limit, &mut Nobody, |_, _| until, context)
    });
    match wakeup.await {
        Wakeup::News(batch) => batch,
        Wakeup::Stop | Wakeup::Heard | Wakeup::Due => Ok(Batch::default()),
    }
}
