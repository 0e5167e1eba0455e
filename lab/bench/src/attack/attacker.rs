//! What attacks are made of: sockets that never wait for the other side, and steps at a fixed rate.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::failure::Result;

/// How long a connection may take: a full queue of the other side is none of an attacker's.
const CONNECT: Duration = Duration::from_millis(50);
/// Bytes read at a time, and thrown away.
const READ_BYTES: usize = 64 << 10;

/// Where it is done, and for how long.
pub(super) struct Attacker {
    pub(super) http: SocketAddr,
    pub(super) tcp: SocketAddr,
    pub(super) udp: SocketAddr,
    pub(super) until: Instant,
    /// Connections that are kept.
    pub(super) sockets: Vec<Unwaited>,
}

impl Attacker {
    /// Keeps so many connections, on each of which this was said.
    pub(super) fn keep(&mut self, address: SocketAddr, count: usize, said: &[u8]) {
        for _ in 0..count {
            if let Some(mut socket) = Unwaited::open(address) {
                socket.say(said);
                self.sockets.push(socket);
            }
        }
    }

    /// Takes so many steps a second, each with its number, to the end. A step that is late is made
    /// up for, so that as much is done whoever it is done to.
    pub(super) fn steps(
        &mut self,
        per_second: u32,
        mut step: impl FnMut(&mut Self, usize) -> Result<()>,
    ) -> Result<()> {
        let began = Instant::now();
        let mut number = 0_usize;
        while Instant::now() < self.until {
            let due = (began.elapsed().as_secs_f64() * f64::from(per_second)) as usize;
            if number >= due {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
            step(self, number)?;
            number += 1;
        }
        Ok(())
    }

    /// Does nothing more, and keeps what it has.
    pub(super) fn stay(&mut self) -> Result<()> {
        self.steps(1, |_, _| Ok(()))
    }

    /// Takes steps with one connection after the other; one that was closed is opened anew, and
    /// this is said on it first.
    pub(super) fn on_each(
        &mut self,
        address: SocketAddr,
        first: &[u8],
        per_second: u32,
        mut step: impl FnMut(&mut Unwaited, usize),
    ) -> Result<()> {
        self.steps(per_second, |attacker, number| {
            let count = attacker.sockets.len().max(1);
            let Some(socket) = attacker.sockets.get_mut(number % count) else {
                attacker.keep(address, 1, first);
                return Ok(());
            };
            step(socket, number);
            if socket.is_closed {
                attacker.sockets.swap_remove(number % count);
                attacker.keep(address, 1, first);
            }
            Ok(())
        })
    }
}

/// A connection that is never waited for.
pub(super) struct Unwaited {
    stream: TcpStream,
    /// The rest of what the kernel did not take.
    rest: Vec<u8>,
    /// Whether the other side has ended it.
    pub(super) is_closed: bool,
}

impl Unwaited {
    /// Connects, unless that is refused or takes long.
    pub(super) fn open(address: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect_timeout(&address, CONNECT).ok()?;
        stream.set_nonblocking(true).ok()?;
        stream.set_nodelay(true).ok()?;
        Some(Self { stream, rest: Vec::new(), is_closed: false })
    }

    /// Says it whole or not at all: what was said before may not have been taken yet.
    pub(super) fn say(&mut self, bytes: &[u8]) {
        if self.rest.is_empty() {
            self.rest.extend_from_slice(bytes);
        }
        match self.stream.write(&self.rest) {
            Ok(count) => drop(self.rest.drain(..count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.is_closed = true,
        }
    }

    /// Hears what there is, and forgets it.
    pub(super) fn hear(&mut self) {
        let mut bytes = vec![0; READ_BYTES];
        match self.stream.read(&mut bytes) {
            Ok(0) => self.is_closed = true,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.is_closed = true,
        }
    }
}
