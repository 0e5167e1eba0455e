//! The last counts of TCP sockets as the kernel frees them: a group of `sock_diag` that tells of
//! every socket of this network namespace. No privilege is needed.
//!
//! Complete counts come of the side that closes second, and of a side that shut down, read to the
//! end and then closed. A side that closes first without waiting is freed when its FIN is
//! acknowledged: the other FIN and its acknowledgement, two packets, are not in its counts.

use std::io;
use std::net::SocketAddr;

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::inet::InetResponse;
use netlink_packet_sock_diag::inet::nlas::Nla;
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket, SocketAddr as NetlinkAddr};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::counts::TcpCounts;

/// `SKNLGRP_INET_TCP_DESTROY`.
const TCP_DESTROYED: u32 = 1;
/// `SKNLGRP_INET6_TCP_DESTROY`.
const TCP6_DESTROYED: u32 = 3;
/// The kernel drops what it can't queue, and each socket takes some 700 bytes. It gives as much of
/// this as `net.core.rmem_max` allows.
const QUEUE_BYTES: i32 = 4 << 20;
/// One message has about 450 bytes.
const MESSAGE_BYTES_MAX: usize = 32 << 10;

/// A socket that is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Its own address.
    pub local: SocketAddr,
    /// The other end's.
    pub peer: SocketAddr,
    /// What it had counted.
    pub counts: TcpCounts,
}

/// Listens to the end of every TCP socket of this network namespace, whoever owns it.
///
/// Read it without delay: what the kernel cannot queue is lost, which it tells as an error of kind
/// `OutOfMemory` or not at all.
#[derive(Debug)]
pub struct Destroyed {
    socket: AsyncFd<Socket>,
    bytes: Vec<u8>,
    /// Where in `bytes` the next message begins, and where the last one ends.
    unread: (usize, usize),
}

impl Destroyed {
    /// Begins to listen. To be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// If the kernel has no `sock_diag`.
    pub fn listen() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
        socket.set_non_blocking(true)?;
        socket.set_rx_buf_sz(QUEUE_BYTES)?;
        socket.bind(&NetlinkAddr::new(0, 0))?;
        socket.add_membership(TCP_DESTROYED)?;
        // A kernel may be without IPv6.
        let _ = socket.add_membership(TCP6_DESTROYED);
        // SAFETY: the socket owns its descriptor and is never replaced.
        let socket = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }?;
        Ok(Self { socket, bytes: vec![0; MESSAGE_BYTES_MAX], unread: (0, 0) })
    }

    /// The next socket that ended. Dropped before it is done, it loses nothing.
    ///
    /// # Errors
    ///
    /// What reading the kernel's messages says.
    pub async fn next(&mut self) -> io::Result<Ended> {
        loop {
            while self.unread.0 < self.unread.1 {
                if let Some(ended) = self.parse() {
                    return Ok(ended);
                }
            }
            let bytes = &mut self.bytes;
            let read = self
                .socket
                .async_io(Interest::READABLE, |socket| socket.recv(&mut &mut bytes[..], 0));
            self.unread = (0, read.await?);
        }
    }

    /// Takes the next message of a datagram; `None` if it is about something else.
    fn parse(&mut self) -> Option<Ended> {
        let bytes = &self.bytes[self.unread.0..self.unread.1];
        let Ok(message) = NetlinkMessage::<SockDiagMessage>::deserialize(bytes) else {
            // What follows cannot be found any more.
            self.unread = (0, 0);
            return None;
        };
        // Messages begin at multiples of four.
        let length = (message.header.length as usize).next_multiple_of(4).max(4);
        self.unread.0 += length;
        match message.payload {
            NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => {
                ended(&response)
            }
            _ => None,
        }
    }
}

/// The counts in an answer of `sock_diag`; `None` of a socket that has none, such as a listener.
pub(crate) fn ended(response: &InetResponse) -> Option<Ended> {
    let info = response.nlas.iter().find_map(|nla| match nla {
        Nla::TcpInfo(info) => Some(info),
        _ => None,
    })?;
    let id = &response.header.socket_id;
    Some(Ended {
        local: SocketAddr::new(id.source_address, id.source_port),
        peer: SocketAddr::new(id.destination_address, id.destination_port),
        counts: TcpCounts::from_kernel(info).ok()?,
    })
}
