//! What a subscription is asked for, before it begins.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use doorbell_protocol::{CoalesceWindow, Conditions, Filter, Since, Transport};

use crate::address::Server;
use crate::laboratory::{Habits, Observed, Observer};
use crate::options::Options;
use crate::subscription::Subscription;

/// A subscription that is about to begin: made by [`Client::subscribe`](crate::Client::subscribe),
/// begun by [`stream`](Self::stream).
#[derive(Debug, Clone)]
#[must_use = "nothing is received before `stream` is read"]
pub struct Subscribe(Options);

impl Subscribe {
    pub(crate) fn new(server: Server, filter: Filter) -> Self {
        Self(Options::new(server, filter))
    }

    /// Where in the log to begin. Without it, with what is published from now on.
    pub fn since(mut self, since: Since) -> Self {
        self.0.since = since;
        self
    }

    /// What a message must meet to be told. Over HTTP the server is asked for no others; lines and
    /// datagrams cannot say it, so there the others are passed over here.
    pub fn meeting(mut self, conditions: Conditions) -> Self {
        self.0.conditions = conditions;
        self
    }

    /// How the messages come. Without it, as lines over TCP, or over the Unix socket that the
    /// address names. [`Transport::Raw`] brings texts without places, so it is refused.
    pub fn via(mut self, via: Transport) -> Self {
        self.0.via = via;
        self
    }

    /// How long the first message that waits at the server may wait for others, so that they come
    /// together, in fewer packets. Without it each is sent at once. Polls at an interval and
    /// datagrams know nothing of it.
    pub fn coalesce(mut self, window: CoalesceWindow) -> Self {
        self.0.coalesce = window;
        self
    }

    /// The time from one poll to the next, if it polls: at least a millisecond. Without it, 5 s. A
    /// server may ask for more, and gets it.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.0.interval = interval;
        self
    }

    /// The messages that the server holds when it is asked, and no later ones: by polls, one after
    /// the other until there is no more. Whatever goes wrong ends it.
    pub fn once(mut self) -> Self {
        self.0.via = Transport::Poll;
        self.0.ends = true;
        self
    }

    /// Where datagrams go instead of to the server itself, such as to a relay before it. What they
    /// lose is fetched from the server all the same.
    pub fn through(mut self, relay: SocketAddr) -> Self {
        self.0.relay = Some(relay);
        self
    }

    /// For [measurement](crate::laboratory): hears of all that goes over the connections.
    pub fn observed(mut self, observer: Arc<dyn Observer>) -> Self {
        self.0.observed = Observed(Some(observer));
        self
    }

    /// For [measurement](crate::laboratory): what polls at an interval do beyond asking.
    pub fn habits(mut self, habits: Habits) -> Self {
        self.0.habits = habits;
        self
    }

    /// The messages, and what happens to the connections on which they come.
    pub fn stream(self) -> Subscription {
        Subscription::new(self.0)
    }
}
