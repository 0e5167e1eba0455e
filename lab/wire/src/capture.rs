//! The TCP segments of some ports as they cross an interface, with the kernel's times.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

use crate::device;
use crate::filter::{tcp_ports, tcp_ports_sent};
use crate::ring::{Frame, Ring};
use crate::segment::Segment;

/// What to say to a person when [`Capture::open`] is not permitted.
pub const MISSING_PRIVILEGE: &str = "capturing packets needs the capability CAP_NET_RAW: run as \
    root, or grant it once with `sudo setcap cap_net_raw+ep PROGRAM`, or use a network of your own \
    with `unshare -Urn sh -c 'ip link set lo up; PROGRAM …'`";

/// A running capture.
#[derive(Debug)]
pub struct Capture {
    ring: AsyncFd<Ring>,
    parse: fn(&Frame) -> Option<Segment>,
    segments: VecDeque<Segment>,
    dropped: u64,
}

impl Capture {
    /// Captures from now on what comes in on an interface such as `lo`, from or to any of 1 to 16
    /// ports. To be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` without `CAP_NET_RAW` (see [`MISSING_PRIVILEGE`]); `InvalidInput` with
    /// too many ports; what the system says if there is no such interface.
    pub fn open(interface: &str, ports: &[u16]) -> io::Result<Self> {
        Self::of(Ring::open(interface, false, &tcp_ports(ports)?)?, Segment::parse)
    }

    /// Captures from now on what is sent from or to any of these ports on the end of a
    /// [`SplitNetwork`](crate::SplitNetwork) that this thread is in: what is lost on the way is
    /// captured, what was lost on the way here is not.
    ///
    /// # Errors
    ///
    /// As of [`open`](Self::open).
    pub fn open_sent(ports: &[u16]) -> io::Result<Self> {
        let interface = device::NAME.to_string_lossy();
        Self::of(Ring::open(&interface, true, &tcp_ports_sent(ports)?)?, Segment::parse_ip)
    }

    fn of(ring: Ring, parse: fn(&Frame) -> Option<Segment>) -> io::Result<Self> {
        // SAFETY: the ring owns its socket and never replaces it.
        let ring =
            unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE | Interest::ERROR) }?;
        Ok(Self { ring, parse, segments: VecDeque::new(), dropped: 0 })
    }

    /// The next segment, some milliseconds after it crossed. Dropped before it is done, it loses
    /// nothing.
    ///
    /// Segments that crossed at nearly the same time on different processors may come in the wrong
    /// order: sort by [`Segment::time`] what lies within a millisecond.
    ///
    /// # Errors
    ///
    /// What waiting for the ring says.
    pub async fn next(&mut self) -> io::Result<Segment> {
        loop {
            if let Some(segment) = self.segments.pop_front() {
                return Ok(segment);
            }
            // Ready until proven otherwise: a block that is handed over after the look wakes again.
            self.ring.ready_mut(Interest::READABLE | Interest::ERROR).await?.clear_ready();
            let (segments, parse) = (&mut self.segments, self.parse);
            self.ring.get_mut().take(|frame| segments.extend(parse(&frame)));
        }
    }

    /// The segments that come until none has come for this long.
    ///
    /// # Errors
    ///
    /// As of [`next`](Self::next).
    pub async fn until_quiet(&mut self, quiet: Duration) -> io::Result<Vec<Segment>> {
        let mut segments = Vec::new();
        while let Ok(segment) = timeout(quiet, self.next()).await {
            segments.push(segment?);
        }
        Ok(segments)
    }

    /// How many packets were dropped so far because the ring was full.
    ///
    /// # Errors
    ///
    /// What asking the socket says.
    pub fn dropped(&mut self) -> io::Result<u64> {
        self.dropped += self.ring.get_ref().dropped()?;
        Ok(self.dropped)
    }
}
