//! A subscription: messages as they come, over as many connections as it takes.
//!
//! Resuming, repeats and gaps are dealt with here and nowhere else, whatever the way of receiving.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use doorbell_protocol::event::Gap;
use doorbell_protocol::{Id, Since};
use futures_core::Stream;
use futures_util::stream;
use tokio::time::{Instant, sleep_until};

use crate::backoff::Backoff;
use crate::error::Error;
use crate::options::Options;
use crate::received::Received;
use crate::source::{Arrival, Source};

/// What a [`Subscription`] has to tell.
#[derive(Debug)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "nearly always the large one, and moved once")]
pub enum Update {
    /// The server has taken the subscription up, for the first time or again: what is published
    /// from now on will arrive.
    Connected,
    /// A message.
    Message(Received),
    /// Messages that this subscription should have received and the server no longer holds.
    Gap(Gap),
    /// A message that was delivered before came again and was dropped. A doorbell server does not
    /// do this; it is told so that it can be counted.
    Repeated(Id),
    /// The connection could not be had or broke. The next attempt resumes from the last place.
    Disconnected {
        /// What went wrong.
        error: Error,
        /// When the next attempt follows.
        retry_in: Duration,
    },
}

/// A stream of the messages of a filter.
///
/// It connects when it is first polled. When a connection fails it says so, waits a little (full
/// jitter, 100 ms doubling to 10 s) and resumes where it was: no message comes twice, none is left
/// out, and what the server no longer holds is told as a [`Update::Gap`]. An `Err` is final and the
/// last item; it is one that trying again would not change, such as a refused filter. Once there
/// was a connection, an answer that is not the server's own is none: it is a proxy's, which may
/// know better in a moment.
///
/// Everything happens while it is polled: dropped, it leaves no connection and no task behind, and
/// not polled, it lets the server wait.
///
pub struct Subscription {
    updates: Pin<Box<dyn Stream<Item = Result<Update, Error>> + Send>>,
}

impl Subscription {
    pub(crate) fn new(options: Options) -> Self {
        let state = State {
            options,
            source: None,
            established: false,
            was_established: false,
            delivered: None,
            updates: VecDeque::new(),
            backoff: Backoff::default(),
            retry: Duration::ZERO,
            attempt_at: Instant::now(),
        };
        let updates = stream::unfold(Some(state), async |state| {
            let mut state = state?;
            let update = state.update().await?;
            let state = update.is_ok().then_some(state);
            Some((update, state))
        });
        Self { updates: Box::pin(updates) }
    }
}

impl Stream for Subscription {
    type Item = Result<Update, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.updates.as_mut().poll_next(context)
    }
}

struct State {
    /// What was asked for; its place is the one reached.
    options: Options,
    /// The last message that was delivered.
    delivered: Option<Id>,
    source: Option<Source>,
    /// Whether the source has yielded anything.
    established: bool,
    /// Whether any source has.
    was_established: bool,
    /// What was received and not yet told.
    updates: VecDeque<Update>,
    backoff: Backoff,
    /// How long the server wants to be left alone once a connection is lost.
    retry: Duration,
    /// When the next connection may be tried.
    attempt_at: Instant,
}

impl State {
    /// The next update; `None` after the last.
    async fn update(&mut self) -> Option<Result<Update, Error>> {
        loop {
            if let Some(update) = self.updates.pop_front() {
                return Some(Ok(update));
            }
            if self.options.ends && self.source.as_ref().is_some_and(Source::is_through) {
                return None;
            }
            match self.arrival().await {
                Ok(arrival) => self.take(arrival),
                Err(error) if self.may_pass(&error) => return Some(Ok(self.disconnected(error))),
                Err(error) => return Some(Err(error)),
            }
        }
    }

    fn may_pass(&self, error: &Error) -> bool {
        let passes = error.is_transient() || self.was_established && error.may_be_of_a_proxy();
        passes && !self.options.ends
    }

    async fn arrival(&mut self) -> Result<Arrival, Error> {
        if let Some(source) = &mut self.source {
            return source.next().await;
        }
        sleep_until(self.attempt_at).await;
        self.established = false;
        let source = Source::open(&self.options).await?;
        self.source.insert(source).next().await
    }

