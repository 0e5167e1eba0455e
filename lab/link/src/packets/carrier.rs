//! The thread that carries packets from one end of a link to the other, each when it is due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::PipeReader;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use doorbell_wire::{Device, ETHERNET_MTU};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::flow::Flows;
use super::packet::{From, Packet};
use super::{Passing, Switch};
use crate::line::Fate;

/// Packets under way; what comes then is lost.
const UNDER_WAY_MAX: usize = 65_536;
/// Packets that are taken from one end before it is looked at what is due.
const TAKEN_AT_ONCE: usize = 64;

/// A packet on its way, ordered by when it arrives and then by when it was sent.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct OnItsWay {
    at: Instant,
    number: u64,
    to_server: bool,
    bytes: Vec<u8>,
}

pub(super) struct Carrier {
    client: Device,
    server: Device,
    flows: Flows,
    switch: Arc<Switch>,
    /// Hangs up when it is time to end.
    stopped: PipeReader,
    under_way: BinaryHeap<Reverse<OnItsWay>>,
    number: u64,
}

impl Carrier {
    pub(super) fn new(
        client: Device,
        server: Device,
        flows: Flows,
        switch: Arc<Switch>,
        stopped: PipeReader,
    ) -> Self {
        let under_way = BinaryHeap::new();
        Self { client, server, flows, switch, stopped, under_way, number: 0 }
    }

    /// Carries until it is stopped.
    pub(super) fn run(mut self) {
        while !self.wait() {
            self.take(From::Client);
            self.take(From::Server);
            self.deliver();
        }
    }

    /// Waits until something is sent or due; says whether it is time to end.
    fn wait(&self) -> bool {
        let due = self.under_way.peek().map(|Reverse(next)| {
            let left = next.at.saturating_duration_since(Instant::now());
            Timespec { tv_sec: seconds(left), tv_nsec: left.subsec_nanos().into() }
        });
        let mut ends = [
            PollFd::from_borrowed_fd(self.client.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.server.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.stopped.as_fd(), PollFlags::IN),
        ];
        // An interrupted wait is one that is over.
        let _ = poll(&mut ends, due.as_ref());
        !ends[2].revents().is_empty()
    }

    /// Takes what one end has sent.
    fn take(&mut self, from: From) {
        let mut buffer = [0; ETHERNET_MTU as usize];
        for _ in 0..TAKEN_AT_ONCE {
            let device = match from {
                From::Client => &self.client,
                From::Server => &self.server,
            };
            let Ok(length) = device.take(&mut buffer) else {
                return;
            };
            self.send(&buffer[..length], from);
        }
    }

    fn send(&mut self, bytes: &[u8], from: From) {
        let Some(packet) = Packet::parse(bytes, from) else {
            return;
        };
        // Without room for it, it is lost as in the dark.
        let has_room = self.under_way.len() < UNDER_WAY_MAX;
        let passing = if has_room { self.switch.get() } else { Passing::Nothing };
        let length = bytes.len() as u64;
        let fate = self.flows.send(&packet, from, length, Instant::now(), passing);
        let Fate::Arrives { at, is_double, .. } = fate else {
            return;
        };
        for _ in 0..=usize::from(is_double) {
            self.number += 1;
            self.under_way.push(Reverse(OnItsWay {
                at,
                number: self.number,
                to_server: from == From::Client,
                bytes: bytes.to_owned(),
            }));
        }
    }

    /// Lets arrive what is due.
    fn deliver(&mut self) {
        let now = Instant::now();
        while let Some(Reverse(next)) = self.under_way.peek()
            && next.at <= now
            && let Some(Reverse(due)) = self.under_way.pop()
        {
            let device = if due.to_server { &self.server } else { &self.client };
            // A packet that a kernel does not take is lost.
            let _ = device.give(&due.bytes);
        }
    }
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}
