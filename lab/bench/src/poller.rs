//! Readiness of many sockets, and sockets that never block: what the generator and the floor
//! programs share. Written on `epoll` itself, so that neither measures a runtime.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustls::Connection;

use crate::failure::Result;

/// Sockets reported at a time: few, so that what is due by the clock waits for few.
const EVENTS_MAX: usize = 32;

/// An epoll instance; sockets are known by a number of their owner's.
pub(crate) struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

/// What a socket is ready for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ready {
    /// The number under which it was added.
    pub(crate) key: usize,
    /// Bytes or the end can be read.
    pub(crate) readable: bool,
    /// It takes bytes again.
    pub(crate) writable: bool,
}

impl Poller {
    /// Watches nothing yet.
    pub(crate) fn new() -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, events: Vec::with_capacity(EVENTS_MAX) })
    }

    /// Watches for bytes to read.
    pub(crate) fn add(&self, socket: impl AsFd, key: usize) -> Result<()> {
        let data = epoll::EventData::new_u64(key as u64);
        Ok(epoll::add(&self.epoll, socket, data, epoll::EventFlags::IN)?)
    }

    /// Changes what is watched for.
    pub(crate) fn watch(
        &self,
        socket: impl AsFd,
        key: usize,
        readable: bool,
        writable: bool,
    ) -> io::Result<()> {
        let data = epoll::EventData::new_u64(key as u64);
        let mut flags = epoll::EventFlags::empty();
        flags.set(epoll::EventFlags::IN, readable);
        flags.set(epoll::EventFlags::OUT, writable);
        Ok(epoll::modify(&self.epoll, socket, data, flags)?)
    }

    /// Watches no longer.
    pub(crate) fn remove(&self, socket: impl AsFd) -> Result<()> {
        Ok(epoll::delete(&self.epoll, socket)?)
    }

    /// Waits until some socket is ready or the time is over, for ever without one.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> Result<usize> {
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: timeout.as_secs().cast_signed(),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        });
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(count) => Ok(count),
            Err(Errno::INTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// One of the sockets that the last wait found.
    pub(crate) fn ready(&self, index: usize) -> Ready {
        let event = self.events[index];
        let flags = event.flags;
        let ended = epoll::EventFlags::ERR | epoll::EventFlags::HUP;
        Ready {
            key: event.data.u64() as usize,
            readable: flags.intersects(epoll::EventFlags::IN | ended),
            writable: flags.contains(epoll::EventFlags::OUT),
        }
    }
}

/// A connection that never blocks: what the kernel does not take is kept until it does, encrypted
/// where there is a session.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    session: Option<Box<Connection>>,
    outgoing: Vec<u8>,
    sent: usize,
    /// Whether bytes to read are wanted.
    reading: bool,
}

impl Socket {
    /// Connects and begins to watch.
    pub(crate) fn connect(
        address: SocketAddr,
        session: Option<Connection>,
        poller: &Poller,
        key: usize,
    ) -> Result<Self> {
        Self::new(TcpStream::connect(address)?, session, poller, key)
    }

    /// Takes over an open connection, shakes hands where there is a session, and watches it.
    pub(crate) fn new(
        mut stream: TcpStream,
        mut session: Option<Connection>,
        poller: &Poller,
        key: usize,
    ) -> Result<Self> {
        stream.set_nodelay(true)?;
        if let Some(session) = &mut session {
            session.set_buffer_limit(None);
            while session.is_handshaking() {
                session.complete_io(&mut stream)?;
            }
        }
        stream.set_nonblocking(true)?;
        poller.add(&stream, key)?;
        let session = session.map(Box::new);
        Ok(Self { stream, session, outgoing: Vec::new(), sent: 0, reading: true })
    }

    /// Reads what is there into a buffer; `None` when there is nothing now.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(session) = &mut self.session else {
            return unless_blocked(self.stream.read(buffer));
        };
        loop {
            if let Some(count) = unless_blocked(session.reader().read(buffer))? {
                return Ok(Some(count));
            }
            match unless_blocked(session.read_tls(&mut self.stream))? {
                Some(0) => return Ok(Some(0)),
                Some(_) => session.process_new_packets().map_err(io::Error::other)?,
                None => return Ok(None),
            };
        }
    }

    /// Sends bytes with one write, or keeps them behind those that wait already.
    pub(crate) fn send(&mut self, bytes: &[u8], poller: &Poller, key: usize) -> io::Result<()> {
        if let Some(session) = &mut self.session {
            let waited = session.wants_write();
            session.writer().write_all(bytes)?;
            if !waited && !encrypted(session, &mut self.stream)? {
                poller.watch(&self.stream, key, self.reading, true)?;
            }
            return Ok(());
        }
        if !self.outgoing.is_empty() {
            self.outgoing.extend_from_slice(bytes);
            return Ok(());
        }
        let taken = unless_blocked(self.stream.write(bytes))?.unwrap_or(0);
        if taken < bytes.len() {
            self.outgoing.extend_from_slice(&bytes[taken..]);
            poller.watch(&self.stream, key, self.reading, true)?;
        }
        Ok(())
    }

    /// Sends what waited.
    pub(crate) fn flush(&mut self, poller: &Poller, key: usize) -> io::Result<()> {
        if let Some(session) = &mut self.session {
            if encrypted(session, &mut self.stream)? {
                poller.watch(&self.stream, key, self.reading, false)?;
            }
            return Ok(());
        }
        self.sent += unless_blocked(self.stream.write(&self.outgoing[self.sent..]))?.unwrap_or(0);
        if self.sent == self.outgoing.len() {
            self.sent = 0;
            // A burst's room is given back: a reader that was slow once costs nothing later.
            self.outgoing = Vec::new();
            poller.watch(&self.stream, key, self.reading, false)?;
        }
        Ok(())
    }

    /// Whether there are bytes that the kernel has not taken yet.
    pub(crate) fn is_held_up(&self) -> bool {
        self.sent < self.outgoing.len()
            || self.session.as_ref().is_some_and(|session| session.wants_write())
    }

    /// Reads no longer, or again.
    pub(crate) fn set_reading(
        &mut self,
        reading: bool,
        poller: &Poller,
        key: usize,
    ) -> io::Result<()> {
        self.reading = reading;
        poller.watch(&self.stream, key, reading, self.is_held_up())
    }

    /// Ends the connection at once and leaves no port behind that waits.
    pub(crate) fn abort(&self) {
        // Only of use to the next run; there is nothing to be done if it fails.
        let _ = rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
    }

    /// The connection itself.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

/// What a socket did, if it did not have to wait for something.
fn unless_blocked(done: io::Result<usize>) -> io::Result<Option<usize>> {
    match done {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes what a session has encrypted; whether that was all.
fn encrypted(session: &mut Connection, stream: &mut TcpStream) -> io::Result<bool> {
    while session.wants_write() {
        if unless_blocked(session.write_tls(stream))?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}