    fn take(&mut self, arrival: Arrival) {
        if self.established {
            // A server that takes a connection up and drops it at once is still failing.
            self.backoff.reset();
        } else {
            self.established = true;
            self.was_established = true;
            self.updates.push_back(Update::Connected);
        }
        if let Some(retry) = arrival.retry {
            self.retry = retry;
        }
        if let Some(gap) = arrival.gap {
            // What follows may be of another log, whose ids say nothing about what was delivered.
            self.delivered = None;
            self.updates.push_back(Update::Gap(gap));
        }
        if let Some(message) = arrival.message {
            // What has no place comes as it comes: that was asked for.
            if let Some(id) = arrival.place {
                if self.delivered.is_some_and(|delivered| id <= delivered) {
                    self.updates.push_back(Update::Repeated(id));
                    return;
                }
                self.delivered = Some(id);
            }
            if self.options.conditions.met_by(&message.event) {
                self.updates.push_back(Update::Message(message));
            }
        }
        if let Some(place) = arrival.place {
            self.options.since = Since::Id(place);
        }
    }

    fn disconnected(&mut self, error: Error) -> Update {
        self.source = None;
        let retry_in = self.backoff.next_delay().max(error.retry_after()).max(self.retry);
        self.attempt_at = Instant::now() + retry_in;
        Update::Disconnected { error, retry_in }
    }
}

#[cfg(test)]
mod tests {
    use doorbell_protocol::event::{Event, GapReason, Kind};
    use doorbell_protocol::id::Epoch;
    use doorbell_protocol::{Conditions, Transport};

    use super::*;
    use crate::address::Server;

    fn state() -> State {
        State {
            options: Options::new(Server::local(Transport::Tcp), "t".parse().unwrap()),
            source: None,
            established: true,
            was_established: true,
            delivered: None,
            updates: VecDeque::new(),
            backoff: Backoff::default(),
            retry: Duration::ZERO,
            attempt_at: Instant::now(),
        }
    }

    fn message(id: Id) -> Arrival {
        let event = Event::new(Kind::Message, 0).at(id);
        Arrival {
            place: Some(id),
            message: Some(Received { json: event.to_json().into(), event }),
            ..Arrival::default()
        }
    }

    fn kinds(state: &mut State) -> String {
        let kind = |update| match update {
            Update::Connected => 'c',
            Update::Message(_) => 'm',
            Update::Gap(_) => 'g',
            Update::Repeated(_) => 'r',
            Update::Disconnected { .. } => 'd',
        };
        state.updates.drain(..).map(kind).collect()
    }

    #[tokio::test]
    async fn a_message_that_comes_again_is_dropped_and_told() {
        let mut state = state();
        let epoch = Epoch::from_bits(7);
        for seq in [1, 3, 3, 2, 4] {
            state.take(message(epoch.id(seq)));
        }
        assert_eq!(kinds(&mut state), "mmrrm");
        assert_eq!(state.options.since, Since::Id(epoch.id(4)));
    }

    #[tokio::test]
    async fn what_does_not_meet_the_conditions_is_passed_over() {
        let mut state = state();
        let urgent = Conditions::new(None, None, None, Some("max"), None).unwrap();
        state.options.conditions = urgent;
        let id = Epoch::from_bits(7).id(5);
        state.take(message(id));
        assert_eq!(kinds(&mut state), "");
        assert_eq!(state.options.since, Since::Id(id));
    }

    #[tokio::test]
    async fn after_a_gap_the_ids_of_another_log_are_taken() {
        let mut state = state();
        state.take(message(Epoch::from_bits(7).id(5)));
        let id = Epoch::from_bits(3).id(1);
        state.take(Arrival {
            gap: Some(Gap { after: "x".into(), before: id, reason: GapReason::Foreign }),
            ..message(id)
        });
        assert_eq!(kinds(&mut state), "mgm");
        assert_eq!(state.options.since, Since::Id(id));
    }

    #[tokio::test]
    async fn a_place_without_a_message_is_resumed_from() {
        let mut state = state();
        let id = Epoch::from_bits(7).id(9);
        state.take(Arrival { place: Some(id), ..Arrival::default() });
        assert_eq!(kinds(&mut state), "");
        assert_eq!(state.options.since, Since::Id(id));
    }

    #[tokio::test]
    async fn failures_back_off_until_a_connection_says_more_than_its_first_word() {
        let mut state = state();
        let id = Epoch::from_bits(7).id(1);
        for _ in 0..8 {
            state.disconnected(Error::Closed);
            state.established = false;
            state.take(message(id));
        }
        assert!((0..50).any(|_| {
            let Update::Disconnected { retry_in, .. } = state.disconnected(Error::Closed) else {
                panic!()
            };
            retry_in > Duration::from_secs(2)
        }));
        state.established = true;
        state.take(message(id));
        let Update::Disconnected { retry_in, .. } = state.disconnected(Error::Closed) else {
            panic!()
        };
        assert!(retry_in <= Duration::from_millis(100));
    }
}
