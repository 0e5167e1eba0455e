//! Subscribers: those that come, those that stall, those that come back.

use std::net::SocketAddr;
use std::ops::Range;
use std::rc::Rc;

use super::dialect::{Dialect, State};
use super::{Connection, Generator};
use crate::failure::Result;
use crate::poller::Socket;

/// Connections opened before their subscriptions are waited for: what the shortest backlog holds.
const WAVE: usize = 100;
/// From where on a subscriber wants messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// From the next one on.
    Now,
    /// From the next one on; its place is remembered, so that it can come back.
    NowToComeBack,
    /// From the first one on.
    Beginning,
}

impl Generator {
    /// Opens a connection for each range of topics and waits until all subscriptions stand.
    pub(crate) fn subscribe(
        &mut self,
        address: SocketAddr,
        dialect: &Rc<dyn Dialect>,
        ranges: &[Range<usize>],
        from: From,
    ) -> Result<()> {
        for wave in ranges.chunks(WAVE) {
            let mut wanted = self.tally.ready;
            for topics in wave {
                let (expected, place) = match from {
                    From::Now => (self.published[topics.clone()].into(), Vec::new()),
                    From::NowToComeBack => (self.published[topics.clone()].into(), b"none".into()),
                    From::Beginning => (vec![0; topics.len()].into(), b"all".into()),
                };
                let mut state = State { topic: topics.start, place, ..State::default() };
                let mut words = Vec::new();
                wanted += u64::from(dialect.subscribe(topics.clone(), &mut state, &mut words));
                self.open(address, dialect, state, expected, &words)?;
            }
            self.run_until("subscriptions", |generator| generator.tally.ready >= wanted)?;
        }
        Ok(())
    }

    /// A receiver stops reading; its latencies count no longer.
    pub(crate) fn stall(&mut self, connection: usize) -> Result<()> {
        let Connection { socket, timed, .. } = &mut self.connections[connection];
        *timed = false;
        Ok(socket.set_reading(false, &self.poller, connection)?)
    }

    /// A receiver that stalled reads again.
    pub(crate) fn resume(&mut self, connection: usize) -> Result<()> {
        let socket = &mut self.connections[connection].socket;
        Ok(socket.set_reading(true, &self.poller, connection)?)
    }

    /// A receiver whose connection was closed comes back from where it was.
    pub(crate) fn come_back(&mut self, connection: usize, address: SocketAddr) -> Result<()> {
        let session = self.session()?;
        let Connection { socket, dialect, state, held, expected, .. } =
            &mut self.connections[connection];
        held.clear();
        state.opened = false;
        let mut words = Vec::new();
        let topics = state.topic..state.topic + expected.len();
        dialect.subscribe(topics, state, &mut words);
        *socket = Socket::connect(address, session, &self.poller, connection)?;
        Ok(socket.send(&words, &self.poller, connection)?)
    }
}
