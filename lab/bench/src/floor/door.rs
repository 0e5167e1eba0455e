//! Accepts connections and reads whole lines from them: what the floor programs on `epoll` share.

use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection};

use crate::failure::Result;
use crate::poller::{Poller, Socket};

use super::listener::{listener, say_ready};

/// The number under which the listener is watched.
const LISTENER: usize = usize::MAX;
/// Bytes read at a time.
const READ_BYTES: usize = 64 << 10;

/// A connection and its program's own part.
pub(super) struct Peer<T> {
    pub(super) socket: Socket,
    /// What was read and is no whole line yet.
    input: Vec<u8>,
    pub(super) role: T,
}

/// All connections, by number.
pub(super) struct Peers<T> {
    pub(super) poller: Poller,
    /// How they are encrypted, if they are.
    tls: Option<Arc<ServerConfig>>,
    list: Vec<Option<Peer<T>>>,
    free: Vec<usize>,
}

impl<T> Peers<T> {
    /// The connection of that number, if it is open.
    pub(super) fn get(&mut self, key: usize) -> Option<&mut Peer<T>> {
        self.list.get_mut(key)?.as_mut()
    }

    /// Sends to one of them. One that is gone hears nothing.
    pub(super) fn send(&mut self, key: usize, bytes: &[u8]) {
        let Some(peer) = self.list.get_mut(key).and_then(Option::as_mut) else { return };
        if peer.socket.send(bytes, &self.poller, key).is_err() {
            self.close(key);
        }
    }

    fn close(&mut self, key: usize) {
        if self.list[key].take().is_some() {
            self.free.push(key);
        }
    }

    /// Accepts a connection, if there is one; returns its number.
    fn accept(&mut self, listener: &TcpListener, role: T) -> Result<Option<usize>> {
        loop {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error.into()),
            };
            let key = self.free.pop().unwrap_or(self.list.len());
            let session = self.tls.clone().map(ServerConnection::new).transpose();
            let session = session.map_err(io::Error::other)?.map(Into::into);
            let socket = Socket::new(stream, session, &self.poller, key)?;
            let peer = Peer { socket, input: Vec::new(), role };
            if key == self.list.len() {
                self.list.push(Some(peer));
            } else {
                self.list[key] = Some(peer);
            }
            return Ok(Some(key));
        }
    }
}

/// What a program does.
pub(super) trait Work {
    /// What it knows of a connection.
    type Role: Default;

    /// Whole lines came, each with its `\n`.
    fn hear(&mut self, peers: &mut Peers<Self::Role>, key: usize, lines: &[u8]);

    /// Everything that could be read was heard: nobody else speaks just now.
    fn rest(&mut self, _peers: &mut Peers<Self::Role>) -> Result<()> {
        Ok(())
    }
}

/// Serves until the process is ended.
pub(super) fn serve<W: Work>(work: W) -> Result<()> {
    serve_over(None, work)
}

/// The same, encrypted if that is said.
pub(super) fn serve_over<W: Work>(tls: Option<Arc<ServerConfig>>, mut work: W) -> Result<()> {
    let listener = listener()?;
    listener.set_nonblocking(true)?;
    let mut peers = Peers { poller: Poller::new()?, tls, list: Vec::new(), free: Vec::new() };
    peers.poller.add(&listener, LISTENER)?;
    say_ready(listener.local_addr()?)?;
    let mut buffer = vec![0; READ_BYTES];
    loop {
        for index in 0..peers.poller.wait(None)? {
            let ready = peers.poller.ready(index);
            if ready.key == LISTENER {
                while let Some(key) = peers.accept(&listener, W::Role::default())? {
                    // The end of a handshake may have brought the first words.
                    if !read(&mut peers, key, &mut buffer, &mut work) {
                        peers.close(key);
                    }
                }
                continue;
            }
            if ready.writable
                && let Some(peer) = peers.list[ready.key].as_mut()
            {
                let _ = peer.socket.flush(&peers.poller, ready.key);
            }
            if ready.readable && !read(&mut peers, ready.key, &mut buffer, &mut work) {
                peers.close(ready.key);
            }
        }
        work.rest(&mut peers)?;
    }
}

/// Reads once and hands on what are whole lines; false when the connection has ended.
fn read<W: Work>(peers: &mut Peers<W::Role>, key: usize, buffer: &mut [u8], work: &mut W) -> bool {
    let Some(peer) = peers.get(key) else { return true };
    let count = match peer.socket.read(buffer) {
        Ok(None) => return true,
        Ok(Some(0)) | Err(io::Error { .. }) => return false,
        Ok(Some(count)) => count,
    };
    let Some(end) = buffer[..count].iter().rposition(|byte| *byte == b'\n') else {
        peer.input.extend_from_slice(&buffer[..count]);
        return true;
    };
    let mut held = std::mem::take(&mut peer.input);
    peer.input.extend_from_slice(&buffer[end + 1..count]);
    if held.is_empty() {
        work.hear(peers, key, &buffer[..=end]);
    } else {
        held.extend_from_slice(&buffer[..=end]);
        work.hear(peers, key, &held);
    }
    true
}
