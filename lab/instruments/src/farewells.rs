//! Sockets of datagrams that have said goodbye: they stay until the server has answered, or for a
//! moment, so that its last datagram is counted.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use doorbell_protocol::event::{Event, Kind};
use doorbell_protocol::limits::DATAGRAM_BYTES_MAX;
use tokio::net::UdpSocket;

use crate::ledger::CLOSING_MAX;

/// The sockets that wait.
#[derive(Debug, Default)]
pub(crate) struct Farewells(Mutex<Vec<Farewell>>);

#[derive(Debug)]
struct Farewell {
    socket: Arc<UdpSocket>,
    server: SocketAddr,
    since: Instant,
}

impl Farewells {
    pub(crate) fn add(&self, socket: Arc<UdpSocket>, server: SocketAddr) {
        self.lock().push(Farewell { socket, server, since: Instant::now() });
    }

    /// How many sockets wait.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().len()
    }

    /// Bytes of the datagrams that have come, and where from.
    pub(crate) fn take(&self) -> Vec<(usize, SocketAddr)> {
        let mut came = Vec::new();
        self.lock().retain(|farewell| {
            let mut buffer = [0; DATAGRAM_BYTES_MAX];
            while let Ok(length) = farewell.socket.try_recv(&mut buffer) {
                came.push((length, farewell.server));
                let event = Event::parse(&buffer[..length]);
                if event.is_ok_and(|event| event.event == Kind::Close) {
                    return false;
                }
            }
            farewell.since.elapsed() < CLOSING_MAX
        });
        came
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Farewell>> {
        // Every change is whole before anything in it can fail.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
