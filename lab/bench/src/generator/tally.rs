//! What receivers have counted: how many messages, whether each was the expected one and whole, and
//! how late it was.

use hdrhistogram::Histogram;

use crate::stamp::Stamp;

/// Latencies above this count as this: a minute, in nanoseconds.
const LATENCY_NS_MAX: u64 = 60_000_000_000;

/// What went wrong with messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// Numbers that were passed over.
    pub(crate) lost: u64,
    /// Numbers that came again, or after a later one.
    pub(crate) disordered: u64,
    /// Texts that are not as they were sent.
    pub(crate) damaged: u64,
    /// Connections that the server closed.
    pub(crate) closed: u64,
}

/// The sums over all receivers.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Messages that reached a receiver.
    pub(crate) deliveries: u64,
    /// Publishes and requests that were answered.
    pub(crate) acknowledged: u64,
    /// Subscriptions that stand.
    pub(crate) ready: u64,
    /// What went wrong.
    pub(crate) faults: Faults,
    /// What a server said when it refused.
    pub(crate) refusal: Option<String>,
    /// From planned to received, in nanoseconds.
    pub(crate) latency: Histogram<u64>,
    /// Messages planned before this moment are not in the latencies.
    pub(crate) latency_from_ns: u64,
    /// What is still on its way, where that decides when to publish.
    pub(crate) window: Option<Window>,
}

impl Tally {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        let latency = Histogram::new_with_max(LATENCY_NS_MAX, 3).unwrap_or_else(|_| unreachable!());
        Self {
            deliveries: 0,
            acknowledged: 0,
            ready: 0,
            faults: Faults::default(),
            refusal: None,
            latency,
            latency_from_ns: u64::MAX,
            window: None,
        }
    }

    /// A receiver that expected a number has got this message, at this time if that counts. Returns
    /// the number to expect next.
    #[inline]
    pub(crate) fn deliver(&mut self, stamp: Stamp, expected: u64, now_ns: Option<u64>) -> u64 {
        if stamp.number < expected {
            self.faults.disordered += 1;
            return expected;
        }
        self.faults.lost += stamp.number - expected;
        self.deliveries += 1;
        if stamp.planned_ns >= self.latency_from_ns
            && let Some(now_ns) = now_ns
        {
            self.latency.saturating_record(now_ns.saturating_sub(stamp.planned_ns));
        }
        if let Some(window) = &mut self.window {
            window.arrive(stamp.topic, stamp.number);
        }
        stamp.number + 1
    }
}

/// Which messages are on their way. One has arrived when all its subscribers have it.
#[derive(Debug)]
pub(crate) struct Window {
    subscribers: u32,
    /// A power of two, so that a message's place is a mask away.
    places: usize,
    /// How many have a message, by topic and by the low bits of its number.
    arrived: Box<[u32]>,
    /// Messages on their way, by publisher. A topic's publisher is its number modulo theirs.
    pub(crate) in_flight: Box<[u32]>,
}

impl Window {
    /// For so many publishers with so many messages each on their way.
    pub(crate) fn new(topics: usize, subscribers: u32, publishers: usize, in_flight: u32) -> Self {
        let places = (in_flight as usize).next_power_of_two();
        Self {
            subscribers,
            places,
            arrived: vec![0; topics * places].into(),
            in_flight: vec![0; publishers].into(),
        }
    }

    #[inline]
    fn arrive(&mut self, topic: usize, number: u64) {
        let place = topic * self.places + (number as usize & (self.places - 1));
        let Some(arrived) = self.arrived.get_mut(place) else { return };
        *arrived += 1;
        if *arrived == self.subscribers {
            *arrived = 0;
            self.end(topic, 1);
        }
    }

    /// Messages of a topic are on their way no longer.
    #[inline]
    fn end(&mut self, topic: usize, count: u32) {
        let publisher = topic % self.in_flight.len();
        self.in_flight[publisher] = self.in_flight[publisher].saturating_sub(count);
    }

    /// Publishes of a publisher were answered: without subscribers that is where they were going.
    pub(crate) fn acknowledge(&mut self, publisher: usize, count: u64) {
        if self.subscribers == 0 {
            self.end(publisher, count as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(number: u64) -> Stamp {
        Stamp { topic: 3, number, planned_ns: 100 }
    }

    #[test]
    fn what_is_missing_and_what_comes_again_is_counted() {
        let mut tally = Tally::new();
        assert_eq!(tally.deliver(stamp(0), 0, None), 1);
        assert_eq!(tally.deliver(stamp(4), 1, None), 5, "1, 2 and 3 are missing");
        assert_eq!(tally.deliver(stamp(2), 5, None), 5, "2 came late");
        assert_eq!(tally.deliveries, 2);
        assert_eq!(tally.faults, Faults { lost: 3, disordered: 1, ..Faults::default() });
    }

    #[test]
    fn a_message_is_on_its_way_until_the_last_subscriber_has_it() {
        let mut tally = Tally::new();
        tally.window = Some(Window::new(4, 2, 2, 3));
        let in_flight = |tally: &Tally| tally.window.as_ref().unwrap().in_flight.clone();
        tally.window.as_mut().unwrap().in_flight[1] = 2;
        tally.deliver(stamp(0), 0, None);
        tally.deliver(stamp(1), 1, None);
        assert_eq!(*in_flight(&tally), [0, 2]);
        tally.deliver(stamp(0), 0, None);
        assert_eq!(*in_flight(&tally), [0, 1]);
        tally.deliver(stamp(1), 1, None);
        assert_eq!(*in_flight(&tally), [0, 0]);
    }

    #[test]
    fn latency_is_counted_from_the_planned_time_of_messages_of_the_measured_time() {
        let mut tally = Tally::new();
        tally.deliver(stamp(0), 0, Some(5000));
        assert_eq!(tally.latency.len(), 0, "it was planned before");
        tally.latency_from_ns = 100;
        tally.deliver(stamp(1), 1, Some(5100));
        assert_eq!((tally.latency.len(), tally.latency.max() / 100), (1, 50));
    }
}
